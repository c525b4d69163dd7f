"""The outbox in the database: taking the next delivery, saying how it went, and what people see and do of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
import sqlalchemy
from sqlalchemy import Connection, case, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ticketing.database import reading
from ticketing.models import DeliveryRow, ReferenceRow
from ticketing.scope import Scope
from ticketing.transaction import ask, transact

TABLE: Final = DeliveryRow.metadata.tables["outbox"]
_REFERENCES: Final = ReferenceRow.metadata.tables["outbox_references"]
_WAITS: Final = TABLE.c.state == "waiting"
_DROPPED: Final = "dropped by a person"
_MAX_ERROR: Final = 500
_Answer = TypeVar("_Answer")


class Delivery(msgspec.Struct, frozen=True):
    """A row of the outbox; times are Unix seconds. `attempts` counts the tries that were begun."""

    id: int
    recipient: str
    customer: str
    incident: int
    version: int
    upto: int
    state: str
    attempts: int
    uncertain: bool
    created_at: float
    due_at: float
    done_at: float | None
    error: str

    @property
    def key(self) -> str:
        """Return what is the same on every try, so that the recipient can tell a repetition."""
        return f"{self.recipient}/{self.incident}/{self.version}"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a recipient's deliveries are."""

    waiting: int
    failing: int  # of those waiting: tried before, without success
    dead: int
    sent: int  # of those still kept
    oldest: float | None  # since when the oldest waits that could have been sent, Unix seconds


class Outbox:
    """The deliveries of one database; safe to use from several threads and processes."""

    def __init__(self, engine: sqlalchemy.Engine) -> None:
        self._engine = engine
        self._reads = reading(engine)

    # What the sender does. Each raises Unavailable if the database is away.

    def is_due(self, recipient: str, now: float) -> bool:
        """Tell whether there may be something to send; waits for no writer."""
        query = select(TABLE.c.id).where(_WAITS, TABLE.c.recipient == recipient, TABLE.c.due_at <= now).limit(1)
        return self._read(lambda connection: connection.scalar(query)) is not None

    def take(self, recipient: str, now: float, lease: float) -> Delivery | None:
        """Begin the try of the recipient's oldest due delivery; nobody else takes it for `lease` seconds.

        What waits for the same recipient about the same incident and was never tried joins it, so that a recipient
        that was away is not told every step; and nothing overtakes an older change of the same incident.
        """

        def work(connection: Connection) -> Delivery | None:
            found = _oldest(connection, recipient, now)
            if found is None:
                return None
            if found.attempts == 0:
                found = _joined(connection, found, now)
            news = {"attempts": found.attempts + 1, "due_at": now + lease, "uncertain": True, "upto": found.upto}
            same = (TABLE.c.id == found.id) & (TABLE.c.attempts == found.attempts) & _WAITS
            if connection.execute(update(TABLE).where(same).values(news)).rowcount != 1:
                return None
            return msgspec.structs.replace(found, attempts=found.attempts + 1)

        return transact(self._engine, work)

    def delivered(self, delivery: Delivery, now: float, reference: str) -> None:
        """Say that it arrived; a reference is what the recipient calls the incident."""

        def work(connection: Connection) -> None:
            _settle(connection, delivery, {"state": "sent", "done_at": now, "uncertain": False, "error": ""})
            if reference:
                values = {"recipient": delivery.recipient, "incident": delivery.incident, "reference": reference[:255]}
                insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
                keys = ["recipient", "incident"]
                changed = {"reference": reference[:255]}
                placed = insert(_REFERENCES).values(values)
                connection.execute(placed.on_conflict_do_update(index_elements=keys, set_=changed))

        transact(self._engine, work)

    def failed(self, delivery: Delivery, due_at: float, error: str, *, uncertain: bool) -> None:
        """Say that it did not arrive, and when to try again."""
        news = {"due_at": due_at, "error": error[:_MAX_ERROR], "uncertain": uncertain}
        transact(self._engine, lambda connection: _settle(connection, delivery, news))

    def died(self, delivery: Delivery, now: float, error: str, *, uncertain: bool) -> None:
        """Say that it will not be tried again by itself."""
        news = {"state": "dead", "done_at": now, "error": error[:_MAX_ERROR], "uncertain": uncertain}
        transact(self._engine, lambda connection: _settle(connection, delivery, news))

    def reference(self, recipient: str, incident: int) -> str:
        """Return what the recipient calls an incident, "" if it was never told of it."""
        mine = (_REFERENCES.c.recipient == recipient) & (_REFERENCES.c.incident == incident)
        return self._read(lambda connection: connection.scalar(select(_REFERENCES.c.reference).where(mine))) or ""

    def tidy(self, now: float, keep_seconds: float, recipients: Sequence[str]) -> None:
        """Forget what is long done, and give up what waits for recipients that are no longer configured."""

        def work(connection: Connection) -> None:
            connection.execute(delete(TABLE).where(~_WAITS, TABLE.c.done_at < now - keep_seconds))
            orphans = update(TABLE).where(_WAITS, TABLE.c.recipient.not_in(recipients))
            connection.execute(orphans.values(state="dead", done_at=now, error="there is no such recipient any more"))

        transact(self._engine, work)

    # What people see and do.

    def deliveries(self, scope: Scope, state: str = "", limit: int = 100) -> list[Delivery]:
        """Return deliveries, the newest first; of one state if it is given."""
        query = select(TABLE).order_by(TABLE.c.id.desc()).limit(limit)
        if state:
            query = query.where(TABLE.c.state == state)
        if scope.customer is not None:
            query = query.where(TABLE.c.customer == scope.customer)
        return self._read(lambda connection: [_delivery(row) for row in connection.execute(query)])

    def standings(self, now: float) -> dict[str, Standing]:
        """Return how the deliveries of each recipient are."""
        late = _WAITS & (TABLE.c.due_at <= now) | _WAITS & (TABLE.c.attempts > 0)
        query = select(
            TABLE.c.recipient,
            *(func.sum(case((condition, 1), else_=0)) for condition in _standing_conditions()),
            func.min(case((late, TABLE.c.created_at))),
        ).group_by(TABLE.c.recipient)
        return self._read(lambda connection: dict(map(_standing, connection.execute(query))))

    def retry(self, ids: Sequence[int] | None, now: float) -> int:
        """Try dead or waiting deliveries now (None: all that are dead or failing); return how many."""
        state = (
            TABLE.c.state.in_(["dead", "waiting"])
            if ids is not None
            else (TABLE.c.state == "dead") | (_WAITS & (TABLE.c.attempts > 0))
        )
        news = {"state": "waiting", "due_at": now, "done_at": None, "created_at": now}
        return self._change(ids, state, news)

    def drop(self, ids: Sequence[int] | None, now: float) -> int:
        """Give up waiting deliveries and forget the dead ones' claim to attention (None: all dead); return how many."""
        state = TABLE.c.state.in_(["dead", "waiting"]) if ids is not None else TABLE.c.state == "dead"
        return self._change(ids, state, {"state": "dropped", "done_at": now, "error": _DROPPED})

    def _change(
        self, ids: Sequence[int] | None, condition: sqlalchemy.ColumnElement[bool], news: dict[str, Any]
    ) -> int:
        changed = update(TABLE).where(condition).values(news)
        if ids is not None:
            changed = changed.where(TABLE.c.id.in_(ids))
        return transact(self._engine, lambda connection: connection.execute(changed).rowcount)

    def _read(self, question: Callable[[Connection], _Answer]) -> _Answer:
        return ask(self._reads, question)


def _standing(row: Sequence[Any]) -> tuple[str, Standing]:
    recipient, waiting, failing, dead, sent, oldest = row
    return recipient, Standing(waiting, failing, dead, sent, oldest)


def _standing_conditions() -> tuple[sqlalchemy.ColumnElement[bool], ...]:
    return (_WAITS, _WAITS & (TABLE.c.attempts > 0), TABLE.c.state == "dead", TABLE.c.state == "sent")


def _oldest(connection: Connection, recipient: str, now: float) -> Delivery | None:
    before = TABLE.alias("before")
    same = (before.c.recipient == TABLE.c.recipient) & (before.c.incident == TABLE.c.incident)
    older = select(before.c.id).where(same, before.c.state == "waiting", before.c.version < TABLE.c.version)
    query = select(TABLE).where(_WAITS, TABLE.c.recipient == recipient, TABLE.c.due_at <= now, ~older.exists())
    row = connection.execute(query.order_by(TABLE.c.due_at, TABLE.c.id).limit(1)).one_or_none()
    return None if row is None else _delivery(row)


def _joined(connection: Connection, first: Delivery, now: float) -> Delivery:
    """Let later changes of the same incident travel with the first."""
    same = (TABLE.c.recipient == first.recipient) & (TABLE.c.incident == first.incident) & (TABLE.c.due_at <= now)
    later = same & _WAITS & (TABLE.c.attempts == 0) & (TABLE.c.id != first.id)
    upto = connection.scalar(select(func.max(TABLE.c.upto)).where(later))
    if upto is None:
        return first
    connection.execute(delete(TABLE).where(later))
    return msgspec.structs.replace(first, upto=max(upto, first.upto))


def _settle(connection: Connection, delivery: Delivery, news: dict[str, Any]) -> None:
    # Nothing happens if the lease ran out and somebody else took it, or a person dropped it.
    same = (TABLE.c.id == delivery.id) & (TABLE.c.attempts == delivery.attempts) & _WAITS
    connection.execute(update(TABLE).where(same).values(news))


def _delivery(row: sqlalchemy.Row[Any]) -> Delivery:
    return msgspec.convert(row._mapping, Delivery)  # noqa: SLF001 - the name that SQLAlchemy documents
