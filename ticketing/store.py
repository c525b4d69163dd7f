"""Incidents in a database: what the collector writes, what people do, what the pages read.

Every query takes a `Scope` and is narrowed to it in one place; what is out of scope is None, as if it did not exist.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import sqlalchemy
from sqlalchemy import Connection

from ticketing import clean, figures, maintenance, queries, silences
from ticketing.alert import Alert
from ticketing.calm import Calm
from ticketing.database import reading
from ticketing.decide import DEFAULT, Policy
from ticketing.diagnosis.audit import Seal, unsealed
from ticketing.diagnosis.book import Diagnoses
from ticketing.figures import RuleFigures as RuleFigures
from ticketing.incident import Incident, TimelineEntry
from ticketing.key import key
from ticketing.maintenance import Window
from ticketing.outbox.box import Outbox
from ticketing.outbox.routing import NOBODY, Router
from ticketing.queries import Counts as Counts  # the pages take these from here
from ticketing.queries import Filter as Filter
from ticketing.queries import Order as Order
from ticketing.queries import Page as Page
from ticketing.scope import Scope as Scope
from ticketing.surroundings import Surroundings
from ticketing.topology import Topology
from ticketing.transaction import ask, transact
from ticketing.work import Act
from ticketing.writing import Batch, claim, position

_Answer = TypeVar("_Answer")
NOWHERE: Final = Topology()


class Store:
    """The incidents of one database; safe to use from several threads and processes."""

    def __init__(
        self, engine: sqlalchemy.Engine, policy: Policy = DEFAULT, router: Router = NOBODY, seal: Seal = unsealed
    ) -> None:
        """`seal` signs where the audit ends."""
        self._engine = engine
        self._reads = reading(engine)
        self._policy = policy
        self._router = router
        self.outbox, self.calm = Outbox(engine), Calm(engine)
        self.diagnoses = Diagnoses(engine, policy, router, seal)

    # What the collector writes.

    def apply(
        self,
        alerts: Sequence[Alert],
        *,
        consumer: str,
        position: int,
        now: float,
        topology: Topology = NOWHERE,
        windows: Sequence[Window] = (),
    ) -> list[int]:
        """Take alerts in and store the consumer's position, in one transaction; return the changed incidents' ids.

        `topology` is the register as of now; `windows` are maintenance windows that begin with this, such as those
        that an agent's goodbye opens.

        A position not greater than the stored one is ignored whole: each position has its effect exactly once.
        Raises Unavailable if the database is locked or away; then nothing was written, and the call can be repeated.
        """
        grouped = _by_key(alerts)

        def work(connection: Connection) -> list[int]:
            if not claim(connection, consumer, position):
                return []
            for window in windows:
                maintenance.add(connection, window)
            batch = Batch(connection, self._policy, now, self._router, _around(connection, topology, now))
            for customer in sorted(grouped):
                batch.take(customer, grouped[customer])
            batch.sweep()
            batch.finish()
            return batch.changed

        return transact(self._engine, work)

    def sweep(self, now: float, topology: Topology = NOWHERE) -> list[int]:
        """Do what time alone does (flapping ends, waiting ends, closing); `apply` does it as well."""

        def work(connection: Connection) -> list[int]:
            batch = Batch(connection, self._policy, now, self._router, _around(connection, topology, now))
            batch.sweep()
            batch.finish()
            return batch.changed

        return transact(self._engine, work)

    def next_wake(self) -> float | None:
        """Return when time alone will change an incident next, None if it never will."""
        return self._read(queries.next_wake)

    def position(self, consumer: str) -> int:
        """Return the position stored by the consumer's last apply, or 0."""
        return self._read(lambda connection: position(connection, consumer))

    # What people do.

    def act(
        self, scope: Scope, incident: int, act: Act, *, actor: str, now: float, version: int | None = None
    ) -> Incident | None:
        """Do what a person asks, and return the incident as it is then; None if it is not in the scope.

        Raises Conflict if a version is given and the incident has another by now, Refused if the act does not fit.
        """

        def work(connection: Connection) -> Incident | None:
            batch = Batch(connection, self._policy, now, self._router, _around(connection, NOWHERE, now))
            if not batch.act(scope, incident, act, actor, version):
                return None
            batch.finish()
            return queries.find(connection, scope, incident)

        return transact(self._engine, work)

    # What the pages read. Each raises Unavailable if the database is away.

    def incident(self, scope: Scope, incident: int) -> Incident | None:
        """Return an incident with its alerts and members, or None if it is not in the scope."""
        return self._read(lambda connection: queries.find(connection, scope, incident))

    def incidents(
        self,
        scope: Scope,
        wanted: Filter = queries.UNFILTERED,
        *,
        order: Order = Order.PRIORITY,
        after: str | None = None,
        limit: int = 50,
    ) -> Page:
        """Return a page of incidents. Raises ValueError if `after` did not come from an earlier page."""
        return self._read(lambda connection: queries.page(connection, scope, wanted, order, after, limit))

    def counts(self, scope: Scope) -> Counts:
        """Count the unresolved incidents by state and by priority."""
        return self._read(lambda connection: queries.counts(connection, scope))

    def timeline(self, scope: Scope, incident: int) -> list[TimelineEntry] | None:
        """Return an incident's entries, oldest first; None if it is not in the scope."""
        return self._read(lambda connection: queries.timeline(connection, scope, incident) or None)

    def earlier(self, scope: Scope, incident: int, limit: int = 10) -> list[Incident]:
        """Return former incidents of the same key, the newest first."""
        return self._read(lambda connection: queries.earlier(connection, scope, incident, limit))

    def neighbours(self, scope: Scope, incident: Incident, limit: int = 5) -> list[Incident]:
        """Return the unresolved incidents of the same rule on the same customer's other devices, the newest first."""
        return self._read(lambda connection: queries.neighbours(connection, scope, incident, limit))

    def rule_figures(self, scope: Scope, since: float) -> list[RuleFigures]:
        """Return what became of each rule's incidents opened since then (Unix seconds), the noisiest rule first."""
        return self._read(lambda connection: figures.of_rules(connection, scope, since))

    def changes(self, scope: Scope, since: int, limit: int = 1000) -> list[TimelineEntry]:
        """Return the entries of all incidents after the entry `since`, in the order in which they were committed."""
        return self._read(lambda connection: queries.changes(connection, scope, since, limit))

    def last_change(self, scope: Scope) -> int:
        """Return the id of the newest entry in the scope, 0 if there is none: where `changes` begins."""
        return self._read(lambda connection: queries.last_change(connection, scope))

    def _read(self, question: Callable[[Connection], _Answer]) -> _Answer:
        return ask(self._reads, question)


def _around(connection: Connection, topology: Topology, now: float) -> Surroundings:
    windows, silent = maintenance.current(connection, now), silences.current(connection, now)
    return Surroundings(topology, tuple(windows), tuple(silent))


def _by_key(alerts: Sequence[Alert]) -> dict[str, dict[str, list[Alert]]]:
    """Return the alerts, made harmless, by customer and key; those of a key stay in their order."""
    grouped: dict[str, dict[str, list[Alert]]] = defaultdict(lambda: defaultdict(list))
    for dirty in alerts:
        alert = clean.alert(dirty)
        grouped[alert.customer][key(alert)].append(alert)
    return grouped
