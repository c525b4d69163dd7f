"""What speaks for a fault, gathered when somebody is told of it: what is normal, the trend, what changed, who else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ticketing.diagnosis.asked import Diagnosis
from ticketing.diagnosis.asked import State as Finished
from ticketing.diagnosis.asked import to_json as diagnosis_to_json
from ticketing.incident import Incident, TimelineEntry, rfc3339
from ticketing.scope import Scope
from ticketing.store import Store
from ticketing.web.sources import EventsSought, EventView, Graph, Sources

DAY: Final = 86_400.0
MOST: Final = 5  # of each list
_ATTACHED: Final = 20
_RANKS: Final = {"network": 0, "server": 1}
_POINTS: Final = 32
_BARS: Final = "▁▂▃▄▅▆▇█"
_UNITS: Final = {"percent": "%", "bytes": "B", "bytes_per_second": "B/s", "seconds": "s", "celsius": "°C"}
_CHANGES: Final = ("software", "config", "boot", "inventory", "hotplug", "agent")  # types of events


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened on the device: `kind` is log, unit, software, boot …"""

    at: float  # Unix seconds
    kind: str
    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Earlier:
    """A former incident of the same key, and what solved it."""

    id: int
    number: str
    opened_at: float
    resolved_at: float | None
    cause: str
    said: str  # by the person who resolved it


@dataclass(frozen=True, slots=True)
class Evidence:
    """Each part is empty where nothing is known of it."""

    unit: str = ""
    threshold: float | None = None
    normal: float | None = None
    above: bool = True  # the fault is above the threshold
    title: str = ""  # what the values are of
    times: Sequence[float] = ()
    values: Sequence[float] = ()
    rate: float | None = None  # change in an hour, in `unit`
    left: float | None = None  # seconds until it is full or empty, at that rate
    changes: Sequence[Happening] = ()  # in the last day, the newest first
    events: Sequence[Happening] = ()
    neighbours: Sequence[Incident] = ()  # unresolved, same rule, same customer, another device
    earlier: Sequence[Earlier] = ()
    attached: Sequence[str] = ()  # what hangs on the port that it is about: "pc12 (10.0.0.12)"
    diagnoses: Sequence[Diagnosis] = ()  # the oldest first

    @property
    def findings(self) -> Sequence[Diagnosis]:
        """Return the newest finding of each diagnosis, in the order in which they were asked for first."""
        found = {one.what: one for one in self.diagnoses if one.state is Finished.DONE and one.finding}
        return list(found.values())

    @property
    def spark(self) -> str:
        """Return the values as a line of bars, for where nothing can be drawn; "" if there are too few."""
        return sparkline(self.values)


def gather(store: Store, sources: Sources, scope: Scope, incident: Incident) -> Evidence:
    """Return what is known about an incident; everything is of its own customer and in the scope."""
    return weigh(store, sources, scope, incident, sources.graph(scope, incident))


def weigh(store: Store, sources: Sources, scope: Scope, incident: Incident, graph: Graph | None) -> Evidence:
    """Return what `gather` does, with a graph that is there already."""
    changes, events = _happened(sources, scope, incident)
    found = Evidence(
        unit=unit_of(incident.annotations),
        threshold=threshold_of(incident.annotations),
        changes=changes,
        events=events,
        neighbours=store.neighbours(scope, incident, MOST),
        attached=_attached(sources, scope, incident),
        earlier=[_earlier(store, scope, one) for one in store.earlier(scope, incident.id, MOST)],
        diagnoses=store.diagnoses.of_incident(scope, incident.id),
    )
    return found if graph is None else _with_graph(found, graph, incident)


def _happened(sources: Sources, scope: Scope, incident: Incident) -> tuple[list[Happening], list[Happening]]:
    """Return what changed on the device in the day before, and what else it told last; the newest first."""
    device = sources.find(scope, incident.customer, incident.site, incident.device) if incident.device else None
    if device is None:
        return [], []
    number, since = device.id, incident.active_at - DAY
    changes = [
        one for kind in _CHANGES for one in sources.events(scope, number, EventsSought(type=kind, since=since), MOST)
    ]
    others = sources.events(scope, number, EventsSought(since=since), 4 * MOST)
    others = [one for one in others if one.type not in _CHANGES]
    return _newest(changes, incident), _newest(others, incident)


def _attached(sources: Sources, scope: Scope, incident: Incident) -> list[str]:
    """Return what hangs on the port that an incident names, servers first."""
    port = incident.labels.get("ifName", "")
    device = sources.find(scope, incident.customer, incident.site, incident.device) if port else None
    if device is None:
        return []
    links = sources.links(scope)
    here = [one for one in sources.devices(scope) if (link := links.get(one.id)) and link.parent == device.id]
    here = [one for one in here if links[one.id].port == port]
    here.sort(key=lambda one: (_RANKS.get(one.klass, 2), one.name))
    more = [f"… ({len(here) - _ATTACHED} more)"] if len(here) > _ATTACHED else []
    return [f"{one.name} ({links[one.id].address or one.klass})" for one in here[:_ATTACHED]] + more


def _newest(events: Sequence[EventView], incident: Incident) -> list[Happening]:
    until = incident.resolved_at or math.inf
    found = sorted((one for one in events if one.at <= until), key=lambda one: -one.at)
    return [Happening(one.at, one.type, one.level, one.text) for one in found[:MOST]]


def _with_graph(found: Evidence, graph: Graph, incident: Incident) -> Evidence:
    points = finite_points(graph.times, graph.values)
    trend = slope(points) if incident.unresolved else None
    return replace(
        found,
        unit=graph.unit or found.unit,
        threshold=found.threshold if found.threshold is not None else graph.threshold,
        above=graph.above,
        normal=graph.normal,
        title=graph.title,
        times=[time for time, _ in points],
        values=[value for _, value in points],
        rate=trend,
        left=time_left(points[-1][1], trend, graph.unit, above=graph.above) if points and trend else None,
    )


def _earlier(store: Store, scope: Scope, incident: Incident) -> Earlier:
    cause = incident.cause.value if incident.cause is not None else ""
    said = ""
    if cause:
        entries: Sequence[TimelineEntry] = store.timeline(scope, incident.id) or ()
        told = [str(entry.data.get("text", "")) for entry in entries if entry.action == "resolve"]
        said = told[-1] if told else ""
    return Earlier(incident.id, incident.number, incident.opened_at, incident.resolved_at, cause, said)


def time_left(value: float, rate: float, unit: str, *, above: bool) -> float | None:
    """Return the seconds until a share is full (or empty) at a rate for each hour; None if it gets better, or has no
    end that is known."""
    end = {"%": 100.0, "ratio": 1.0}.get(unit) if above else 0.0
    if end is None or rate == 0 or (rate > 0) is not above:
        return None
    return max(0.0, (end - value) / rate * 3600)


def finite_points(times: Sequence[float], values: Sequence[float]) -> list[tuple[float, float]]:
    """Return the points that arithmetic can be done with."""
    return [(t, v) for t, v in zip(times, values, strict=True) if math.isfinite(t) and abs(v) <= 1e300]


def slope(points: Sequence[tuple[float, float]]) -> float | None:
    """Return how much the value changes in an hour by its last fifth (least squares); None if it hardly moves."""
    if len(points) < 5:
        return None
    since = points[-1][0] - (points[-1][0] - points[0][0]) / 5
    recent = [point for point in points if point[0] >= since]
    middle, mean = (sum(column) / len(recent) for column in zip(*recent, strict=True))
    spread = sum((t - middle) ** 2 for t, _ in recent)
    if len(recent) < 5 or spread == 0:
        return None
    steep = sum((t - middle) * (v - mean) for t, v in recent) / spread
    values = [v for _, v in points]
    moved = abs(steep) * (recent[-1][0] - recent[0][0])
    return steep * 3600 if moved > 0.05 * (max(values) - min(values)) else None


def sparkline(values: Sequence[float]) -> str:
    """Return values as bars of eight heights, "" if there are fewer than two."""
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) < 2:
        return ""
    step = max(1.0, len(finite) / _POINTS)
    shown = [finite[int(index * step)] for index in range(min(_POINTS, len(finite)))]
    shown[-1] = finite[-1]
    low, high = min(shown), max(shown)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * scale)] for value in shown)


def unit_of(annotations: Mapping[str, str]) -> str:
    """Return the unit of an alert's value, from its rule's annotation."""
    unit = annotations.get("value_unit", "")
    return _UNITS.get(unit, unit)


def threshold_of(annotations: Mapping[str, str]) -> float | None:
    """Return the number that an alert's value passed, if its rule's annotation has one."""
    try:
        value = float(annotations.get("threshold", ""))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def to_json(evidence: Evidence) -> dict[str, Any]:
    """Return the evidence for programs; times are RFC 3339 in UTC."""
    return {
        "unit": evidence.unit,
        "threshold": evidence.threshold,
        "normal": evidence.normal,
        "rate_per_hour": evidence.rate,
        "seconds_left": evidence.left,
        "changes": [_happening(one) for one in evidence.changes],
        "events": [_happening(one) for one in evidence.events],
        "attached": list(evidence.attached),
        "neighbours": [
            {"id": one.id, "number": one.number, "device": one.device, "site": one.site} for one in evidence.neighbours
        ],
        "diagnoses": [diagnosis_to_json(one) for one in evidence.diagnoses],
        "earlier": [
            {
                "id": one.id,
                "number": one.number,
                "opened_at": rfc3339(one.opened_at),
                "resolved_at": rfc3339(one.resolved_at),
                "cause": one.cause,
                "text": one.said,
            }
            for one in evidence.earlier
        ],
    }


def _happening(one: Happening) -> dict[str, str | None]:
    return {"at": rfc3339(one.at), "type": one.kind, "level": one.level, "text": one.text}
