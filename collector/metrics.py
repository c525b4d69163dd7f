"""The collector's own `/metrics`, read from the parts when it is asked for."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

if TYPE_CHECKING:
    from collector.collector import Collector

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """The metrics of one collector, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
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

    def watch(self, collector: Collector) -> None:
        """Read further metrics from the parts of this collector."""
        self.registry.register(_Parts(collector))

    def text(self) -> bytes:
        """Return the metrics in the Prometheus text format."""
        return generate_latest(self.registry)


class _Parts:
    """Reads the parts' own counters."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def describe(self) -> list[Metric]:
        """Say nothing beforehand, so that registering reads nothing."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they are now."""
        yield from self._ingest()
        yield from self._log()
        yield from self._engine()
        yield from self._incidents()

    def _ingest(self) -> Iterator[Metric]:
        ingest = self._collector.ingest
        requests = CounterMetricFamily("watchdesk_ingest_requests", "Requests of agents.", labels=["code"])
        for status, count in sorted(ingest.counters.requests.items()):
            requests.add_metric([str(status)], count)
        yield requests
        yield CounterMetricFamily("watchdesk_ingest_values", "Values taken.", value=ingest.counters.values)
        yield CounterMetricFamily("watchdesk_ingest_bytes", "Bytes of the bodies taken.", value=ingest.counters.bytes)
        yield GaugeMetricFamily("watchdesk_ingest_connections", "Open connections.", value=len(ingest.connections))
        dropped = CounterMetricFamily(
            "watchdesk_ingest_dropped", "Rows that were acknowledged and not evaluated.", labels=["reason"]
        )
        dropped.add_metric(["unknown_schema"], self._collector.pipeline.state.dropped)
        yield dropped

    def _log(self) -> Iterator[Metric]:
        log, ingest = self._collector.log, self._collector.ingest
        yield GaugeMetricFamily("watchdesk_log_bytes", "Size of the log.", value=log.size)
        yield CounterMetricFamily(
            "watchdesk_log_records", "Records in the log, from its beginning.", value=log.head - 1
        )
        yield CounterMetricFamily(
            "watchdesk_log_errors", "Groups of records that could not be written.", value=ingest.committer.errors
        )
        yield CounterMetricFamily(
            "watchdesk_log_lost_bytes", "Damaged bytes passed over.", value=self._collector.pipeline.lost_bytes
        )
        lag = GaugeMetricFamily("watchdesk_consumer_lag_records", "Records not read yet.", labels=["consumer"])
        lag.add_metric(["incidents"], self._collector.pipeline.lag)
        lag.add_metric(["history"], self._collector.recorder.lag)
        yield lag

    def _engine(self) -> Iterator[Metric]:
        pipeline, files = self._collector.pipeline, self._collector.rule_files
        with pipeline.lock:
            state = pipeline.state
            rules = state.engine.rules()
            series = state.fleet.series
            alive = Tally(
                (labels.get("class", ""), _word(state.presence.of(device, state.now)))
                for device, labels in state.devices.items()
            )
        yield GaugeMetricFamily("watchdesk_fleet_series", "Series in the fleet.", value=series)
        devices = GaugeMetricFamily("watchdesk_fleet_devices", "Devices in the fleet.", labels=["class", "state"])
        for (kind, word), count in sorted(alive.items()):
            devices.add_metric([kind, word], count)
        yield devices
        yield GaugeMetricFamily("watchdesk_rules_loaded", "Rules that are evaluated.", value=len(rules))
        yield GaugeMetricFamily(
            "watchdesk_rules_last_reload_successful",
            "1 if the rule files as they are now are those evaluated.",
            value=0 if files.problem else 1,
        )
