"""Silences and maintenance windows in the database, for those who make and end them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import sqlalchemy
from sqlalchemy import Connection

from ticketing import maintenance, silences
from ticketing.database import reading
from ticketing.errors import Refused
from ticketing.maintenance import Window
from ticketing.scope import Scope
from ticketing.silences import Silence
from ticketing.transaction import ask, transact

_Answer = TypeVar("_Answer")


class Calm:
    """What holds tickets back; every call is narrowed to its scope. Each raises Unavailable if the database is away."""

    def __init__(self, engine: sqlalchemy.Engine) -> None:
        self._engine = engine
        self._reads = reading(engine)

    def silences(self, scope: Scope, now: float) -> list[Silence]:
        """Return the silences that are not over."""
        return self._read(lambda connection: silences.current(connection, now, _customers(scope)))

    def windows(self, scope: Scope, now: float) -> list[Window]:
        """Return the maintenance windows that are not over."""
        return self._read(lambda connection: maintenance.current(connection, now, _customers(scope)))

    def silence(self, scope: Scope, wanted: Silence) -> Silence:
        """Begin a silence. Raises Refused if it cannot be, or is outside the scope."""
        _check(scope, wanted.customer)
        return transact(self._engine, lambda connection: silences.add(connection, wanted))

    def maintain(self, scope: Scope, wanted: Window) -> Window:
        """Plan a maintenance window. Raises Refused if it cannot be, or is outside the scope."""
        _check(scope, wanted.customer)
        return transact(self._engine, lambda connection: maintenance.add(connection, wanted))

    def end_silence(self, scope: Scope, number: int, now: float) -> bool:
        """End a silence now; False if there is none in the scope."""
        return transact(self._engine, lambda connection: silences.cancel(connection, number, scope.customer, now))

    def end_window(self, scope: Scope, number: int, now: float) -> bool:
        """End a window now, or before it begins; False if there is none in the scope."""
        return transact(self._engine, lambda connection: maintenance.cancel(connection, number, scope.customer, now))

    def _read(self, question: Callable[[Connection], _Answer]) -> _Answer:
        return ask(self._reads, question)


def _customers(scope: Scope) -> list[str] | None:
    return None if scope.customer is None else [scope.customer]


def _check(scope: Scope, customer: str) -> None:
    if scope.customer not in {None, customer}:
        raise Refused("that is another customer's")
