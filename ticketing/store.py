"""Incidents in a database: what the collector writes, what people do, what the pages read.

Every query takes a `Scope` and is narrowed to it in one place; what is out of scope is None, as if it did not exist.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy

from ticketing.alert import Alert
from ticketing.incident import UNRESOLVED, Incident, State, TimelineEntry
from ticketing.scope import Scope as Scope  # the pages take both from here
from ticketing.work import Act


class Order(StrEnum):
    """How a list is sorted."""

    PRIORITY = "priority"  # P1 first, the newest first within a priority
    NEWEST = "newest"  # by number, the newest first


@dataclass(frozen=True, slots=True)
class Filter:
    """Which incidents are wanted: all that is given must hold; None and "" leave open."""

    states: frozenset[State] = UNRESOLVED
    priority: int | None = None
    customer: str | None = None
    site: str | None = None
    device: str | None = None
    owner: str | None = None
    text: str = ""  # in the key


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


class Store:
    """The incidents of one database; safe to use from several threads and processes."""

    def __init__(self, engine: sqlalchemy.Engine) -> None:
        self._engine = engine

    # What the collector writes.

    def apply(self, alerts: Sequence[Alert], *, consumer: str, position: int, now: float) -> list[int]:
        """Take alerts in and store the consumer's position, in one transaction; return the changed incidents' ids.

        A position not greater than the stored one is ignored whole: each position has its effect exactly once.
        Raises Unavailable if the database is locked or away; then nothing was written, and the call can be repeated.
        """
        raise NotImplementedError

    def sweep(self, now: float) -> list[int]:
        """Do what time alone does (flapping ends, waiting ends, closing); `apply` does it as well."""
        raise NotImplementedError

    def position(self, consumer: str) -> int:
        """Return the position stored by the consumer's last apply, or 0."""
        raise NotImplementedError

    # What people do.

    def act(
        self, scope: Scope, incident: int, act: Act, *, actor: str, now: float, version: int | None = None
    ) -> Incident | None:
        """Do what a person asks, and return the incident as it is then; None if it is not in the scope.

        Raises Conflict if a version is given and the incident has another by now, Refused if the act does not fit.
        """
        raise NotImplementedError

    # What the pages read.

    def incident(self, scope: Scope, incident: int) -> Incident | None:
        """Return an incident with its alerts and members, or None if it is not in the scope."""
        raise NotImplementedError

    def incidents(
        self,
        scope: Scope,
        wanted: Filter = Filter(),
        *,
        order: Order = Order.PRIORITY,
        after: str | None = None,
        limit: int = 50,
    ) -> Page:
        """Return a page of incidents. Raises ValueError if `after` did not come from an earlier page."""
        raise NotImplementedError

    def counts(self, scope: Scope) -> Counts:
        """Count the unresolved incidents by state and by priority."""
        raise NotImplementedError

    def timeline(self, scope: Scope, incident: int) -> list[TimelineEntry] | None:
        """Return an incident's entries, oldest first; None if it is not in the scope."""
        raise NotImplementedError

    def earlier(self, scope: Scope, incident: int, limit: int = 10) -> list[Incident]:
        """Return former incidents of the same key, the newest first."""
        raise NotImplementedError

    def changes(self, scope: Scope, since: int, limit: int = 1000) -> list[TimelineEntry]:
        """Return the entries of all incidents after the entry `since`, in the order in which they were committed."""
        raise NotImplementedError

    def last_change(self, scope: Scope) -> int:
        """Return the id of the newest entry in the scope, 0 if there is none: where `changes` begins."""
        raise NotImplementedError
