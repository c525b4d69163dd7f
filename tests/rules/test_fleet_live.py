"""A fleet whose devices come, go, change and fall silent answers, tick by tick, as one that is given all at once.

The live fleet keeps what it derived from tick to tick and only looks at what changed; the other (`History`) starts from
nothing each time. Whatever happens, both must agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.errors import EvaluationError
from rules.fleet import Fleet
from rules.promql import Query, Vector
from rules.query_range import History
from rules.rings import STALE
from rules.sweeping import compact
from tests.rules.promql.compare import same
from tests.rules.promql.prometheus import Refused

EXPRESSIONS = (
    "a",
    "a > 5",
    'a{x="1"} or b',
    "sum by (site) (a)",
    "max without (x) (a) - min without (x) (a)",
    "a / on(instance, x) b",
    "a * on(instance) group_left(version) info",
    "a and on(instance) info",
    "b unless a",
    "rate(c[40s])",
    "sum by (site) (increase(c[1m])) > 3",
    "avg_over_time(a[35s])",
    "max_over_time(a[1m]) - a",
    "predict_linear(a[40s], 60)",
    "a offset 20s",
    "b - b offset 15s",
    "max_over_time(rate(c[20s])[1m:10s])",
    "count_over_time((a > 4)[50s:7s])",
    'label_replace(a, "x", "new-$1", "x", "(.*)")',
    "topk by (site) (1, a)",
    'count_values("v", b)',
    "absent(a)",
    'absent_over_time(b{x="2"}[20s])',
    "last_over_time(info[30s])",
    '{__name__=~"a|b"} + 0',
    "histogram_quantile(0.5, c)",
    "timestamp(a)",
    "stddev(a)",
    "quantile(0.5, a)",
    "changes(b[1m])",
)

SCHEMAS: tuple[list[tuple[str, dict[str, str]]], ...] = (
    [("a", {"x": "1"}), ("a", {"x": "2"}), ("b", {"x": "1"}), ("c", {"le": "1"}), ("info", {"version": "1"})],
    [("a", {"x": "1"}), ("b", {"x": "1"}), ("c", {"le": "+Inf"}), ("info", {"version": "2"})],
    [("c", {"le": "1"}), ("a", {"x": "2"}), ("b", {"x": "2"}), ("a", {"site": "own"})],
)


@dataclass
class Recorded:
    """What a device has sent, by series; with a stale marker where one vanished."""

    series: dict[tuple[tuple[str, str], ...], tuple[list[float], list[float]]] = field(default_factory=dict)
    schema: int | None = None
    last: float = -math.inf


class World:
    """A live fleet with its queries, and the record of what it was given."""

    def __init__(self, expressions: tuple[str, ...] = EXPRESSIONS) -> None:
        self.fleet = Fleet()
        self.queries = {expr: Query(self.fleet, expr, step=10) for expr in expressions}
        self.record: dict[int, Recorded] = {}
        self.now = 1_700_000_000.0

    def labels(self, device: int) -> dict[str, str]:
        return {"instance": f"d{device}", "site": f"s{device % 2}"}

    def send(self, device: int, schema: int, times: list[float], rows: list[list[float]]) -> None:
        if device not in self.record:
            self.record[device] = Recorded()
            self.fleet.add_device(device, self.labels(device))
        columns = SCHEMAS[schema]
        values = np.array([row[: len(columns)] for row in rows], np.float64)
        self.fleet.append(self.fleet.layout(device, schema, columns), np.array(times), values)
        self._note(device, schema, times, values)

    def _note(self, device: int, schema: int, times: list[float], values: np.ndarray) -> None:
        record = self.record[device]
        for at, row in zip(times, values.tolist(), strict=True):
            if round(at, 3) <= record.last:
                continue
            if record.schema != schema:
                self._vanish(device, schema, at)
            record.last = round(at, 3)
            for (name, own), value in zip(SCHEMAS[schema], row, strict=True):
                self._put(device, name, own, at, STALE if math.isnan(value) else value)

    def _vanish(self, device: int, schema: int, at: float) -> None:
        record = self.record[device]
        if record.schema is not None:
            for name, own in SCHEMAS[record.schema]:
                if (name, own) not in SCHEMAS[schema]:
                    self._put(device, name, own, at, STALE)
        record.schema = schema

    def _put(self, device: int, name: str, own: dict[str, str], at: float, value: float) -> None:
        target = self.labels(device)
        renamed = {(f"exported_{k}" if k in target else k): v for k, v in own.items()}
        key = tuple(sorted({**renamed, **target, "__name__": name}.items()))
        times, values = self.record[device].series.setdefault(key, ([], []))
        times.append(at)
        values.append(value)

    def remove(self, device: int) -> None:
        self.fleet.remove_device(device)
        self.record.pop(device, None)

    def check(self) -> None:
        samples = [(dict(key), *sent) for record in self.record.values() for key, sent in record.series.items()]
        history = History(samples, step=10)
        for expr, query in self.queries.items():
            mine, fresh = answer(query.at, self.now), answer(history.query(expr).at, self.now)
            assert same(mine, fresh), f"{expr}\n  live:  {mine}\n  fresh: {fresh}"


def answer(at: Callable[[float], Vector | float | str], now: float) -> object:
    """Return an answer in a form to be compared."""
    try:
        value = at(now)
    except EvaluationError as error:
        return Refused(str(error), parsing=False)
    if not isinstance(value, Vector):
        return value
    return {frozenset(labels.items()): number for labels, number in value}


values = st.one_of(st.integers(0, 12).map(float), st.just(math.nan))
rows = st.lists(values, min_size=5, max_size=5)


@dataclass
class Step:
    """Something that happens to the fleet."""

    what: str
    device: int
    schema: int
    gap: float
    sent: list[list[float]]

    def happen(self, world: World) -> None:
        """Do it."""
        if self.what == "remove":
            world.remove(self.device)
        elif self.what == "quiet":
            world.now += self.gap * 10
        elif self.what == "compact":
            compact(world.fleet)
        elif self.what == "restore":
            world.fleet.restore(world.fleet.dump())
        elif self.what == "late":
            world.send(self.device, self.schema, [world.now - self.gap], self.sent)
        else:
            world.now += self.gap
            count = len(self.sent)
            times = [round(world.now - self.gap * 0.9 * k / count, 3) for k in reversed(range(count))]
            world.send(self.device, self.schema, times, self.sent)


@st.composite
def steps(draw: st.DrawFn) -> Step:
    device, schema = draw(st.integers(0, 4)), draw(st.sampled_from((0, 0, 0, 1, 2)))
    what = draw(st.sampled_from(("row", "row", "row", "row", "rows", "late", "remove", "quiet", "compact", "restore")))
    sent = draw(st.lists(rows, min_size=1, max_size=12 if what == "rows" else 1))
    gap = draw(st.sampled_from((1.0, 5.0, 10.0, 10.0, 10.0, 31.5)))
    return Step(what, device, schema, gap, sent)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(happening=st.lists(steps(), min_size=3, max_size=25))
def test_a_live_fleet_answers_as_its_history(happening: list[Step]) -> None:
    world = World()
    for step in happening:
        step.happen(world)
        world.check()


@pytest.mark.soak
@settings(max_examples=3_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(happening=st.lists(steps(), min_size=3, max_size=60))
def test_a_live_fleet_answers_as_its_history_for_long(happening: list[Step]) -> None:
    world = World()
    for step in happening:
        step.happen(world)
        world.check()


def row(device: int, schema: int, value: float, gap: float = 10.0) -> Step:
    return Step("row", device, schema, gap, [[value] * 5])


def many(device: int, schema: int, gap: float, count: int) -> Step:
    return Step("rows", device, schema, gap, [[0.0] * 5] * count)


FAILED_ONCE = {
    "topk chooses among equals by their labels, not by their slots": [
        row(0, 2, 0.0), row(4, 2, 12.0), Step("row", 0, 0, 1.0, [[12.0, 0.0, 0.0, 0.0, 0.0]])
    ],
    "a new schema of few metrics takes a series of another metric away": [
        row(0, 0, 0.0), many(1, 0, 10.0, 8), Step("late", 0, 2, 5.0, [[0.0] * 5])
    ],
    "a ring that grows after it has lost samples holds none in their place": [
        many(4, 0, 31.5, 9), many(0, 0, 10.0, 7), row(0, 0, 0.0, 31.5), row(0, 0, 0.0, 31.5), many(4, 2, 10.0, 12),
        row(0, 0, 0.0), row(0, 0, 0.0, 5.0), Step("quiet", 0, 2, 1.0, []), many(0, 2, 10.0, 12), many(0, 2, 5.0, 10),
        many(4, 0, 1.0, 5)
    ],
}  # fmt: skip


@pytest.mark.parametrize("story", FAILED_ONCE)
def test_what_failed_once(story: str) -> None:
    world = World()
    for step in FAILED_ONCE[story]:
        step.happen(world)
        world.check()
