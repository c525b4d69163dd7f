"""What the pages need of the fleet, the register and the history; each answer is for one viewer's scope alone."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from agent import wire
from collector.discovery.approval import approve
from collector.discovery.candidates import STATES
from collector.errors import RegisterError
from collector.events.show import parts_of
from collector.events.store import Wanted
from collector.graphs import Quantity, quantity
from collector.history.gathering import merged
from collector.measures import Measure
from collector.register import OWN, Device
from collector.register.surroundings import Link
from rules.errors import RuleError
from rules.labels import NAME
from rules.promql import Vector
from rules.query_range import query_range
from rules.windows import STALE
from ticketing.diagnosis.asked import Subject
from ticketing.errors import Refused
from ticketing.incident import Incident
from ticketing.priority import severity
from ticketing.scope import Scope
from ticketing.web.sources import (
    DeviceView,
    EventsSought,
    EventView,
    Graph,
    Level,
    LinkView,
    PartView,
    Reading,
    StrangerView,
    Summary,
)

if TYPE_CHECKING:
    from collector.collector import Collector

FRESH_SECONDS: Final = 2.0  # how old what the pages show of the register and of the fleet's health may be
AROUND: Final = (120.0, 6 * 3600.0)  # seconds that a graph shows before its fault: as long as four of it, within these
STEPS: Final = 240
USUAL: Final = 86_400.0  # seconds before a graph whose median is what is usual, if there are so many values of them
USUAL_STEPS: Final = 96
USUAL_LEAST: Final = 12
_METRIC: Final = re.compile(r"[a-zA-Z_:][\w:]*")
Floats = NDArray[np.float64]
_UNITS: Final = {"percent": "%", "bytes": "B", "bytes_per_second": "B/s", "seconds": "s", "celsius": "°C"}


@dataclass(slots=True)
class _Kept:
    """Answers that are made anew when they are older than FRESH_SECONDS."""

    devices: list[Device] = field(default_factory=list)
    devices_at: float = -math.inf
    links: dict[int, Link] = field(default_factory=dict)
    links_at: float = -math.inf
    health: dict[str, list[Reading]] = field(default_factory=dict)
    health_at: float = -math.inf


class FleetSources:
    """Reads the pipeline's state under its lock, a moment at a time."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._pipeline = collector.pipeline
        self._kept = _Kept()
        self._queries = self._pipeline.state.measures

    def devices(self, scope: Scope) -> list[DeviceView]:
        """Return every device in scope."""
        found = self._in_scope(scope)
        with self._pipeline.lock:
            return [self._view(device) for device in found]

    def device(self, scope: Scope, device_id: int) -> DeviceView | None:
        """Return one device of the scope."""
        found = next((device for device in self._register(scope) if device.id == device_id), None)
        if found is None or found.retired_at is not None:
            return None
        with self._pipeline.lock:
            return self._view(found)

    def find(self, scope: Scope, customer: str, site: str, name: str) -> DeviceView | None:
        """Return the device that an incident names; of several of that name the last, which may be retired by now."""
        named = [d for d in self._register(scope) if (d.customer, d.site, d.name) == (customer, site, name)]
        if not named:
            return None
        with self._pipeline.lock:
            return self._view(max(named, key=lambda device: device.id))

    def subject(self, scope: Scope, device_id: int) -> Subject | None:
        """Return how a device of the scope can be asked for a diagnosis."""
        found = next((device for device in self._in_scope(scope) if device.id == device_id), None)
        return None if found is None else self._collector.diagnosis.subject_of(found)

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
            problem=self._collector.problem(),
        )

    def events(self, scope: Scope, device_id: int, sought: EventsSought, limit: int) -> list[EventView]:
        """Return the newest events of a device of the scope that are sought."""
        wanted = Wanted(
            device=device_id,
            types=(sought.type,) if sought.type else (),
            text=sought.text,
            since=sought.since,
            before=sought.before,
        )
        found = self._collector.event_store.events(scope, wanted, limit)
        return [EventView(one.id, one.at, one.type, one.source, one.level, one.text) for one in found]

    def inventory(self, scope: Scope, device_id: int) -> list[PartView]:
        """Return what a device of the scope consists of."""
        found = self._collector.event_store.inventories(scope, device_id)
        return parts_of(found[0].parts) if found else []

    def links(self, scope: Scope) -> Mapping[int, LinkView]:
        """Return what each device of the scope hangs on."""
        if self._collector.clock() - self._kept.links_at > FRESH_SECONDS:
            self._kept.links = self._collector.register.links()
            self._kept.links_at = self._collector.clock()
        mine = {device.id: device for device in self._in_scope(scope)}
        return {
            number: LinkView(link.parent, link.port, link.how, link.evidence, link.since, mine[number].address)
            for number, link in self._kept.links.items()
            if number in mine and link.parent in mine
        }

    def hang(self, scope: Scope, device_id: int, parent_id: int | None, port: str) -> None:
        """Note what a person says a device hangs on.

        Raises:
            Refused: it cannot be.
        """
        mine = {device.id for device in self._in_scope(scope)}
        if device_id not in mine or (parent_id is not None and parent_id not in mine):
            raise Refused("there is no such device")
        try:
            self._collector.register.set_parent(device_id, parent_id, port=port, now=self._collector.clock())
        except RegisterError as error:
            raise Refused(str(error)) from error
        self._kept.links_at = -math.inf

    def strangers(self, scope: Scope) -> list[StrangerView]:
        """Return the machines of the scope's sites that are not in the register."""
        return [
            StrangerView(
                *(one.id, one.customer, one.site, one.address, one.mac, one.maker, one.where, one.names, one.ports),
                *(one.state, one.first_seen, one.last_seen),
            )
            for one in self._collector.finds.candidates.all()
            if scope.customer in (None, one.customer)
        ]

    def decide(self, scope: Scope, stranger_id: int, decision: str, name: str = "", klass: str = "") -> None:
        """Deny, ignore or approve a machine, or let it be new again.

        Raises:
            Refused: it cannot be.
        """
        if decision not in STATES or stranger_id not in {one.id for one in self.strangers(scope)}:
            raise Refused("there is no such machine, or nothing of this kind can be decided")
        try:
            if decision == "approved":
                now = self._collector.clock()
                approve(self._collector.finds.candidates, self._collector.register, stranger_id, name, klass, now)
            else:
                self._collector.finds.candidates.decide(stranger_id, decision)
        except RegisterError as error:
            raise Refused(str(error)) from error
        self._kept.devices_at = -math.inf

    def graph(self, scope: Scope, incident: Incident) -> Graph | None:
        """Return what the incident's rule compares, from before the fault until it was over, or now."""
        device = self.find(scope, incident.customer, incident.site, incident.device)
        drawn = self._drawn(incident)
        if device is None or drawn is None:
            return None
        start, end = _span(incident, self._collector.clock())
        line = self._line(device, incident, drawn, start, end, STEPS)
        if line is None:
            return None
        before = self._line(device, incident, drawn, start - USUAL, start, USUAL_STEPS)
        return _graph(incident, drawn, line, before)

    def _line(
        self, device: DeviceView, incident: Incident, drawn: Quantity, start: float, end: float, steps: int
    ) -> tuple[Floats, Floats] | None:
        """Return the times and values of what an incident is about, None if there are none."""
        metrics = set(_METRIC.findall(drawn.expr))
        kept = self._collector.recorder.history.read(device.id, lambda name, _labels: name in metrics, start, end)
        given = [_given(text, _target(device), *samples) for text, samples in kept.items()]
        try:
            lines = query_range(drawn.expr, given, start, end, max(1.0, (end - start) / steps))
        except RuleError:
            return None
        for line in lines:
            if all(incident.labels.get(name, value) == value for name, value in line.labels.items()):
                return line.times, line.values
        return None

    def _drawn(self, incident: Incident) -> Quantity | None:
        """Return what the rule behind an incident compares: of several of a name that of the incident's severity."""
        with self._pipeline.lock:
            engine = self._pipeline.state.engine
            records = {rule.name: rule.expr for rule in engine.rules() if rule.kind == "record"}
            rules = [work.rule for work, _ in engine.alerting() if work.rule.name == incident.alertname]
        rules.sort(key=lambda rule: severity(rule.labels.get("severity", "")) is not incident.severity)
        found = (quantity(rule.expr, records) for rule in rules)
        return next((drawn for drawn in found if drawn is not None), None)

    def _in_scope(self, scope: Scope) -> list[Device]:
        return [device for device in self._register(scope) if device.retired_at is None and device.origin != OWN]

    def _register(self, scope: Scope) -> list[Device]:
        """Return the devices of a scope, those that were retired too."""
        if self._collector.clock() - self._kept.devices_at > FRESH_SECONDS:
            self._kept.devices = self._collector.register.devices(retired=True)
            self._kept.devices_at = self._collector.clock()
        return [device for device in self._kept.devices if scope.customer in (None, device.customer)]

    def _view(self, device: Device) -> DeviceView:
        state = self._pipeline.state
        view = DeviceView(device.id, device.customer, device.site, device.name, device.kind, device.role, device.os)
        if device.id not in state.devices:
            return view
        life = state.presence.of(device.id, max(state.now, 0.0))
        hello = state.hellos.get(device.id)
        return dataclasses.replace(
            view, version=hello.version if hello else "", alive=life.up, excused=life.excused, last_seen=life.last_seen
        )

    def _health(self) -> dict[str, list[Reading]]:
        """Return the readings of the whole fleet by instance."""
        if self._collector.clock() - self._kept.health_at > FRESH_SECONDS:
            with self._pipeline.lock:
                found = [(measure, query.at(self._pipeline.state.now)) for measure, query in self._queries]
            health: dict[str, list[Reading]] = {}
            for measure, vector in found:
                if isinstance(vector, Vector):
                    for labels, value in zip(vector.labels, vector.values.tolist(), strict=True):
                        health.setdefault(labels.get("instance", ""), []).append(_reading(measure, labels, value))
            self._kept.health, self._kept.health_at = health, self._collector.clock()
        return self._kept.health


def _span(incident: Incident, now: float) -> tuple[float, float]:
    """Return from when to when the graph of an incident goes: the fault, what led to it, and a while after it."""
    over = incident.recovered_at or incident.resolved_at or now
    around = min(max(4 * (over - incident.active_at), AROUND[0]), AROUND[1])
    return incident.active_at - around, min(now, over + around / 2)


def _given(
    text: str, target: Mapping[str, str], times: Floats, values: Floats
) -> tuple[Mapping[str, str], Floats, Floats]:
    """Return a series of the history as PromQL sees it; where it had no value, it ended."""
    name, labels = wire.read_series(text)
    own = {f"exported_{key}" if key in target or key == "instance" else key: value for key, value in labels.items()}
    times, values = merged(times, values)
    return {**own, **target, NAME: name}, times, np.where(np.isnan(values), STALE, values)


def _target(device: DeviceView) -> dict[str, str]:
    """Return the labels by which a rule may tell the device's series from others'."""
    return {"customer": device.customer, "site": device.site, "class": device.klass, "role": device.role}


def _reading(measure: Measure, labels: Mapping[str, str], value: float) -> Reading:
    label = labels.get(measure.label[1:-1], "") if measure.label.startswith("{") else measure.label
    level: Level = "critical" if value >= measure.critical else "warning" if value >= measure.warning else "ok"
    fraction = min(max(value / 100, 0.0), 1.0) if measure.unit == "%" else None
    return Reading(label, value, measure.unit, fraction, level if math.isfinite(measure.warning) else "none")


def _graph(
    incident: Incident, drawn: Quantity, line: tuple[Floats, Floats], before: tuple[Floats, Floats] | None
) -> Graph:
    unit = incident.annotations.get("value_unit", "")
    threshold = drawn.threshold
    if threshold is None:
        with suppress(ValueError):
            threshold = float(incident.annotations.get("threshold", ""))
    usual = before[1][np.isfinite(before[1])] if before is not None else np.zeros(0)
    return Graph(
        line[0].tolist(),
        line[1].tolist(),
        _UNITS.get(unit, unit),
        title=drawn.title,
        threshold=threshold,
        above=drawn.above,
        normal=float(np.median(usual)) if len(usual) >= USUAL_LEAST else None,
    )
