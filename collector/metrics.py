"""The collector's own `/metrics`, read from the parts when it is asked for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from collector.ingest.totals import Totals
from collector.liveness import Liveness
from collector.tally import Tally
from ticketing.errors import Unavailable
from ticketing.figures import RuleFigures
from ticketing.scope import EVERYTHING

if TYPE_CHECKING:
    from collector.collector import Collector as Watchdesk

FIGURES_SECONDS = 60.0
FIGURES_SPAN = 30 * 86_400.0
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """The metrics of one collector, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._customers = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.tick_seconds = Histogram(
            "watchdesk_tick_seconds",
            "Evaluation of all rules that were due at a tick.",
            registry=self.registry,
            buckets=_BUCKETS,
        )
        self.sync_seconds = Histogram(
            "watchdesk_log_sync_seconds",
            "Writing and syncing of a group of records to the log.",
            registry=self.registry,
            buckets=_BUCKETS,
        )

    def watch(self, collector: Watchdesk) -> None:
        """Read further metrics from the parts of this collector."""
        self.registry.register(_Parts(collector))
        self._customers.register(_Incidents(collector.tally))
        self._customers.register(_Rules(collector))

    def text(self, *, customers: bool) -> bytes:
        """Return the metrics in the Prometheus text format, with those that name customers or without."""
        own = generate_latest(self.registry)
        return own + generate_latest(self._customers) if customers else own


class _Parts(Collector):
    """Reads the parts' own counters."""

    def __init__(self, collector: Watchdesk) -> None:
        self._collector = collector

    def describe(self) -> list[Metric]:
        """Say nothing beforehand, so that registering reads nothing."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they are now."""
        yield from self._ingest()
        yield from self._log()
        yield from self._writes()
        yield from self._engine()
        yield from self._outbox()

    def _ingest(self) -> Iterator[Metric]:
        ingest = self._collector.ingest
        requests = CounterMetricFamily("watchdesk_ingest_requests", "Requests of agents.", labels=["code"])
        total = Totals.of(ingest)
        for status, count in sorted(total.requests.items()):
            requests.add_metric([status], count)
        yield requests
        yield CounterMetricFamily("watchdesk_ingest_values", "Values taken.", value=total.values)
        yield GaugeMetricFamily(
            "watchdesk_ingest_values_per_second", "Values taken a second.", value=self._collector.recent_values.rate()
        )
        yield CounterMetricFamily("watchdesk_ingest_bytes", "Bytes of the bodies taken.", value=total.bytes)
        yield GaugeMetricFamily("watchdesk_ingest_connections", "Open connections.", value=total.connections)
        yield CounterMetricFamily("watchdesk_ingest_pushes", "Pushes that were made durable.", value=total.pushes)
        yield CounterMetricFamily(
            "watchdesk_ingest_duplicates", "Pushes of which nothing was new.", value=total.duplicates
        )
        yield GaugeMetricFamily(
            "watchdesk_ingest_queue_bytes", "Bytes that wait to be written to the log.", value=total.waiting_bytes
        )
        refused = CounterMetricFamily("watchdesk_ingest_refused", "Requests refused.", labels=["reason"])
        for reason, count in sorted(total.refused.items()):
            refused.add_metric([reason], count)
        yield refused
        yield GaugeMetricFamily(
            "watchdesk_ingest_processes", "Ingest processes beside the main one.", value=total.processes
        )
        yield CounterMetricFamily(
            "watchdesk_ingest_restarts", "Ingest processes that ended and were started again.", value=total.restarts
        )
        yield CounterMetricFamily(
            "watchdesk_ingest_syncs", "Groups that the ingest processes made durable.", value=total.syncs
        )
        yield CounterMetricFamily(
            "watchdesk_ingest_sync_seconds", "Seconds that it took them to.", value=total.sync_seconds
        )
        dropped = CounterMetricFamily(
            "watchdesk_ingest_dropped", "Rows that were acknowledged and not evaluated.", labels=["reason"]
        )
        state = self._collector.pipeline.state
        dropped.add_metric(["unknown_schema"], state.dropped)
        dropped.add_metric(["late"], state.fleet.late)
        dropped.add_metric(["series_limit"], sum(state.fleet.refused.values()))
        yield dropped
        history = self._collector.recorder.history
        yield CounterMetricFamily(
            "watchdesk_history_corrupt", "Damaged chunks that were left out of an answer.", value=history.corrupt
        )
        yield GaugeMetricFamily("watchdesk_history_set_aside", "Damaged files of days.", value=history.set_aside)
        yield GaugeMetricFamily(
            "watchdesk_history_held_bytes", "Rows and chunks not written yet.", value=history.held_bytes
        )

    def _log(self) -> Iterator[Metric]:
        log, ingest = self._collector.log, self._collector.ingest
        yield GaugeMetricFamily("watchdesk_log_bytes", "Size of the log.", value=log.size + Totals.of(ingest).size)
        yield CounterMetricFamily(
            "watchdesk_log_records", "Records in the log, from its beginning.", value=log.head - 1
        )
        yield CounterMetricFamily(
            "watchdesk_log_errors", "Groups of records that could not be written.", value=Totals.of(ingest).errors
        )
        yield CounterMetricFamily(
            "watchdesk_log_lost_bytes", "Damaged bytes passed over.", value=self._collector.pipeline.lost_bytes
        )
        lag = GaugeMetricFamily("watchdesk_consumer_lag_records", "Records not read yet.", labels=["consumer"])
        lag.add_metric(["incidents"], self._collector.pipeline.lag)
        lag.add_metric(["history"], self._collector.recorder.lag)
        lag.add_metric(["events"], self._collector.event_keeper.lag)
        yield lag

    def _writes(self) -> Iterator[Metric]:
        receiver = self._collector.ingest.ports.writes.receiver
        yield CounterMetricFamily(
            "watchdesk_remote_write_samples", "Samples of remote writes taken.", value=receiver.samples
        )
        refused = CounterMetricFamily(
            "watchdesk_remote_write_refused", "Samples of remote writes that can never be taken.", labels=["reason"]
        )
        for reason, count in sorted(receiver.refused.items()):
            refused.add_metric([reason], count)
        yield refused
        yield CounterMetricFamily(
            "watchdesk_events_kept", "Events stored since the start.", value=self._collector.event_keeper.kept
        )

    def _engine(self) -> Iterator[Metric]:
        pipeline, files = self._collector.pipeline, self._collector.rule_files
        with pipeline.lock:
            state = pipeline.state
            rules = state.engine.rules()
            series = state.fleet.series
            learned = state.baselines.status()
            failures = Counter({(rule.group, rule.name): rule.failures for rule in rules})
            alive = Counter(
                (labels.get("class", ""), _word(state.presence.of(device, state.now)))
                for device, labels in state.devices.items()
            )
        yield GaugeMetricFamily("watchdesk_fleet_series", "Series in the fleet.", value=series)
        devices = GaugeMetricFamily("watchdesk_fleet_devices", "Devices in the fleet.", labels=["class", "state"])
        for (kind, word), count in sorted(alive.items()):
            devices.add_metric([kind, word], count)
        yield devices
        yield GaugeMetricFamily("watchdesk_rules_loaded", "Rules that are evaluated.", value=len(rules))
        failed = CounterMetricFamily("watchdesk_rule_errors", "Evaluations that failed.", labels=["group", "rule"])
        for (group, rule), count in sorted(failures.items()):
            failed.add_metric([group, rule], count)
        yield failed
        windows = GaugeMetricFamily(
            "watchdesk_rule_window_bytes",
            "Memory of the windows that a rule looks at; rules may share them.",
            labels=["group", "rule"],
        )
        memory = {(rule.group, rule.name): rule.memory for rule in sorted(rules, key=lambda rule: rule.memory)}
        for group, rule in sorted(memory):
            windows.add_metric([group, rule], memory[group, rule])
        yield windows
        yield GaugeMetricFamily(
            "watchdesk_rules_last_reload_successful",
            "1 if the rule files as they are now are those evaluated.",
            value=0 if files.problem else 1,
        )
        yield GaugeMetricFamily(
            "watchdesk_tables_last_reload_successful",
            "1 if thresholds and baselines as they are now are those that hold.",
            value=0 if self._collector.table_files.problem else 1,
        )
        yield from _learned(learned)

    def _outbox(self) -> Iterator[Metric]:
        now = self._collector.clock()
        try:
            standings = self._collector.store.outbox.standings(now)
        except Unavailable:
            return
        counts = GaugeMetricFamily(
            "watchdesk_outbox_deliveries", "Deliveries that are kept.", labels=["recipient", "state"]
        )
        oldest = GaugeMetricFamily(
            "watchdesk_outbox_oldest_seconds", "How long the oldest late delivery waits.", labels=["recipient"]
        )
        for recipient, standing in sorted(standings.items()):
            for state in ("waiting", "failing", "dead", "sent"):
                counts.add_metric([recipient, state], getattr(standing, state))
            oldest.add_metric([recipient], 0.0 if standing.oldest is None else now - standing.oldest)
        yield counts
        yield oldest


def _learned(status: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    series = GaugeMetricFamily("watchdesk_baseline_series", "Series that are learned.", labels=["name"])
    memory = GaugeMetricFamily("watchdesk_baseline_bytes", "Memory of what was learned.", labels=["name"])
    refused = CounterMetricFamily("watchdesk_baseline_refused", "Samples of series beyond the limit.", labels=["name"])
    for name, told in status.items():
        series.add_metric([name], told["series"])
        memory.add_metric([name], told["memory"])
        refused.add_metric([name], told["refused"])
    yield from (series, memory, refused)


class _Incidents(Collector):
    """How many incidents each customer has: only for those who may know the customers."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def describe(self) -> list[Metric]:
        """Say nothing beforehand, so that registering reads nothing."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the counts as they are now; those of the last time if the database does not answer."""
        with suppress(SQLAlchemyError):
            self._tally.refresh()
        standing = GaugeMetricFamily(
            "watchdesk_incidents_open", "Incidents not resolved.", labels=["customer", "priority", "severity"]
        )
        for (customer, priority, severity), count in sorted(self._tally.open.items()):
            standing.add_metric([customer, str(priority), severity], count)
        yield standing
        for name, help_text, counts in (
            ("watchdesk_incidents_opened", "Incidents opened, or opened again.", self._tally.opened),
            ("watchdesk_incidents_resolved", "Incidents resolved.", self._tally.resolved),
        ):
            family = CounterMetricFamily(name, help_text, labels=["customer", "alertname"])
            for (customer, alertname), count in sorted(counts.items()):
                family.add_metric([customer, alertname], count)
            yield family


class _Rules(Collector):
    """What became of each rule's tickets, counted anew when the last count is older than FIGURES_SECONDS."""

    def __init__(self, collector: Watchdesk) -> None:
        self._collector = collector
        self._counted_at = -math.inf
        self._figures: list[RuleFigures] = []

    def describe(self) -> list[Metric]:
        """Say nothing beforehand, so that registering reads nothing."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the counts; those of the last time if the database does not answer."""
        now = self._collector.clock()
        if now - self._counted_at > FIGURES_SECONDS:
            with suppress(Unavailable):
                self._figures = self._collector.store.rule_figures(EVERYTHING, now - FIGURES_SPAN)
                self._counted_at = now
        tickets = GaugeMetricFamily(
            "watchdesk_rule_tickets", "Tickets opened within 30 days.", labels=["alertname", "outcome"]
        )
        for rule in self._figures:
            for outcome in ("tickets", "open", "unworked", "noise", "duplicates", "reopened"):
                tickets.add_metric([rule.alertname, "all" if outcome == "tickets" else outcome], getattr(rule, outcome))
        yield tickets


def _word(life: Liveness) -> str:
    if life.up:
        return "alive"
    return "excused" if life.excused else "silent"
