"""What the pages need of the fleet, the register and the history; each answer is for one viewer's scope alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from collector.graphs import quantity
from collector.pipeline import Pipeline
from collector.recorder import Recorder
from collector.register import Device, Register
from rules.errors import RuleError
from rules.promql import Query
from rules.query_range import query_range
from ticketing.incident import Incident
from ticketing.scope import Scope
from ticketing.web.sources import DeviceView, Graph, Level, Reading, Summary

FRESH_SECONDS: Final = 2.0  # how old what the pages show of the register and of the fleet's health may be
BEFORE_SECONDS: Final = 1800.0  # of a graph, before its fault
AFTER_SECONDS: Final = 600.0
STEPS: Final = 240
_UNITS: Final = {"percent": "%", "bytes": "B", "bytes_per_second": "B/s", "seconds": "s", "celsius": "°C"}


@dataclass(frozen=True, slots=True)
class Measure:
    """A reading of a device's health: a PromQL expression, and from when on it is not good."""

    label: str  # "{mountpoint}" stands for the value of that label
    expr: str
    unit: str = "%"
    warning: float = math.inf
    critical: float = math.inf


MEASURES: Final = (
    Measure(
        "CPU",
        '100 - 100 * avg by (instance) (sum by (instance, cpu) (rate(node_cpu_seconds_total{mode=~"idle|iowait"}[1m])))',
        warning=85,
        critical=95,
    ),
    Measure(
        "Memory",
        "100 - 100 * node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
        warning=90,
        critical=97,
    ),
    Measure(
        "{mountpoint}",
        "100 - 100 * node_filesystem_avail_bytes / (node_filesystem_size_bytes > 0)",
        warning=80,
        critical=90,
    ),
    Measure("Load", "node_load5", unit=""),
)


@dataclass(slots=True)
class _Kept:
    """Answers that are made anew when they are older than FRESH_SECONDS."""

    devices: dict[int, Device] = field(default_factory=dict)
    devices_at: float = -math.inf
    health: dict[str, list[Reading]] = field(default_factory=dict)
    health_at: float = -math.inf


class FleetSources:
    """Reads the pipeline's state under its lock, a moment at a time."""

    def __init__(
        self,
        pipeline: Pipeline,
        register: Register,
        recorder: Recorder,
        clock: Callable[[], float],
        problem: Callable[[], str],
    ) -> None:
        """`problem()` is one sentence if the collector itself is unwell, else empty."""
        self._pipeline = pipeline
        self._register = register
        self._recorder = recorder
        self._clock = clock
        self._problem = problem
        self._kept = _Kept()
        with pipeline.lock:
            self._queries = [(measure, Query(pipeline.state.fleet, measure.expr)) for measure in MEASURES]

    def devices(self, scope: Scope) -> list[DeviceView]:
        """Return every device in scope."""
        found = self._in_scope(scope)
        with self._pipeline.lock:
            return [self._view(device) for device in found]

    def device(self, scope: Scope, device_id: int) -> DeviceView | None:
        """Return one device of the scope."""
        return next((view for view in self.devices(scope) if view.id == device_id), None)

    def find(self, scope: Scope, customer: str, site: str, name: str) -> DeviceView | None:
        """Return the device that an incident names."""
        return next(
            (view for view in self.devices(scope) if (view.customer, view.site, view.name) == (customer, site, name)),
            None,
        )

    def health(self, scope: Scope, device_ids: Sequence[int]) -> Mapping[int, Sequence[Reading]]:
        """Return the readings of some devices of the scope."""
        wanted = set(device_ids)
        by_instance = self._health()
        return {
            device.id: by_instance.get(device.instance, []) for device in self._in_scope(scope) if device.id in wanted
        }

    def summary(self, scope: Scope) -> Summary:
        """Return how many devices there are, and how many are well."""
        views = self.devices(scope)
        return Summary(
            devices=len(views),
            alive=sum(view.alive for view in views),
            excused=sum(bool(view.excused) and not view.alive for view in views),
            judged_at=self._pipeline.state.now or None,
            problem=self._problem(),
        )

    def graph(self, scope: Scope, incident: Incident) -> Graph | None:
        """Return what the incident's rule compares, from before the fault until it was over, or now."""
        device = self.find(scope, incident.customer, incident.site, incident.device)
        drawn = self._drawn(incident)
        if device is None or drawn is None:
            return None
        end = min(self._clock(), (incident.resolved_at or incident.recovered_at or math.inf) + AFTER_SECONDS)
        start = incident.active_at - BEFORE_SECONDS
        with self._recorder.lock:
            samples = self._recorder.history.read(device.id, [], start, end)
        try:
            found = query_range(drawn.expr, samples, start, end, max(1.0, (end - start) / STEPS))
        except RuleError:
            return None
        for labels, times, values in found:
            if all(incident.labels.get(name, value) == value for name, value in labels.items()):
                unit = incident.annotations.get("value_unit", "")
                return Graph(
                    times=times,
                    values=values,
                    unit=_UNITS.get(unit, unit),
                    threshold=_threshold(incident) if drawn.threshold is None else drawn.threshold,
                    above=drawn.above,
                )
        return None
