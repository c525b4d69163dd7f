"""How Watchdesk itself is, as series of a device of the provider's own, so that the rules judge it like any other.

The numbers are written to the log as frames of that device: what the rules see of them is what the log holds, and a
replay of the log judges the same again. What cannot be told while it happens (a log that takes nothing, a database
that is away) is counted, and told as soon as they are back.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import numpy as np
from sqlalchemy.exc import SQLAlchemyError

from agent import wire
from collector import observed
from collector.observed import Observer
from ticketing.errors import Unavailable

if TYPE_CHECKING:
    from collector.collector import Collector

CUSTOMER, SITE, NAME = "provider", "own", "watchdesk"
EVERY_SECONDS: Final = 10.0
_DAY: Final = 86_400.0
Value = tuple[str, dict[str, str], float]


class OwnHealth:
    """Measures a collector, and puts what it finds into the log as values of its own device."""

    def __init__(self, collector: Collector, device: int) -> None:
        self._collector = collector
        self.device = device
        self._observer = Observer(collector.ingest.observe, collector.intake.schemas, collector.clock)
        self._waiting: Counter[tuple[str, str]] = Counter()
        self._standings: dict[str, tuple[float, float]] = {}

    def values(self) -> list[Value]:
        """Return what there is to tell: metric, labels, value. Asks the database, so it is no work for the loop."""
        found = [*self._disk(), *self._counters(), *self._rules(), *self._customers(), *self._outbox()]
        found += self._strangers()
        return sorted(found, key=lambda one: (one[0], sorted(one[1].items())))

    def write(self, values: list[Value], now: float) -> None:
        """Put the values into the log."""
        schema, payload = observed.schema(*(wire.format_series(name, labels) for name, labels, _ in values))
        numbers = np.array([value for _, _, value in values])
        self._observer.rows(self.device, observed.ITSELF, [(schema, payload, numbers)], at=now, heard=True)

    def _disk(self) -> Iterator[Value]:
        room = os.statvfs(self._collector.data)
        yield "watchdesk_self_disk_avail_bytes", {}, float(room.f_bavail * room.f_frsize)
        yield "watchdesk_self_disk_size_bytes", {}, float(room.f_blocks * room.f_frsize)

    def _counters(self) -> Iterator[Value]:
        collector = self._collector
        yield "watchdesk_self_log_errors_total", {}, float(collector.ingest.committer.errors)
        yield "watchdesk_self_database_retries_total", {}, float(collector.pipeline.retries)
        consumers = {"incidents": collector.pipeline.lag, "history": collector.recorder.lag}
        for consumer, lag in {**consumers, "events": collector.event_keeper.lag}.items():
            yield "watchdesk_self_lag_records", {"consumer": consumer}, float(lag)

    def _rules(self) -> Iterator[Value]:
        yield "watchdesk_self_rules_loaded", {}, float(not self._collector.rule_files.problem)
        with self._collector.pipeline.lock:
            rules = self._collector.pipeline.state.engine.rules()
        failing: dict[tuple[str, str], bool] = defaultdict(bool)
        for rule in rules:
            failing[rule.group, rule.name] |= bool(rule.last_error)
        for (group, name), fails in failing.items():
            yield "watchdesk_self_rule_failing", {"group": group, "rule": name}, float(fails)

    def _customers(self) -> Iterator[Value]:
        """Tell how many devices of each customer should be heard, and how many are; some may be off."""
        expected: dict[str, int] = defaultdict(int)
        alive: dict[str, int] = defaultdict(int)
        with self._collector.pipeline.lock:
            state = self._collector.pipeline.state
            for device, labels in state.devices.items():
                customer = labels.get("customer", "")
                life = state.presence.of(device, state.now)
                fresh = life.last_seen is not None and life.last_seen > state.now - _DAY
                counts = fresh and not life.excused and labels.get("class") not in {"desktop", "printer"}
                expected[customer] += counts
                alive[customer] += counts and life.up
            begun = self._collector.pipeline.begun.copy()
            missing: Counter[str] = Counter()
            for each in state.fleet.devices.values():
                if each.refused:
                    missing[each.labels.get("customer", "")] += each.missing()
        for customer in expected.keys() - {"", CUSTOMER}:
            yield "watchdesk_self_series_refused", {"of": customer}, float(missing[customer])
            yield "watchdesk_self_alerts_total", {"of": customer}, float(begun[customer])
            yield "watchdesk_self_customer_expected", {"of": customer}, float(expected[customer])
            yield "watchdesk_self_customer_alive", {"of": customer}, float(alive[customer])

    def _strangers(self) -> Iterator[Value]:
        """Tell of each site how many machines wait for a decision, and how many that were denied are there."""
        with suppress(SQLAlchemyError):
            self._waiting = self._collector.finds.candidates.waiting(self._collector.clock())
        for (site, state), count in self._waiting.items():
            yield "watchdesk_self_unlisted_machines", {"of": site, "state": state}, float(count)

    def _outbox(self) -> Iterator[Value]:
        now = self._collector.clock()
        try:
            standings = self._collector.store.outbox.standings(now)
        except Unavailable:  # what was known goes on
            standings = None
        if standings is not None:
            self._standings = {
                name: (0.0 if one.oldest is None else max(0.0, now - one.oldest), float(one.dead))
                for name, one in standings.items()
            }
        for recipient in self._collector.config.notifications.recipients:
            late, dead = self._standings.get(recipient.name, (0.0, 0.0))
            yield "watchdesk_self_outbox_late_seconds", {"recipient": recipient.name}, late
            yield "watchdesk_self_outbox_dead", {"recipient": recipient.name}, dead
