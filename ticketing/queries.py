"""What the pages read. Every query is narrowed to its scope by `within`, the one place where that happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, Select, Table, and_, func, or_, select

from ticketing import bulk, key, rows
from ticketing.incident import UNRESOLVED, Incident, State, TimelineEntry
from ticketing.rows import INCIDENTS, TIMELINE
from ticketing.scope import Scope
from ticketing.writing import feeds

_MAX_PAGE: Final = 1_000


class Order(StrEnum):
    """How a list is sorted."""

    PRIORITY = "priority"  # P1 first, the newest first within a priority
    NEWEST = "newest"  # by number, the newest first


@dataclass(frozen=True, slots=True)
class Filter:
    """Which incidents are wanted: all that is given must hold; None and "" leave open."""

    states: frozenset[State] = UNRESOLVED
    priority: int | None = None
    severity: str | None = None
    customer: str | None = None
    site: str | None = None
    device: str | None = None
    owner: str | None = None
    text: str = ""  # in the key
    children: bool = False  # those under a parent, too
    hidden: bool = False  # those that wait, or waited until they were over, without ever having been a ticket, too


UNFILTERED: Final = Filter()


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list; `after` goes into the next call, and is None at the end."""

    incidents: list[Incident]
    after: str | None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many unresolved incidents there are in a scope."""

    states: Mapping[State, int]
    priorities: Mapping[int, int]

    @property
    def total(self) -> int:
        """Return all unresolved."""
        return sum(self.states.values())


def within(query: Select[Any], table: Table, scope: Scope) -> Select[Any]:
    """Return the query narrowed to what the scope may see."""
    if scope.customer is None:
        return query
    query = query.where(table.c.customer == scope.customer)
    return query.where(TIMELINE.c.internal.is_(False)) if table is TIMELINE else query


def find(connection: Connection, scope: Scope, incident: int) -> Incident | None:
    """Return an incident with its alerts and members."""
    query = within(select(INCIDENTS).where(INCIDENTS.c.id == incident), INCIDENTS, scope)
    members = _members(connection, [incident])
    found = rows.incidents_of(connection.execute(query), feeds(connection, [incident]), members)
    return found[0] if found else None


def page(connection: Connection, scope: Scope, wanted: Filter, order: Order, after: str | None, limit: int) -> Page:
    """Return a part of a list. Raises ValueError if `after` did not come from an earlier page."""
    limit = max(1, min(limit, _MAX_PAGE))
    query = within(select(INCIDENTS).where(*_conditions(wanted, connection.dialect.name)), INCIDENTS, scope)
    found: list[Incident] = []
    for part in _after(order, after):
        narrowed = query if part is None else query.where(part)
        part_of = narrowed.order_by(*_BY[order]).limit(limit + 1 - len(found))
        found += rows.incidents_of(connection.execute(part_of))
        if len(found) > limit:
            break
    shown, more = found[:limit], len(found) > limit
    members = _members(connection, [one.id for one in shown])
    incidents = [replace(one, members=members[one.id]) if one.id in members else one for one in shown]
    return Page(incidents, f"{incidents[-1].priority}.{incidents[-1].id}" if more else None)


def counts(connection: Connection, scope: Scope) -> Counts:
    """Count the unresolved incidents of a scope that stand for themselves."""
    query = select(INCIDENTS.c.state, INCIDENTS.c.priority, func.count().label("n"))
    open_ = INCIDENTS.c.resolved_at.is_(None) & INCIDENTS.c.parent.is_(None) & INCIDENTS.c.hidden_since.is_(None)
    query = within(query.where(open_), INCIDENTS, scope)
    states: Counter[State] = Counter()
    priorities: Counter[int] = Counter()
    for row in connection.execute(query.group_by(INCIDENTS.c.state, INCIDENTS.c.priority)):
        states[State(row.state)] += row.n
        priorities[row.priority] += row.n
    return Counts(states, priorities)


def next_wake(connection: Connection) -> float | None:
    """Return when time alone will change an incident next."""
    first: float | None = connection.scalar(select(func.min(INCIDENTS.c.wake_at)))
    return first


def timeline(connection: Connection, scope: Scope, incident: int) -> list[TimelineEntry]:
    """Return an incident's entries, oldest first."""
    query = within(select(TIMELINE).where(TIMELINE.c.incident == incident), TIMELINE, scope)
    return rows.entries_of(connection.execute(query.order_by(TIMELINE.c.version)))


def earlier(connection: Connection, scope: Scope, incident: int, limit: int) -> list[Incident]:
    """Return the incidents of the same key before this one, the newest first."""
    this = within(select(INCIDENTS.c.customer, INCIDENTS.c.key), INCIDENTS, scope)
    row = connection.execute(this.where(INCIDENTS.c.id == incident)).one_or_none()
    if row is None:
        return []
    same = (INCIDENTS.c.customer == row.customer) & (INCIDENTS.c.key == row.key) & (INCIDENTS.c.id < incident)
    over = select(INCIDENTS).where(same & INCIDENTS.c.resolved_at.is_not(None))
    found = connection.execute(within(over, INCIDENTS, scope).order_by(INCIDENTS.c.id.desc()).limit(limit))
    return rows.incidents_of(found)


def neighbours(connection: Connection, scope: Scope, incident: Incident, limit: int) -> list[Incident]:
    """Return the unresolved incidents of the same rule on the same customer's other devices, the newest first."""
    columns = INCIDENTS.c
    same = (columns.customer == incident.customer) & (columns.alertname == incident.alertname)
    elsewhere = (columns.device != incident.device) | (columns.site != incident.site)
    query = select(INCIDENTS).where(same, elsewhere, columns.resolved_at.is_(None))
    found = within(query, INCIDENTS, scope).order_by(columns.id.desc()).limit(limit)
    return rows.incidents_of(connection.execute(found))


def changes(connection: Connection, scope: Scope, since: int, limit: int) -> list[TimelineEntry]:
    """Return entries of all incidents after an entry, in the order of the commits."""
    query = within(select(TIMELINE).where(TIMELINE.c.id > since), TIMELINE, scope)
    return rows.entries_of(connection.execute(query.order_by(TIMELINE.c.id).limit(limit)))


def last_change(connection: Connection, scope: Scope) -> int:
    """Return the id of the newest entry, 0 if there is none."""
    newest = within(select(TIMELINE.c.id), TIMELINE, scope).order_by(TIMELINE.c.id.desc()).limit(1)
    return connection.scalar(newest) or 0


_BY: Final[Mapping[Order, tuple[ColumnElement[Any], ...]]] = {
    Order.PRIORITY: (INCIDENTS.c.priority, INCIDENTS.c.id.desc()),
    Order.NEWEST: (INCIDENTS.c.id.desc(),),
}


def _after(order: Order, after: str | None) -> list[ColumnElement[bool] | None]:
    """Return the parts of the list that follow, each of which an index serves from its beginning."""
    if after is None:
        return [None]
    priority, _, number = after.partition(".")
    if not (priority.isascii() and priority.isdigit() and number.isascii() and number.isdigit() and len(number) < 19):
        raise ValueError(f"{after!r} does not continue a list")
    below = INCIDENTS.c.id < int(number)
    if order is Order.NEWEST:
        return [below]
    return [(INCIDENTS.c.priority == int(priority)) & below, INCIDENTS.c.priority > int(priority)]


def _conditions(wanted: Filter, dialect: str) -> list[ColumnElement[bool]]:
    columns = INCIDENTS.c
    found = [
        column == value
        for column, value in (
            (columns.priority, wanted.priority),
            (columns.severity, wanted.severity),
            (columns.customer, wanted.customer),
            (columns.site, wanted.site),
            (columns.device, wanted.device),
            (columns.owner, wanted.owner),
        )
        if value is not None
    ]
    if not wanted.children:
        found.append(columns.parent.is_(None))
    if not wanted.hidden:
        found.append(columns.hidden_since.is_(None))
    if wanted.states <= UNRESOLVED:
        found.append(columns.resolved_at.is_(None))
    elif not wanted.states & UNRESOLVED:
        found.append(columns.resolved_at.is_not(None))
    if wanted.states not in (UNRESOLVED, frozenset(State)):
        found.append(columns.state.in_([state.value for state in sorted(wanted.states)]))
    if wanted.customer and wanted.site is not None and wanted.device is not None:
        found.append(_device_keys(wanted.customer, wanted.site, wanted.device))
    if wanted.text.strip():
        found.append(_search(wanted.text.strip(), dialect))
    return found


def _device_keys(customer: str, site: str, device: str) -> ColumnElement[bool]:
    """Return what the keys of a device have in common, for which there is an index."""
    start = key.prefix(customer, site, device)
    return and_(INCIDENTS.c.key >= start, INCIDENTS.c.key < start[:-1] + chr(ord("/") + 1))


def _search(text: str, dialect: str) -> ColumnElement[bool]:
    number = text.upper().removeprefix("INC-")
    # SQLite's LIKE knows no case, and taking the case away from a million keys would take as long as comparing them.
    contains = INCIDENTS.c.key.contains if dialect == "sqlite" else INCIDENTS.c.key.icontains
    in_key = contains(text, autoescape=True)
    if number.isascii() and number.isdigit() and len(number) < 19:
        return or_(INCIDENTS.c.id == int(number), in_key)
    return in_key


def _members(connection: Connection, parents: list[int]) -> dict[int, tuple[int, ...]]:
    found: dict[int, tuple[int, ...]] = {}
    if parents:
        query = select(INCIDENTS.c.parent, INCIDENTS.c.id).where(bulk.among(connection, INCIDENTS.c.parent, parents))
        for row in connection.execute(query.order_by(INCIDENTS.c.id)):
            found[row.parent] = (*found.get(row.parent, ()), row.id)
    return found
