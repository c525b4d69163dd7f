"""Asks when something happens to an incident: what its rule names when it opens, the same again when it is over.

A consumer of the timeline with a place of its own, which is stored with the requests: each entry has its effect once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec
import sqlalchemy
from sqlalchemy import Connection, func, select

from ticketing.database import reading
from ticketing.decide import Action
from ticketing.diagnosis import audit
from ticketing.diagnosis.asked import Diagnosis, Purpose, State, Subject
from ticketing.diagnosis.book import WINDOW, Diagnoses
from ticketing.diagnosis.wishes import wishes
from ticketing.errors import Refused
from ticketing.models import DiagnosisRow
from ticketing.rows import INCIDENTS, TIMELINE
from ticketing.transaction import ask, transact
from ticketing.writing import claim, position

CONSUMER: Final = "diagnoses"
FRESH: Final = 600.0  # seconds: what is older when it is read is not examined any more
_AT_ONCE: Final = 500
_SKIP: Final = 1_000  # entries that mean nothing here after which the place is stored all the same
_BEGINS: Final = frozenset({Action.OPEN.value, Action.REOPEN.value, Action.RELEASE.value})
_ENDS: Final = frozenset({Action.RECOVER.value, Action.RESOLVE.value})
_TABLE: Final = DiagnosisRow.metadata.tables["diagnoses"]
_SEEN: Final = (
    *(INCIDENTS.c.id, INCIDENTS.c.customer, INCIDENTS.c.site, INCIDENTS.c.device, INCIDENTS.c.alertname),
    *(INCIDENTS.c.severity, INCIDENTS.c.labels, INCIDENTS.c.parent, INCIDENTS.c.hidden_since, INCIDENTS.c.resolved_at),
)


class Surroundings(Protocol):
    """What the collector knows; called in the transaction, so that it must be quick."""

    def subject(self, customer: str, site: str, device: str) -> Subject | None:
        """Return a device of the register."""

    def written(self, alertname: str, severity: str) -> str:
        """Return the rule's annotation `diagnosis` as it is written, "" if it has none."""


@dataclass(slots=True)
class _Spent:
    """What rules have asked within WINDOW, and whom they could not ask any more."""

    devices: Counter[int]
    customers: Counter[str]
    refused: Counter[str] = field(default_factory=Counter)


class Hooks:
    """Follows the timeline of one database. Belongs to one thread."""

    def __init__(self, engine: sqlalchemy.Engine, book: Diagnoses, around: Surroundings) -> None:
        self._engine = engine
        self._reads = reading(engine)
        self._book = book
        self._around = around
        self._position: int | None = None
        self._stored = 0

    def follow(self, now: float) -> bool:
        """Do what the next entries ask for; whether there may be more of them.

        Raises:
            Unavailable: the database is away; nothing was done.
        """
        if self._position is None:
            self._position = self._stored = transact(self._engine, self._begin)
        since = self._position
        newest, found = ask(self._reads, lambda connection: _entries(connection, since))
        upto = found[-1].entry if len(found) == _AT_ONCE else newest
        if not found and upto - self._stored < _SKIP:
            self._position = upto
            return False
        devices = transact(self._engine, lambda connection: self._take(connection, found, upto, now))
        self._position = self._stored = upto
        for device in devices:
            self._book.asked(device)
        return len(found) == _AT_ONCE

    def _begin(self, connection: Connection) -> int:
        """Return where to begin: at first behind all that is there."""
        stored = position(connection, CONSUMER)
        if stored:
            return stored
        newest = connection.scalar(select(func.max(TIMELINE.c.id))) or 0
        if newest:
            claim(connection, CONSUMER, newest)
        return newest

    def _take(self, connection: Connection, found: list[Any], upto: int, now: float) -> set[int]:
        if not claim(connection, CONSUMER, upto):
            return set()
        spent = _spent(connection, now)
        asked: set[int] = set()
        for row in found:
            if now - row.at > FRESH:
                continue
            if row.action in _BEGINS:
                asked |= set(self._begins(connection, row, spent, now))
            else:
                asked |= set(self._ends(connection, row, spent, now))
        for customer, number in spent.refused.items():
            facts = {"action": "over_budget", "by": "rules", "count": number}
            audit.append(connection, customer, now, self._book.seal, None, **facts)
        return asked

    def _begins(self, connection: Connection, row: Any, spent: _Spent, now: float) -> Iterator[int]:
        """Ask what the rule of an incident names, if it is a ticket of its own: a group is examined once."""
        if row.parent is not None or row.hidden_since is not None or row.resolved_at is not None:
            return
        written = self._around.written(row.alertname, row.severity)
        if not written:
            return
        site, device, labels = row.site, row.device, row.labels
        if not device:
            member = connection.execute(select(*_SEEN).where(INCIDENTS.c.parent == row.id).limit(1)).one_or_none()
            if member is None:
                return
            site, device, labels = member.site, member.device, member.labels
        subject = self._around.subject(row.customer, site, device)
        if subject is None:
            return
        for wish in wishes(written):
            arguments = wish.filled(labels)
            if arguments is None or not self._fits(wish.name, subject):
                continue
            if self._may(subject, spent):
                self._add(connection, subject, wish.name, arguments, row, Purpose.FAULT, None, now)
                yield subject.device

    def _ends(self, connection: Connection, row: Any, spent: _Spent, now: float) -> Iterator[int]:
        """Ask again what was found during the fault, to compare."""
        mine = select(_TABLE).where(_TABLE.c.incident == row.id).order_by(_TABLE.c.id)
        every = msgspec.convert([dict(one._mapping) for one in connection.execute(mine)], list[Diagnosis])  # noqa: SLF001
        compared = {one.before for one in every}
        latest = {one.what: one for one in every if one.state is State.DONE and one.purpose is not Purpose.RECOVERY}
        for one in latest.values():
            subject = self._around.subject(row.customer, row.site, row.device) if row.device else None
            if one.id in compared or subject is None or subject.device != one.device:
                continue
            if self._may(subject, spent):
                self._add(connection, subject, one.name, dict(one.arguments), row, Purpose.RECOVERY, one.id, now)
                yield subject.device

    def _add(
        self,
        connection: Connection,
        subject: Subject,
        name: str,
        arguments: dict[str, Any],
        row: Any,
        purpose: Purpose,
        before: int | None,
        now: float,
    ) -> None:
        try:
            self._book.add(
                connection,
                subject,
                name,
                arguments,
                by=f"rule:{row.alertname}",
                now=now,
                incident=row.id,
                purpose=purpose,
                before=before,
            )
        except Refused as error:
            facts = {"action": "not_asked", "by": f"rule:{row.alertname}", "device": subject.instance, "name": name}
            audit.append(connection, subject.customer, now, self._book.seal, row.id, **facts, reason=str(error))

    def _fits(self, name: str, subject: Subject) -> bool:
        return name in self._book.catalogue and self._book.catalogue.find(name).fits(subject)

    def _may(self, subject: Subject, spent: _Spent) -> bool:
        """Spend one of the budgets of a device and its customer; False if they are used up."""
        budget = self._book.budget
        over = spent.devices[subject.device] >= budget.device or spent.customers[subject.customer] >= budget.customer
        if over:
            spent.refused[subject.customer] += 1
            return False
        spent.devices[subject.device] += 1
        spent.customers[subject.customer] += 1
        return True


def _entries(connection: Connection, since: int) -> tuple[int, list[Any]]:
    """Return the newest entry's number, and the entries after `since` that mean something here."""
    newest = connection.scalar(select(func.max(TIMELINE.c.id))) or 0
    columns = (TIMELINE.c.id.label("entry"), TIMELINE.c.action, TIMELINE.c.at, *_SEEN)
    query = select(*columns).join(INCIDENTS, TIMELINE.c.incident == INCIDENTS.c.id)
    span = (TIMELINE.c.id > since) & (TIMELINE.c.id <= newest) & TIMELINE.c.action.in_(_BEGINS | _ENDS)
    return max(newest, since), list(connection.execute(query.where(span).order_by(TIMELINE.c.id).limit(_AT_ONCE)))


def _spent(connection: Connection, now: float) -> _Spent:
    recent = (_TABLE.c.asked_at > now - WINDOW) & _TABLE.c.by.startswith("rule:")
    spent = _Spent(Counter(), Counter())
    query = select(_TABLE.c.device, _TABLE.c.customer, func.count()).where(recent)
    for device, customer, number in connection.execute(query.group_by(_TABLE.c.device, _TABLE.c.customer)):
        spent.devices[device] += number
        spent.customers[customer] += number
    return spent
