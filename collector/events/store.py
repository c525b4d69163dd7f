"""Events and inventories in the database: written by their consumer, read within a scope."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import cramjam
import msgspec
from sqlalchemy import ColumnElement, Connection, Engine, Select, delete, func, insert, select, update

from collector.events.models import EventRow, InventoryRow, MarkRow
from collector.ingest.intake import Marks
from collector.register.models import CustomerRow, DeviceRow, SiteRow
from ticketing import clean
from ticketing.database import reading
from ticketing.models import CursorRow
from ticketing.scope import Scope

CONSUMER: Final = "events"
MAX_PAGE: Final = 1_000
KEPT_INVENTORIES: Final = 10  # of each device
_DELETED_AT_ONCE: Final = 5_000

Parts = dict[str, Any]
Query = TypeVar("Query", bound=Select[Any])


@dataclass(frozen=True, slots=True)
class Happening:
    """An event as it is kept. `id` grows in the order in which events came."""

    device: int
    at: float
    type: str
    source: str
    level: str
    text: str
    attributes: dict[str, Any] = field(default_factory=dict)
    id: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events: all that is given must hold."""

    device: int | None = None
    since: float | None = None
    until: float | None = None
    types: Collection[str] = ()
    levels: Collection[str] = ()
    text: str = ""  # in the text or the source, in any case of its letters
    before: int | None = None  # an id: what came before it, for the next page

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return what holds for the rows that are wanted."""
        found: list[ColumnElement[bool]] = []
        if self.device is not None:
            found.append(EventRow.device == self.device)
        if self.since is not None:
            found.append(EventRow.at >= self.since)
        if self.until is not None:
            found.append(EventRow.at <= self.until)
        if self.types:
            found.append(EventRow.type.in_(self.types))
        if self.levels:
            found.append(EventRow.level.in_(self.levels))
        if self.before is not None:
            found.append(EventRow.id < self.before)
        if self.text:
            found.append(
                EventRow.text.icontains(self.text, autoescape=True)
                | EventRow.source.icontains(self.text, autoescape=True)
            )
        return found


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a device consisted of from `at` on: its parts by their names."""

    at: float
    parts: Parts


class EventStore:
    """The tables of events and inventories."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = reading(engine)

    # -- reading -------------------------------------------------------------------------------------------------

    def events(self, scope: Scope, wanted: Wanted = Wanted(), limit: int = 100) -> list[Happening]:
        """Return the newest events of the scope that are wanted, the newest first."""
        query = _within(select(EventRow.__table__).where(*wanted.conditions()), EventRow, scope)
        query = query.order_by(EventRow.at.desc(), EventRow.id.desc()).limit(max(1, min(limit, MAX_PAGE)))
        with self._reading.connect() as connection:
            return [
                Happening(row.device, row.at, row.type, row.source, row.level, row.text, row.attributes, row.id)
                for row in connection.execute(query)
            ]

    def inventories(self, scope: Scope, device: int, limit: int = 1) -> list[Inventory]:
        """Return what a device of the scope consists of and consisted of, the newest first."""
        query = _within(select(InventoryRow.__table__).where(InventoryRow.device == device), InventoryRow, scope)
        with self._reading.connect() as connection:
            rows = connection.execute(query.order_by(InventoryRow.id.desc()).limit(limit)).all()
        return [Inventory(row.at, _unpacked(row.packed)) for row in rows]

    def position(self) -> int:
        """Return the last record of the log whose events are stored."""
        with self._reading.connect() as connection:
            query = select(CursorRow.position).where(CursorRow.consumer == CONSUMER)
            return connection.scalar(query) or 0

    def count(self) -> int:
        """Return how many events are kept."""
        with self._reading.connect() as connection:
            return connection.scalar(select(func.count()).select_from(EventRow)) or 0

    # -- writing -------------------------------------------------------------------------------------------------

    def newest(self, devices: Collection[int]) -> dict[int, Parts]:
        """Return the newest inventory of each of these devices that has one."""
        last = select(func.max(InventoryRow.id)).where(InventoryRow.device.in_(devices)).group_by(InventoryRow.device)
        query = select(InventoryRow.device, InventoryRow.packed).where(InventoryRow.id.in_(last))
        with self._reading.connect() as connection:
            return {row.device: _unpacked(row.packed) for row in connection.execute(query)}

    def inventories_after(self, number: int) -> list[tuple[int, int, Parts]]:
        """Return (number, device, parts) of the newest inventories that were stored after that number, by number."""
        last = select(func.max(InventoryRow.id)).where(InventoryRow.id > number).group_by(InventoryRow.device)
        query = select(InventoryRow.id, InventoryRow.device, InventoryRow.packed).where(InventoryRow.id.in_(last))
        with self._reading.connect() as connection:
            rows = connection.execute(query.order_by(InventoryRow.id)).all()
        return [(row.id, row.device, _unpacked(row.packed)) for row in rows]

    def marks(self) -> dict[int, Marks]:
        """Return which frames of each device were taken."""
        with self._reading.connect() as connection:
            rows = connection.execute(select(MarkRow.device, MarkRow.epochs)).all()
        return {row.device: {int(epoch): seq for epoch, seq in row.epochs.items()} for row in rows}

    def write(
        self,
        events: Sequence[Happening],
        inventories: Sequence[tuple[int, Inventory]],
        position: int,
        marks: Mapping[int, Marks] | None = None,
    ) -> None:
        """Store what the log held up to `position`, once: all of it in one transaction with that position, and with
        the marks that have changed.

        What belongs to a device that the register does not know is left out.
        """
        with self._engine.begin() as connection:
            kept = connection.scalar(select(CursorRow.position).where(CursorRow.consumer == CONSUMER))
            if kept is not None and kept >= position:
                return
            devices = {event.device for event in events} | {device for device, _ in inventories}
            owners = _owners(connection, devices)
            rows = [_event_row(event, owners[event.device]) for event in events if event.device in owners]
            if rows:
                connection.execute(insert(EventRow), rows)
            for device, inventory in inventories:
                if device in owners:
                    _keep_inventory(connection, device, owners[device], inventory)
            _keep_marks(connection, marks or {})
            if kept is None:
                connection.execute(insert(CursorRow).values(consumer=CONSUMER, position=position))
            else:
                connection.execute(update(CursorRow).where(CursorRow.consumer == CONSUMER).values(position=position))

    def drop(self, *, before: float, keep: int) -> int:
        """Delete some of the events that are older than `before`, or more than `keep`; return how many went.

        A part at a time, so that nobody waits for long: call it again while it deletes something.
        """
        with self._engine.begin() as connection:
            surplus = (connection.scalar(select(func.count()).select_from(EventRow)) or 0) - keep
            old = select(EventRow.id).where(EventRow.at < before).limit(_DELETED_AT_ONCE)
            gone = connection.execute(delete(EventRow).where(EventRow.id.in_(old))).rowcount
            if gone < surplus:
                oldest = select(EventRow.id).order_by(EventRow.id).limit(min(surplus - gone, _DELETED_AT_ONCE))
                gone += connection.execute(delete(EventRow).where(EventRow.id.in_(oldest))).rowcount
            return gone


def _within(query: Query, table: type[EventRow | InventoryRow], scope: Scope) -> Query:
    """Return the query narrowed to what the scope may see."""
    return query if scope.customer is None else query.where(table.customer == scope.customer)


def _owners(connection: Connection, devices: Collection[int]) -> dict[int, str]:
    """Return the customer's slug for each device."""
    query = (
        select(DeviceRow.id, CustomerRow.slug)
        .join(SiteRow, DeviceRow.site_id == SiteRow.id)
        .join(CustomerRow, SiteRow.customer_id == CustomerRow.id)
        .where(DeviceRow.id.in_(devices))
    )
    return {row.id: row.slug for row in connection.execute(query)}


def _event_row(event: Happening, customer: str) -> dict[str, Any]:
    return {
        "device": event.device,
        "customer": customer,
        "at": event.at,
        "type": event.type,
        "source": clean.line(event.source, 128),
        "level": event.level,
        "text": clean.paragraph(event.text, 4_000),
        "attributes": {clean.line(name): _cleaned(value) for name, value in event.attributes.items()},
    }


def _cleaned(value: Any) -> Any:
    return clean.paragraph(value, 4_000) if isinstance(value, str) else value


def _keep_inventory(connection: Connection, device: int, customer: str, inventory: Inventory) -> None:
    packed = bytes(cramjam.zstd.compress(msgspec.json.encode(inventory.parts), 6))
    values = {"device": device, "customer": customer, "at": inventory.at, "packed": packed}
    connection.execute(insert(InventoryRow).values(values))
    mine = select(InventoryRow.id).where(InventoryRow.device == device).order_by(InventoryRow.id.desc())
    last = connection.scalars(mine.limit(KEPT_INVENTORIES)).all()[-1]
    connection.execute(delete(InventoryRow).where(InventoryRow.device == device, InventoryRow.id < last))


def _keep_marks(connection: Connection, marks: Mapping[int, Marks]) -> None:
    if marks:
        connection.execute(delete(MarkRow).where(MarkRow.device.in_(marks)))
        rows = [{"device": device, "epochs": {str(e): seq for e, seq in own.items()}} for device, own in marks.items()]
        connection.execute(insert(MarkRow), rows)


def _unpacked(packed: bytes) -> Parts:
    return msgspec.json.decode(bytes(cramjam.zstd.decompress(packed)), type=Parts)
