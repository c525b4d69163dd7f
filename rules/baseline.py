"""What is usual: mean and deviation of a series for each hour of the week, learned as the weeks go by.

    baselines:
      - {name: load, expr: 'node_load5{class="server"}', half_life: 4w}

Every series that the expression yields has 168 buckets. An hour's samples are gathered (Welford), and at its end they
become one week's entry of its bucket, while what the bucket holds fades with the half-life. After `weeks` entries
(2 by default) the bucket of the present hour shows as

    watchdesk_baseline{metric="load",stat="mean",…}  and  watchdesk_baseline{metric="load",stat="stddev",…}

with the labels of the series, so that a rule may say `node_load5 > on (instance) 3 * …`. A series takes 4 KiB.
"""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from rules import document, fields
from rules.errors import PromQLError, StateError, TableError
from rules.expressions import check
from rules.fields import LABEL_NAME, Faults
from rules.fleet import Fleet
from rules.learning import HOURS, METRIC, Learner, SavedBaseline, Spec

__all__ = ["METRIC", "Baselines", "Plan", "hour_of_week", "parse"]

FIRST_OWNER: Final = -(1 << 40)  # number in the fleet; those of rules count down from -1

_FILE: Final = frozenset({"baselines", "timezone", "interval"})
_ENTRY: Final = frozenset({"name", "expr", "half_life", "weeks", "limit"})
_WEEK: Final = 604_800.0


class _Saved(msgspec.Struct, frozen=True):
    """What is dumped: when samples are taken next, and what was learned of each baseline."""

    next: float
    baselines: list[SavedBaseline]


@dataclass(frozen=True, slots=True)
class Plan:
    """A file of baselines: in which time zone the hours are, and how often samples are taken (seconds)."""

    specs: tuple[Spec, ...]
    zone: ZoneInfo
    interval: float = 60.0


def parse(text: str, file: str) -> Plan:
    """The baselines of a file; TableError holds all that is wrong with it."""
    faults = Faults(file, TableError)
    root = fields.mapping(fields.document(text, faults), "the file", _FILE, faults)
    specs = [_spec(node, faults) for node in fields.items(root.get("baselines"), "baselines", faults)]
    seen: set[str] = set()
    for spec, node in zip(specs, fields.items(root.get("baselines"), "baselines", faults), strict=True):
        if spec.name in seen:
            faults.add(node.line, f"the name {spec.name!r} is there twice")
        seen.add(spec.name)
    zone = _zone(root.get("timezone"), faults)
    interval = fields.duration(root.get("interval"), "interval", faults) or 60.0
    faults.check()
    return Plan(tuple(specs), zone, interval)


def _spec(node: document.Node, faults: Faults) -> Spec:
    entries = fields.mapping(node, "a baseline", _ENTRY, faults)
    name = fields.string(entries.get("name"), "name", faults)
    if not LABEL_NAME.fullmatch(name):
        faults.add(node.line, f"invalid name of a baseline: {name[:200]!r}")
    expr = fields.string(entries.get("expr"), "expr", faults)
    try:
        check(expr)
    except PromQLError as error:
        faults.add(node.line, f"could not parse expression: {error.message}")
    half_life = fields.duration(entries.get("half_life"), "half_life", faults) / _WEEK or 4.0
    weeks = fields.integer(entries.get("weeks"), "weeks", faults) or 2
    limit = fields.integer(entries.get("limit"), "limit", faults) or 20_000
    if min(weeks, limit) < 1:
        faults.add(node.line, "weeks and limit must be above 0")
    return Spec(name, expr, half_life, weeks, limit)


def _zone(node: document.Node | None, faults: Faults) -> ZoneInfo:
    name = fields.string(node, "timezone", faults) or "UTC"
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        faults.add(node.line if node else 0, f"no such time zone: {name[:100]!r}")
        return ZoneInfo("UTC")


class Baselines:
    """All baselines of a fleet; call `tick` before the engine's."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._plan = Plan((), ZoneInfo("UTC"))
        self._learners: dict[str, Learner] = {}
        self._waiting: dict[str, SavedBaseline] = {}
        self._next = -math.inf

    def load(self, text: str, file: str) -> None:
        """Take this file in place of the former one (TableError: it stays); what was learned under a name is kept."""
        plan = parse(text, file)
        former, self._learners = self._learners, {}
        for spec in plan.specs:
            old = former.get(spec.name)
            if old is not None and old.spec.expr == spec.expr:
                self._waiting[spec.name] = old.dump()
        for learner in former.values():
            learner.close()
        for place, spec in enumerate(plan.specs):
            learner = self._learners[spec.name] = Learner(spec, self._fleet, FIRST_OWNER - place)
            if spec.name in self._waiting:
                learner.restore(self._waiting.pop(spec.name))
        if former and plan.interval != self._plan.interval:
            self._next = -math.inf
        self._plan = plan

    def tick(self, now: float) -> None:
        """Take a sample of every series, once in an interval."""
        if now < self._next:
            return
        self._next = (now // self._plan.interval + 1) * self._plan.interval
        bucket = hour_of_week(now, self._plan.zone)
        for learner in self._learners.values():
            learner.take(now, bucket)

    def status(self) -> dict[str, dict[str, Any]]:
        """For each baseline: series, memory in bytes, series refused for the limit, the last error."""
        return {
            name: {"series": x.series, "memory": x.memory, "refused": x.refused, "error": x.error}
            for name, x in self._learners.items()
        }

    def dump(self) -> bytes:
        """What has been learned."""
        waiting = [s for name, s in self._waiting.items() if name not in self._learners]
        return msgspec.msgpack.encode(_Saved(self._next, [*(x.dump() for x in self._learners.values()), *waiting]))

    def restore(self, data: bytes) -> None:
        """Take over what was dumped, before or after `load`; StateError if it cannot be read."""
        try:
            saved = msgspec.msgpack.decode(data, type=_Saved)
            sound = all(
                len(s.learned) == len(s.series) * HOURS * 24 and len(s.hour) == len(s.series) * 24
                for s in saved.baselines
            )
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise StateError(f"what baselines learned cannot be read: {error}") from None
        if not sound:
            raise StateError("what baselines learned is damaged")
        self._next = saved.next
        for one in saved.baselines:
            learner = self._learners.get(one.name)
            if learner is None:
                self._waiting[one.name] = one
            else:
                learner.restore(one)


def hour_of_week(now: float, zone: datetime.tzinfo) -> int:
    """0 for Monday from midnight to one o'clock, 167 for the last hour of Sunday."""
    moment = datetime.datetime.fromtimestamp(now, zone)
    return moment.weekday() * 24 + moment.hour
