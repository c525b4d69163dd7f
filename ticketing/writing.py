"""Writes the effects of a batch of alerts, set by set: load the incidents concerned, fold the alerts in, store.

The timeline comes last, because its lock on PostgreSQL is held until the commit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from sqlalchemy import Connection, Select, delete, func, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from ticketing import bulk, rows
from ticketing.alert import Alert
from ticketing.correlating import Correlation
from ticketing.decide import Policy
from ticketing.errors import Conflict, Refused
from ticketing.fold import Case
from ticketing.incident import Incident, TimelineEntry
from ticketing.key import key
from ticketing.marks import parents_of
from ticketing.models import CursorRow, DeliveryRow
from ticketing.outbox.routing import COLUMNS as DELIVERY_COLUMNS
from ticketing.outbox.routing import NOBODY, Router
from ticketing.rows import FEEDS, INCIDENTS, TIMELINE
from ticketing.scope import Scope
from ticketing.surroundings import NOTHING_KNOWN, Surroundings
from ticketing.transaction import Raced
from ticketing.work import Act, Merge, Reopen

DIAGNOSE: Final = "diagnose"  # the action of the entries that tell what a diagnosis found
_CHUNK: Final = 2_000
_SWEEP: Final = 2_000  # of what is due at most so many at a time, so that no batch waits long for it

_CURSORS: Final = CursorRow.metadata.tables["cursors"]
_OUTBOX: Final = DeliveryRow.metadata.tables["outbox"]


def claim(connection: Connection, consumer: str, position: int) -> bool:
    """Move the consumer's cursor forward; False if it is there or further already. Locks it until the commit."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    placed = insert(_CURSORS).values(consumer=consumer, position=position)
    moved = placed.on_conflict_do_update(
        index_elements=["consumer"],
        set_={"position": placed.excluded.position},
        where=_CURSORS.c.position < placed.excluded.position,
    )
    return connection.scalar(moved.returning(_CURSORS.c.position)) is not None


def position(connection: Connection, consumer: str) -> int:
    """Return the position of the consumer's cursor, 0 if it has none."""
    return connection.scalar(select(_CURSORS.c.position).where(_CURSORS.c.consumer == consumer)) or 0


@dataclass(slots=True)
class Batch:
    """The effects of alerts within one transaction."""

    connection: Connection
    policy: Policy
    now: float
    router: Router = NOBODY
    around: Surroundings = NOTHING_KNOWN
    changed: list[int] = field(default_factory=list)
    entries: list[tuple[Any, ...]] = field(default_factory=list)  # rows of the timeline
    swallowed: list[tuple[int, int]] = field(default_factory=list)  # (incident, version) of entries taken in
    deliveries: list[tuple[Any, ...]] = field(default_factory=list)  # rows of the outbox

    def take(self, customer: str, alerts: Mapping[str, Sequence[Alert]]) -> None:
        """Let one customer's alerts, by key, have their effect on the incidents."""
        keys = iter(sorted(alerts))  # in one order everywhere, so that two writers do not wait for each other
        while chunk := list(islice(keys, _CHUNK)):
            cases = self._load(customer, chunk)
            numbers = bulk.numbers(self.connection, INCIDENTS, sum(case.incident is None for case in cases))
            for case in cases:
                for alert in alerts[case.key]:
                    case.take(alert, self.now, self.policy, numbers.__next__, self.around)
                case.wake(self.now, self.policy)
            self._correlate(customer, cases, numbers)
            self._store(cases)

    def sweep(self) -> None:
        """Do what time alone does to incidents that no alert concerned."""
        due = INCIDENTS.c.wake_at <= self.now
        newest = select(INCIDENTS).where(due).order_by(INCIDENTS.c.wake_at).limit(_SWEEP)
        mine: dict[str, list[Case]] = defaultdict(list)
        for case in self._cases(newest.with_for_update(skip_locked=True)):
            case.wake(self.now, self.policy)
            mine[case.customer].append(case)
        for customer in sorted(mine):
            self._correlate(customer, mine[customer], bulk.numbers(self.connection, INCIDENTS, 0))
            self._store(mine[customer])

    def _correlate(self, customer: str, cases: list[Case], numbers: Iterator[int]) -> None:
        """Move what belongs elsewhere now; the cases grow by those that are moved."""

        def take(alert: Alert) -> Case:
            wanted = key(alert)
            case = next((case for case in cases if case.key == wanted), None) or self._load(customer, [wanted])[0]
            case.take(alert, self.now, self.policy, numbers.__next__, self.around)
            return case

        load, connection = self._locked, self.connection
        Correlation(connection, customer, cases, self.around, self.policy, self.now, load, take).run()

    def act(self, scope: Scope, incident: int, act: Act, actor: str, version: int | None) -> bool:
        """Let a person's action have its effect; False if the incident is not in the scope.

        Raises Conflict if it has another version than the one given, Refused if the action does not fit.
        """
        wanted = INCIDENTS.c.id == incident
        if scope.customer is not None:
            wanted &= INCIDENTS.c.customer == scope.customer
        cases = self._locked(select(INCIDENTS).where(wanted))
        for case in cases:
            if version is not None and case.stored is not None and self._changed_since(case.stored, version):
                raise Conflict(f"{case.stored.number} was changed meanwhile")
            case.wake(self.now, self.policy)
            if isinstance(act, Reopen) and self._is_open(case.customer, case.key):
                raise Refused("there is a newer incident of this key")
            if isinstance(act, Merge):
                self._check_merge(case, act)
            case.perform(act, actor, self.now)
            self._correlate(case.customer, cases, bulk.numbers(self.connection, INCIDENTS, 0))
        self._store(cases)
        return bool(cases)

    def _changed_since(self, stored: Incident, version: int) -> bool:
        """Tell whether an incident is another than a person saw; what was found out meanwhile takes nothing away."""
        if stored.version == version:
            return False
        since = (TIMELINE.c.incident == stored.id) & (TIMELINE.c.version > version)
        actions = set(self.connection.scalars(select(TIMELINE.c.action).where(since)))
        return version > stored.version or actions != {DIAGNOSE}

    def note(self, incident: int, action: str, reason: str, data: Mapping[str, Any], *, internal: bool) -> None:
        """Add what the machine found out about an incident to its timeline."""
        cases = self._locked(select(INCIDENTS).where(INCIDENTS.c.id == incident))
        for case in cases:
            case.wake(self.now, self.policy)
            case.note(action, reason, self.now, data, internal=internal)
        self._store(cases)

    def _check_merge(self, case: Case, act: Merge) -> None:
        """Raise Refused if what it is to be a part of is not there, over, or a part of it."""
        parent = (INCIDENTS.c.id == act.parent) & (INCIDENTS.c.customer == case.customer)
        found = self.connection.execute(select(INCIDENTS.c.id).where(parent & INCIDENTS.c.resolved_at.is_(None)))
        if found.one_or_none() is None:
            raise Refused(f"there is no unresolved incident INC-{act.parent} of this customer")
        if case.incident is not None and case.incident.id in parents_of(self.connection, act.parent):
            raise Refused(f"INC-{act.parent} is itself a part of {case.incident.number}")

    def finish(self) -> None:
        """Write the timeline, and what is to be told of it."""
        if not self.entries:
            return
        bulk.insert(self.connection, _OUTBOX, DELIVERY_COLUMNS, self.deliveries)
        bulk.lock_timeline(self.connection)
        bulk.insert(self.connection, TIMELINE, rows.ENTRY_COLUMNS, self.entries)
        # Only now, so that no new entry gets the number of one that went: readers count on growing numbers.
        for part in _chunks(self.swallowed, 500):
            self.connection.execute(delete(TIMELINE).where(tuple_(TIMELINE.c.incident, TIMELINE.c.version).in_(part)))

    def _load(self, customer: str, keys: Sequence[str]) -> list[Case]:
        """Return a case for each key, with the newest incident of the key: the open one, else the last."""
        mine = (INCIDENTS.c.customer == customer) & bulk.among(self.connection, INCIDENTS.c.key, keys)
        unresolved = select(INCIDENTS).where(mine & INCIDENTS.c.resolved_at.is_(None))
        found = {case.key: case for case in self._locked(unresolved)}
        missing = [key for key in keys if key not in found]
        if missing:
            gone = (INCIDENTS.c.customer == customer) & bulk.among(self.connection, INCIDENTS.c.key, missing)
            last = select(func.max(INCIDENTS.c.id)).where(gone & INCIDENTS.c.resolved_at.is_not(None))
            last = last.group_by(INCIDENTS.c.key)
            ids = self.connection.scalars(last).all()
            past = select(INCIDENTS).where(bulk.among(self.connection, INCIDENTS.c.id, ids))
            found |= {case.key: case for case in self._locked(past)} if ids else {}
        return [found.get(key) or Case(customer, key) for key in keys]

    def _is_open(self, customer: str, key: str) -> bool:
        mine = (INCIDENTS.c.customer == customer) & (INCIDENTS.c.key == key)
        return (
            self.connection.scalar(select(INCIDENTS.c.id).where(mine & INCIDENTS.c.resolved_at.is_(None))) is not None
        )

    def _locked(self, query: Select[Any]) -> list[Case]:
        # By key: everybody locks in one order, and SQLite finds them by the index of the keys.
        return self._cases(query.order_by(INCIDENTS.c.key).with_for_update())

    def _cases(self, query: Select[Any]) -> list[Case]:
        found = self.connection.execute(query).freeze()
        ids = [row.id for row in found()]
        incidents = rows.incidents_of(found(), feeds(self.connection, ids))
        quiet = self._quiet_entries([row.id for row in found() if row.quiet])
        return [Case(one.customer, one.key, one, quiet.get(one.id)) for one in incidents]

    def _quiet_entries(self, incidents: Sequence[int]) -> dict[int, TimelineEntry]:
        if not incidents:
            return {}
        mine = bulk.among(self.connection, TIMELINE.c.incident, incidents)
        newest = TIMELINE.c.version == INCIDENTS.c.version
        query = select(TIMELINE).join(INCIDENTS, (TIMELINE.c.incident == INCIDENTS.c.id) & newest).where(mine)
        return {entry.incident: entry for entry in rows.entries_of(self.connection.execute(query))}

    def _store(self, cases: Iterable[Case]) -> None:
        writes = _Writes(self.policy)
        for case in cases:
            for incident in case.changed():
                writes.add(case, incident)
                self.changed.append(incident.id)
            self.entries += [rows.entry_values(entry, case.customer) for entry in case.entries]
            self._tell(case)
            if case.swallowed and case.quiet is not None:
                self.swallowed.append((case.quiet.incident, case.quiet.version))
        writes.run(self.connection)

    def _tell(self, case: Case) -> None:
        if not self.router.settings.routes:
            return
        incidents = {incident.id: incident for incident in case.changed()}
        for entry in case.entries:
            self.deliveries += self.router.deliveries(incidents[entry.incident], entry, self.now)


@dataclass(slots=True)
class _Writes:
    """Rows of incidents and their alerts, gathered and then written set by set."""

    policy: Policy
    opened: list[tuple[Any, ...]] = field(default_factory=list)
    added: list[tuple[Any, ...]] = field(default_factory=list)
    changed: list[tuple[Any, ...]] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)
    new_feeds: list[tuple[Any, ...]] = field(default_factory=list)
    feeds: list[tuple[Any, ...]] = field(default_factory=list)

    def add(self, case: Case, incident: Incident) -> None:
        number, stored = incident.id, case.stored
        if stored is not None and stored.id == number:
            self.changed.append(rows.incident_values(incident, self.policy, quiet=case.ends_quietly(number)))
            self.versions.append(stored.version)
            new = [feed for name, feed in incident.alerts.items() if feed is not stored.alerts.get(name)]
            self.feeds += [rows.feed_values(number, feed) for feed in new]
            return
        if incident.version == 1 and incident.hold is None:
            self.opened.append(rows.opening_values(incident))
        else:
            self.added.append(rows.incident_values(incident, self.policy, quiet=case.ends_quietly(number)))
        self.new_feeds += [rows.feed_values(number, feed) for feed in incident.alerts.values()]

    def run(self, connection: Connection) -> None:
        # What is over goes first: a key may have an incident that ends and one that opens in one batch.
        if bulk.change(connection, INCIDENTS, rows.INCIDENT_COLUMNS, self.changed, self.versions) != len(self.changed):
            raise Raced
        bulk.insert(connection, INCIDENTS, rows.INCIDENT_COLUMNS, self.added)
        bulk.insert(connection, INCIDENTS, rows.OPENING_COLUMNS, self.opened)
        bulk.insert(connection, FEEDS, rows.FEED_COLUMNS, self.new_feeds)
        bulk.upsert(connection, FEEDS, rows.FEED_COLUMNS, self.feeds)


def feeds(connection: Connection, incidents: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return the alerts of many incidents, as `rows.incidents_of` takes them."""
    if not incidents:
        return {}
    query = select(FEEDS).where(bulk.among(connection, FEEDS.c.incident, incidents))
    return rows.feeds_of(connection.execute(query))


def _chunks(values: Sequence[tuple[int, int]], size: int) -> Iterator[Sequence[tuple[int, int]]]:
    return (values[start : start + size] for start in range(0, len(values), size))
