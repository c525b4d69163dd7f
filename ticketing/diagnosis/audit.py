"""The audit: a chain of entries for each customer, so that what is missing, changed or moved is found.

Each entry's body is JSON text that holds the hash of the entry before it; its own hash is the SHA-256 of that text.
Where the chain ends is kept apart and sealed with the collector's key: without the key, nobody can cut off its end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ticketing import clean
from ticketing.models import AuditHeadRow, AuditRow

BEGINNING: Final = "0" * 64
_AUDIT: Final = AuditRow.metadata.tables["audit"]
_HEADS: Final = AuditHeadRow.metadata.tables["audit_heads"]
_MAX_TEXT: Final = 1_000
_AT_ONCE: Final = 1_000

Seal = Callable[[bytes], str]
Sealed = Callable[[bytes, str], bool]


def unsealed(_: bytes) -> str:
    """Seal nothing: for a database without a collector."""
    return ""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it is read: `facts` is what its body says."""

    id: int
    customer: str
    number: int
    at: float
    hash: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a chain, in a sentence."""

    customer: str
    number: int
    message: str


def append(
    connection: Connection, customer: str, now: float, seal: Seal, incident: int | None = None, **facts: Any
) -> str:
    """Write an entry in the caller's transaction, and return its hash; the chain is locked until the commit."""
    insert_ = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    first = insert_(_HEADS).values(customer=customer, number=0, hash=BEGINNING, seal="")
    connection.execute(first.on_conflict_do_nothing())
    mine = _HEADS.c.customer == customer
    head = connection.execute(select(_HEADS.c.number, _HEADS.c.hash).where(mine).with_for_update()).one()
    number = head.number + 1
    body = msgspec.json.encode(
        {"customer": customer, "number": number, "at": now, "previous": head.hash, **_plain(facts)}, order="sorted"
    )
    found = hashlib.sha256(body).hexdigest()
    row = {"customer": customer, "number": number, "at": now, "incident": incident}
    connection.execute(insert(_AUDIT).values({**row, "body": body.decode(), "hash": found}))
    sealed = seal(end_of(customer, number, found))
    connection.execute(update(_HEADS).where(mine).values(number=number, hash=found, seal=sealed))
    return found


def end_of(customer: str, number: int, found: str) -> bytes:
    """Return what the seal of a chain's end is of."""
    return f"watchdesk audit {customer} {number} {found}".encode()


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in facts.items() if value not in ("", None)}
    return {name: clean.line(value, _MAX_TEXT) if isinstance(value, str) else value for name, value in kept.items()}


def entries(connection: Connection, customer: str | None, before: int | None, limit: int) -> list[Entry]:
    """Return the newest entries of a customer, or of all, the newest first; `before` is an id, for the next page."""
    query = select(_AUDIT).order_by(_AUDIT.c.id.desc()).limit(limit)
    if customer is not None:
        query = query.where(_AUDIT.c.customer == customer)
    if before is not None:
        query = query.where(_AUDIT.c.id < before)
    return [
        Entry(row.id, row.customer, row.number, row.at, row.hash, _facts(row.body)) for row in connection.execute(query)
    ]


def newest(connection: Connection) -> int:
    """Return the id of the newest entry, 0 if there is none."""
    return connection.scalar(select(_AUDIT.c.id).order_by(_AUDIT.c.id.desc()).limit(1)) or 0


def changes(connection: Connection, since: int) -> tuple[int, dict[str, set[int]]]:
    """Return the newest entry's id, and the incidents by customer of what came after `since`; 0: of none."""
    query = select(_AUDIT.c.id, _AUDIT.c.customer, _AUDIT.c.incident).where(_AUDIT.c.id > since).order_by(_AUDIT.c.id)
    found: dict[str, set[int]] = {}
    for row in connection.execute(query.limit(_AT_ONCE)):
        found.setdefault(row.customer, set()).add(row.incident or 0)
        since = row.id
    return since, found


def verify(connection: Connection, customer: str | None, sealed: Sealed) -> list[Fault]:
    """Return what is wrong with the audit of a customer, or of all; nothing is, if it is empty."""
    heads = {row.customer: row for row in connection.execute(select(_HEADS))}
    found = set(connection.scalars(select(_AUDIT.c.customer).distinct()))
    names = {customer} if customer is not None else found | set(heads)
    return [fault for name in sorted(names) for fault in _faults(connection, name, heads.get(name), sealed)]


def _faults(connection: Connection, customer: str, head: Any, sealed: Sealed) -> Iterator[Fault]:
    number, previous = 0, BEGINNING
    while rows := _following(connection, customer, number):
        for row in rows:
            if row.number != number + 1:
                yield Fault(customer, number + 1, f"{_span(number + 1, row.number)} missing")
            yield from _row_faults(customer, row, previous if row.number == number + 1 else None)
            number, previous = row.number, row.hash
    if head is None:
        if number:
            yield Fault(customer, number, "where the audit ends is not known")
    elif head.number > number:
        yield Fault(customer, number + 1, f"{_span(number + 1, head.number + 1)} missing at the end")
    elif (head.number, head.hash) != (number, previous):
        yield Fault(customer, number, "the audit does not end as it says")
    elif not sealed(end_of(customer, head.number, head.hash), head.seal):
        yield Fault(customer, number, "its end is not sealed with this collector's key")


def _row_faults(customer: str, row: Any, previous: str | None) -> Iterator[Fault]:
    facts = _facts(row.body)
    if hashlib.sha256(row.body.encode()).hexdigest() != row.hash:
        yield Fault(customer, row.number, f"entry {row.number} was changed")
    elif (facts.get("customer"), facts.get("number"), facts.get("at")) != (row.customer, row.number, row.at):
        yield Fault(customer, row.number, f"entry {row.number} was moved: it says number {facts.get('number')}")
    elif previous is not None and facts.get("previous") != previous:
        yield Fault(customer, row.number, f"entry {row.number} does not follow on the one before it")


def _following(connection: Connection, customer: str, number: int) -> list[Any]:
    mine = (_AUDIT.c.customer == customer) & (_AUDIT.c.number > number)
    return list(connection.execute(select(_AUDIT).where(mine).order_by(_AUDIT.c.number).limit(_AT_ONCE)))


def _span(first: int, after: int) -> str:
    return f"entry {first} is" if after - first == 1 else f"entries {first} to {after - 1} are"


def _facts(body: str) -> Mapping[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}
