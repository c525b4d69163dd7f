"""The diagnoses in the database: asking, handing out, what comes back, and what people read of it.

Each step of a request is an entry of its customer's audit, written in the transaction of the step itself.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
import sqlalchemy
from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from ticketing import clean
from ticketing.database import reading
from ticketing.decide import Policy
from ticketing.diagnosis import audit
from ticketing.diagnosis.asked import ORDER, OVER, Diagnosis, Purpose, Result, State, Subject
from ticketing.diagnosis.audit import Entry as AuditEntry
from ticketing.diagnosis.audit import Fault, Seal, Sealed, unsealed
from ticketing.diagnosis.catalogue import GEAR, PRIVACY, Catalogue, load
from ticketing.diagnosis.consent import Consent, consent_of, write_consent
from ticketing.diagnosis.telling import told
from ticketing.errors import Refused
from ticketing.models import DiagnosisRow
from ticketing.outbox.routing import Router
from ticketing.scope import Scope
from ticketing.transaction import ask as query_database
from ticketing.transaction import transact
from ticketing.writing import DIAGNOSE, Batch

WAITS: Final = 600.0  # seconds until the device must have fetched a request
UNHEARD: Final = 30.0  # seconds after which one of which nothing was heard is handed out again
TRIES: Final = 3
LONGEST: Final = 900.0  # seconds until what is under way is given up: time for consent, and for the longest run
WINDOW: Final = 600.0  # seconds that the budgets are of
TOGETHER: Final = 16  # that are handed out at once
_MAX_DATA: Final = 256 << 10
_MAX_FINDING: Final = 1_000
_TABLE: Final = DiagnosisRow.metadata.tables["diagnoses"]
_LISTED: Final = [column for column in _TABLE.columns if column.name != "data"]
_STATES: Final = [state.value for state in ORDER]
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Budget:
    """How much may be asked within WINDOW; the rest is not."""

    device: int = 8  # by rules
    customer: int = 60  # by rules
    person: int = 40  # by people, of one device


class Gone(Exception):
    """A result for a request that this device does not have."""


class Over(Exception):
    """A result for a request that is over already."""


class Diagnoses:
    """The diagnoses of one database; safe to use from several threads.

    Attributes:
        asked: called after a request was written, with its device; whoever hands requests out sets it.
    """

    def __init__(self, engine: sqlalchemy.Engine, policy: Policy, router: Router, seal: Seal = unsealed) -> None:
        self.catalogue: Catalogue = load()
        self.budget = Budget()
        self.seal = seal
        self.asked: Callable[[int], None] = lambda _: None
        self._engine = engine
        self._reads = reading(engine)
        self._policy = policy
        self._router = router

    # Asking

    def ask(
        self,
        subject: Subject,
        name: str,
        arguments: Mapping[str, Any],
        *,
        by: str,
        now: float,
        incident: int | None = None,
    ) -> Diagnosis:
        """Ask a device for a diagnosis on behalf of a person; one that is under way already is not asked twice.

        Raises:
            Refused: there is none of this name, it takes other arguments, the device cannot, its customer never
                allows it, or too much was asked of the device.
        """

        def work(connection: Connection) -> Diagnosis:
            recent = (_TABLE.c.device == subject.device) & (_TABLE.c.asked_at > now - WINDOW)
            count = select(func.count()).select_from(_TABLE).where(recent, _TABLE.c.by.startswith("person:"))
            if (connection.scalar(count) or 0) >= self.budget.person:
                raise Refused(f"{subject.instance} was asked {self.budget.person} times within ten minutes; wait")
            return self.add(
                connection, subject, name, arguments, by=by, now=now, incident=incident, purpose=Purpose.AGAIN
            )

        found = transact(self._engine, work)
        self.asked(subject.device)
        return found

    def add(
        self,
        connection: Connection,
        subject: Subject,
        name: str,
        arguments: Mapping[str, Any],
        *,
        by: str,
        now: float,
        incident: int | None,
        purpose: Purpose,
        before: int | None = None,
    ) -> Diagnosis:
        """Write a request in the caller's transaction; who calls it says `asked` afterwards. Raises Refused."""
        entry = self.catalogue.find(name)
        checked = entry.check(arguments)
        if not entry.fits(subject):
            raise Refused(f"{subject.instance} cannot be asked for {name}")
        privacy = entry.privacy_of(checked)
        if privacy in consent_of(connection, subject.customer).never:
            raise Refused(f"{subject.customer} never lets {privacy} be looked at")
        same = (_TABLE.c.device == subject.device) & (_TABLE.c.name == name) & _TABLE.c.done_at.is_(None)
        for one in _read(connection, select(_TABLE).where(same)):
            if (one.arguments, one.incident) == (checked, incident):
                return one
        row: dict[str, Any] = {
            "uid": str(uuid.uuid4()),
            "customer": subject.customer,
            "device": subject.device,
            "instance": subject.instance,
            "name": name,
            "arguments": checked,
            "privacy": privacy,
            "incident": incident,
            "by": clean.line(by, 160),
            "purpose": purpose.value,
            "before": before,
            "state": State.WAITING.value,
            "asked_at": now,
            "changed_at": now,
            "tries": 0,
            "reason": "",
            "finding": "",
            "finding_id": "",
            "finding_values": {},
            "sha256": "",
            "truncated": False,
            "audit": "",
        }
        number = connection.scalar(insert(_TABLE).values(row).returning(_TABLE.c.id))
        (made,) = _read(connection, select(_TABLE).where(_TABLE.c.id == number))
        self._note(connection, made, "asked", now, arguments=checked, privacy=made.privacy)
        return made

    # Handing out. Each raises Unavailable if the database is away.

    def devices_waiting(self, now: float, *, gear: bool = False) -> set[int]:
        """Return the devices for which there is something to fetch, or that the collector is to ask (`gear`)."""
        query = select(_TABLE.c.device).where(_due(now, gear=gear))
        return self._read(lambda connection: set(connection.scalars(query)))

    def take(self, device: int, now: float, *, gear: bool = False) -> list[Diagnosis]:
        """Return what a device is to do, and take it to be told."""

        def work(connection: Connection) -> list[Diagnosis]:
            mine = (
                select(_TABLE)
                .where(_TABLE.c.device == device, _due(now, gear=gear))
                .order_by(_TABLE.c.id)
                .limit(TOGETHER)
            )
            found = _read(connection, mine.with_for_update())
            for one in found:
                changes = {"state": State.SENT.value, "tries": one.tries + 1, "changed_at": now}
                connection.execute(update(_TABLE).where(_TABLE.c.id == one.id).values(changes))
                self._note(connection, one, "sent", now)
            return found

        return transact(self._engine, work)

    def put_back(self, taken: Sequence[Diagnosis]) -> None:
        """Take back that they were told: nobody was there any more."""
        ids = [one.id for one in taken]
        again = {"state": State.WAITING.value, "tries": _TABLE.c.tries - 1}
        still = _TABLE.c.id.in_(ids) & (_TABLE.c.state == State.SENT.value)
        transact(self._engine, lambda connection: connection.execute(update(_TABLE).where(still).values(again)))

    def answer(self, device: int, uid: str, result: Result, now: float) -> Diagnosis:
        """Take what a device says of one of its requests; the same word again has no effect.

        Raises:
            Gone: the device has no such request.
            Over: it has ended otherwise.
        """

        def work(connection: Connection) -> Diagnosis:
            mine = (_TABLE.c.device == device) & (_TABLE.c.uid == uid)
            found = _read(connection, select(_TABLE).where(mine).with_for_update())
            if not found:
                raise Gone
            (one,) = found
            if one.over:
                if (one.state, one.sha256) == (result.state, result.sha256):
                    return one
                raise Over
            if result.state not in OVER and ORDER.index(result.state) <= ORDER.index(one.state):
                return one
            return self._changed(connection, one, result, now)

        return transact(self._engine, work)

    def sweep(self, now: float) -> list[Diagnosis]:
        """Give up what took too long, and return it."""

        def work(connection: Connection) -> list[Diagnosis]:
            unfetched = (_TABLE.c.state == State.WAITING.value) & (_TABLE.c.asked_at <= now - WAITS)
            unheard = (_TABLE.c.state == State.SENT.value) & (_TABLE.c.tries >= TRIES)
            unheard &= _TABLE.c.changed_at <= now - UNHEARD
            stuck = _TABLE.c.state.in_(_STATES[1:]) & (_TABLE.c.asked_at <= now - LONGEST)
            late = _TABLE.c.done_at.is_(None) & (unfetched | unheard | stuck)
            found = _read(connection, select(_TABLE).where(late).order_by(_TABLE.c.id).limit(200))
            for one in found:
                fetched = one.state is not State.WAITING
                reason = "nothing was heard of it" if fetched else "the device did not fetch it"
                self._changed(connection, one, Result(State.TIMEOUT, reason), now)
            return found

        return transact(self._engine, work) if self._read(lambda connection: _any_late(connection, now)) else []

    def forget(self, before: float) -> None:
        """Drop the raw data of what is older; findings and audit stay."""
        old = (_TABLE.c.done_at < before) & _TABLE.c.data.is_not(None)
        transact(self._engine, lambda connection: connection.execute(update(_TABLE).where(old).values(data=None)))

    def _changed(self, connection: Connection, one: Diagnosis, result: Result, now: float) -> Diagnosis:
        over = result.state in OVER
        changes: dict[str, Any] = {"state": result.state.value, "reason": clean.line(result.reason), "changed_at": now}
        if result.started is not None:
            changes["started_at"] = result.started
        if over:
            changes |= {
                "done_at": now,
                "seconds": result.seconds,
                "finding": clean.paragraph(result.finding, _MAX_FINDING),
                "finding_id": clean.paragraph(result.finding_id, _MAX_FINDING),
                "finding_values": _harmless(result.finding_values),
                "data": result.data if result.data is None or len(result.data) <= _MAX_DATA else None,
                "sha256": result.sha256,
                "truncated": result.truncated,
            }
        here = _TABLE.c.id == one.id
        connection.execute(update(_TABLE).where(here).values(changes))
        self._note(
            connection, one, result.state.value, now, reason=result.reason, output=result.sha256, agent=result.audit
        )
        (after,) = _read(connection, select(_TABLE).where(here))
        if over and one.incident is not None:
            self._tell(connection, after, now)
        return after

    def _tell(self, connection: Connection, one: Diagnosis, now: float) -> None:
        """Put what was found into the incident's timeline."""
        if one.incident is None:
            return
        found = _read(connection, select(_TABLE).where(_TABLE.c.id == one.before)) if one.before else []
        shown = consent_of(connection, one.customer).shown
        batch = Batch(connection, self._policy, now, self._router)
        data = told(one, found[0] if found else None)
        batch.note(one.incident, DIAGNOSE, one.state.value, data, internal=not shown)
        batch.finish()

    def _note(self, connection: Connection, one: Diagnosis, action: str, now: float, **more: Any) -> None:
        found = audit.append(
            connection,
            one.customer,
            now,
            self.seal,
            one.incident,
            action=action,
            device=one.instance,
            name=one.name,
            request=one.uid,
            by=one.by,
            **{"ticket": one.ticket, **more},
        )
        connection.execute(update(_TABLE).where(_TABLE.c.id == one.id).values(audit=found))

    # What people read, and say. Each raises Unavailable if the database is away.

    def of_incident(self, scope: Scope, incident: int, *, data: bool = True) -> list[Diagnosis]:
        """Return an incident's diagnoses, the oldest first; none that the scope may not see."""
        return self._visible(scope, _TABLE.c.incident == incident, data=data, limit=100)[::-1]

    def of_device(self, scope: Scope, device: int, limit: int = 20) -> list[Diagnosis]:
        """Return a device's newest diagnoses, the newest first; none that the scope may not see."""
        return self._visible(scope, _TABLE.c.device == device, data=False, limit=limit)

    def find(self, scope: Scope, uid: str) -> Diagnosis | None:
        """Return a diagnosis with its data, None if the scope may not see it."""
        return next(iter(self._visible(scope, _TABLE.c.uid == uid, data=True, limit=1)), None)

    def consent(self, customer: str) -> Consent:
        """Return what a customer lets be asked."""
        return self._read(lambda connection: consent_of(connection, customer))

    def set_consent(self, customer: str, consent: Consent, *, by: str, now: float) -> None:
        """Let a customer's wish hold from now on; what it forbids and waits is withdrawn.

        Raises:
            Refused: there is no such class.
        """
        if unknown := consent.never - set(PRIVACY):
            raise Refused(f"there is no privacy class {', '.join(sorted(unknown))}; there are {', '.join(PRIVACY)}")

        def work(connection: Connection) -> None:
            write_consent(connection, customer, consent)
            facts = {"by": by, "never": sorted(consent.never), "shown": consent.shown}
            audit.append(connection, customer, now, self.seal, None, action="consent", **facts)
            forbidden = (_TABLE.c.customer == customer) & (_TABLE.c.state == State.WAITING.value)
            forbidden &= _TABLE.c.privacy.in_(sorted(consent.never))
            for one in _read(connection, select(_TABLE).where(forbidden)):
                self._changed(connection, one, Result(State.DENIED, "the customer's setting forbids it"), now)

        transact(self._engine, work)

    def audit(self, scope: Scope, *, before: int | None = None, limit: int = 100) -> list[AuditEntry]:
        """Return the newest entries of the audit of a scope, the newest first."""
        return self._read(lambda connection: audit.entries(connection, scope.customer, before, limit))

    def verify(self, scope: Scope, sealed: Sealed) -> list[Fault]:
        """Return what is wrong with the audit of a scope."""
        return self._read(lambda connection: audit.verify(connection, scope.customer, sealed))

    def changes(self, since: int) -> tuple[int, dict[str, set[int]]]:
        """Return the newest entry of the audit, and the incidents, by customer, that entries after `since` are of.

        0 stands for none.
        """
        return self._read(lambda connection: audit.changes(connection, since))

    def newest_change(self) -> int:
        """Return the newest entry of the audit, where `changes` begins."""
        return self._read(audit.newest)

    def _visible(self, scope: Scope, where: ColumnElement[bool], *, data: bool, limit: int) -> list[Diagnosis]:
        query: Any = (
            select(*(_TABLE.columns if data else _LISTED)).where(where).order_by(_TABLE.c.id.desc()).limit(limit)
        )

        def question(connection: Connection) -> list[Diagnosis]:
            if scope.customer is None:
                return _read(connection, query)
            if not consent_of(connection, scope.customer).shown:
                return []
            return _read(connection, query.where(_TABLE.c.customer == scope.customer))

        return self._read(question)

    def _read(self, question: Callable[[Connection], _Answer]) -> _Answer:
        return query_database(self._reads, question)


def _due(now: float, *, gear: bool) -> ColumnElement[bool]:
    of_gear = _TABLE.c.name.startswith(GEAR)
    unheard = (_TABLE.c.state == State.SENT.value) & (_TABLE.c.changed_at <= now - UNHEARD) & (_TABLE.c.tries < TRIES)
    waits = (_TABLE.c.state == State.WAITING.value) & (_TABLE.c.asked_at > now - WAITS)
    return _TABLE.c.done_at.is_(None) & (of_gear if gear else ~of_gear) & (waits | unheard)


def _any_late(connection: Connection, now: float) -> bool:
    oldest = connection.scalar(select(func.min(_TABLE.c.asked_at)).where(_TABLE.c.done_at.is_(None)))
    return oldest is not None and oldest <= now - UNHEARD


def _read(connection: Connection, query: Any) -> list[Diagnosis]:
    return msgspec.convert([dict(row._mapping) for row in connection.execute(query)], list[Diagnosis])  # noqa: SLF001


def _harmless(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        clean.line(name, 64): clean.line(value) if isinstance(value, str) else value
        for name, value in list(values.items())[:32]
    }
