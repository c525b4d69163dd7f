"""Numbers about the rules: how many tickets each raised, and how many of them nobody needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, case, func, select

from ticketing.incident import MACHINE, Cause
from ticketing.rows import INCIDENTS
from ticketing.scope import Scope

_NOISE: Final = (Cause.NOT_A_FAULT.value, Cause.THRESHOLD.value)


@dataclass(frozen=True, slots=True)
class RuleFigures:
    """What became of the incidents of one rule."""

    alertname: str
    tickets: int
    open: int
    unworked: int  # resolved by themselves: nobody had worked on them
    noise: int  # marked as no fault, or the threshold as too low
    duplicates: int
    reopened: int  # fired more than once

    @property
    def share(self) -> float:
        """Return the share of tickets that nobody needed: resolved by themselves, or marked as noise; 0 to 1."""
        return (self.unworked + self.noise) / self.tickets if self.tickets else 0.0


def of_rules(connection: Connection, scope: Scope, since: float) -> list[RuleFigures]:
    """Return the figures of the rules' incidents opened since then, the noisiest rule first."""
    columns = INCIDENTS.c
    conditions: Sequence[ColumnElement[bool]] = (
        columns.resolved_at.is_(None),
        columns.resolved_by == MACHINE,
        columns.cause.in_(_NOISE),
        columns.cause == Cause.DUPLICATE.value,
        columns.count > 1,
    )
    counted = (func.sum(case((condition, 1), else_=0)) for condition in conditions)
    query = select(columns.alertname, func.count(), *counted).group_by(columns.alertname)
    query = query.where(columns.id >= first_since(connection, since))
    if scope.customer is not None:
        query = query.where(columns.customer == scope.customer)
    found = [_figures(row) for row in connection.execute(query)]
    return sorted(found, key=lambda one: (-one.noise, -one.unworked, -one.tickets, one.alertname))


def first_since(connection: Connection, since: float) -> int:
    """Return the number of the first incident opened since then, by halving: numbers grow with time, within a batch."""
    low, high = 1, (connection.scalar(select(func.max(INCIDENTS.c.id))) or 0) + 1
    while low < high:
        middle = (low + high) // 2
        at_or_after = select(INCIDENTS.c.opened_at).where(INCIDENTS.c.id >= middle).order_by(INCIDENTS.c.id).limit(1)
        opened = connection.scalar(at_or_after)
        low, high = (middle + 1, high) if opened is not None and opened < since else (low, middle)
    return low


def _figures(row: Sequence[Any]) -> RuleFigures:
    return RuleFigures(*row)
