"""Baselines: means and deviations by the hour of the week, learned online, as series."""

from __future__ import annotations

import math
import random
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from rules import defaults, packs
from rules.baseline import Baselines, hour_of_week, parse
from rules.engine import Engine
from rules.errors import StateError, TableError
from rules.fleet import Fleet
from rules.promql import Query, Vector

HOUR, WEEK = 3600.0, 604_800.0
MONDAY = 345_600.0  # 5 January 1970, a Monday, 0:00 UTC

ONE = "interval: 10m\nbaselines: [{name: load, expr: load1, half_life: 4w}]"


class World:
    """Devices whose load follows the clock."""

    def __init__(self, text: str = ONE, devices: int = 1) -> None:
        self.fleet = Fleet()
        for number in range(1, devices + 1):
            self.fleet.add_device(number, {"instance": f"d{number}"})
        self.baselines = Baselines(self.fleet)
        self.baselines.load(text, "b.yml")
        self.mean = Query(self.fleet, 'watchdesk_baseline{metric="load",stat="mean"}')
        self.deviation = Query(self.fleet, 'watchdesk_baseline{metric="load",stat="stddev"}')

    def push(self, now: float, *values: float) -> None:
        for number, value in enumerate(values, 1):
            layout = self.fleet.layout(number, 1, [("load1", {})])
            self.fleet.append(layout, np.array([now]), np.array([[value]]))
        self.baselines.tick(now)

    def shown(self, now: float) -> tuple[dict[str, float], dict[str, float]]:
        return tuple({x["instance"]: v for x, v in _vector(q.at(now))} for q in (self.mean, self.deviation))  # type: ignore[return-value]


def _vector(answer: Vector | float | str) -> Vector:
    assert isinstance(answer, Vector)
    return answer


def reference(entries: list[list[float]], half_life: float) -> tuple[float, float]:
    """Mean and deviation of some weeks' hours, the last of weight 1, by the book."""
    fade = 0.5 ** (1 / half_life)
    weights = [fade ** (len(entries) - 1 - i) for i in range(len(entries))]
    means = [sum(e) / len(e) for e in entries]
    mean = sum(w * m for w, m in zip(weights, means, strict=True)) / sum(weights)
    squares = [sum((x - mean) ** 2 for x in e) / len(e) for e in entries]
    return mean, math.sqrt(sum(w * s for w, s in zip(weights, squares, strict=True)) / sum(weights))


def test_it_learns_what_is_usual_for_the_hour() -> None:
    world, source = World(devices=2), random.Random(1)
    hours: dict[int, list[list[float]]] = {0: [], 1: []}
    for week in range(5):
        for hour in (0, 1):
            values = [source.gauss(10 + 50 * hour, 3) for _ in range(6)]
            hours[hour].append(values)
            for i, value in enumerate(values):
                world.push(MONDAY + week * WEEK + hour * HOUR + i * 600, value, value * 2)
        world.push(MONDAY + week * WEEK + 2 * HOUR, 0, 0)
    for hour in (0, 1):
        now = MONDAY + 5 * WEEK + hour * HOUR
        world.push(now, 1, 1)
        mean, deviation = world.shown(now)
        wanted = reference(hours[hour], 4.0)
        assert mean == pytest.approx({"d1": wanted[0], "d2": 2 * wanted[0]}, rel=1e-12)
        assert deviation == pytest.approx({"d1": wanted[1], "d2": 2 * wanted[1]}, rel=1e-9)


def test_it_says_nothing_before_it_knows() -> None:
    world = World()
    for week in range(3):
        world.push(MONDAY + week * WEEK, 10 + week)
        mean, _ = world.shown(MONDAY + week * WEEK)
        assert bool(mean) == (week >= 2)
        world.push(MONDAY + week * WEEK + HOUR, 99)


def test_hours_do_not_mix_and_gaps_are_not_learned() -> None:
    world = World()
    for week in range(4):
        world.push(MONDAY + week * WEEK, 10)
        world.push(MONDAY + week * WEEK + 600, math.nan)
        world.push(MONDAY + week * WEEK + HOUR, 90)
    mean, deviation = world.shown(MONDAY + 3 * WEEK + HOUR)
    assert (mean, deviation) == ({"d1": 90}, {"d1": 0})


def test_it_forgets() -> None:
    world = World(ONE.replace("4w", "1w"))
    for week in range(20):
        world.push(MONDAY + week * WEEK, 0 if week < 10 else 100)
        world.push(MONDAY + week * WEEK + HOUR, 0)
    world.push(MONDAY + 20 * WEEK, 100)
    mean, _ = world.shown(MONDAY + 20 * WEEK)
    assert mean["d1"] == pytest.approx(100, abs=0.1)


def test_a_rule_can_say_unusual_for_a_monday_morning() -> None:
    world = World()
    unusual = Query(
        world.fleet,
        'abs(load1 - on (instance) watchdesk_baseline{metric="load",stat="mean"})'
        ' > on (instance) 3 * watchdesk_baseline{metric="load",stat="stddev"}',
    )
    for week in range(6):
        for i in range(6):
            world.push(MONDAY + week * WEEK + i * 600, 10 + i % 3)
        world.push(MONDAY + week * WEEK + HOUR, 0)
    now = MONDAY + 6 * WEEK
    world.push(now, 11.5)
    assert not len(_vector(unusual.at(now)))
    world.push(now + 600, 30)
    assert len(_vector(unusual.at(now + 600))) == 1


def test_the_shipped_rule_over_weeks() -> None:
    """On Monday mornings a server is calm, in Monday's backup hour it is busy: the same load is unusual only once."""
    engine = Engine(Fleet())
    engine.load({"unusual.yml": packs.load()["unusual.yml"]})
    engine.fleet.add_device(1, {"instance": "srv.hq.acme", "class": "server", "customer": "acme"})
    baselines = Baselines(engine.fleet)
    baselines.load(defaults.baselines(), "baselines.yml")
    source = random.Random(4)
    seen: list[tuple[int, int, str]] = []

    def hour(week: int, of_day: int, level: float) -> None:
        for minute in range(60):
            now = MONDAY + week * WEEK + of_day * HOUR + minute * 60
            layout = engine.fleet.layout(1, 1, [("watchdesk:cpu_used:percent10m", {})])
            value = level + source.uniform(-3, 3)
            engine.fleet.append(layout, np.array([now]), np.array([[value]]))
            baselines.tick(now)
            seen.extend((week, of_day, t.alert) for t in engine.tick(now) if t.state == "firing")

    for week in range(5):
        hour(week, 2, 70)  # the backup
        hour(week, 8, 12 if week < 4 else 70)
    assert seen == [(4, 8, "CpuUnusual")]


def test_series_beyond_the_limit_are_counted() -> None:
    world = World(ONE.replace("half_life: 4w", "limit: 2"), devices=3)
    world.push(MONDAY, 1, 2, 3)
    assert world.baselines.status()["load"] == {"series": 2, "memory": 16 * (168 * 24 + 24), "refused": 1, "error": ""}


def test_a_restart_forgets_nothing() -> None:
    straight, restarted = World(), World()
    for step in range(400):
        now = MONDAY + step * 1800
        for world in (straight, restarted):
            world.push(now, math.sin(step))
        if step % 37 == 0:
            data = restarted.baselines.dump()
            restarted.baselines = Baselines(restarted.fleet)
            if step % 2:
                restarted.baselines.restore(data)
                restarted.baselines.load(ONE, "b.yml")
            else:
                restarted.baselines.load(ONE, "b.yml")
                restarted.baselines.restore(data)
            assert restarted.baselines.dump() == data
        assert straight.shown(now) == restarted.shown(now)
    assert straight.baselines.dump() == restarted.baselines.dump()


def test_a_reload_keeps_what_was_learned_of_the_same_expression() -> None:
    world = World()
    for week in range(3):
        world.push(MONDAY + week * WEEK, 10)
        world.push(MONDAY + week * WEEK + HOUR, 20)
    world.baselines.load(ONE.replace("4w", "8w"), "b.yml")
    world.push(MONDAY + 3 * WEEK, 1)
    assert world.shown(MONDAY + 3 * WEEK)[0] == {"d1": 10}
    world.baselines.load(ONE.replace("load1", "load1 * 2"), "b.yml")
    world.push(MONDAY + 3 * WEEK + 600, 1)
    assert world.shown(MONDAY + 3 * WEEK + 600)[0] == {}


def test_damaged_state_is_refused() -> None:
    world = World()
    world.push(MONDAY, 1)
    data = world.baselines.dump()
    for bad in (b"", b"\x00", data[:-1], data.replace(b"load", b"l\x00\xffd")):
        with pytest.raises(StateError):
            world.baselines.restore(bad)
    assert world.baselines.dump() == data


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("baselines: 1", 1, "baselines must be a list"),
        ("baselines:\n- {name: a-b, expr: x}", 2, "invalid name"),
        ("baselines:\n- {name: a, expr: 'x('}", 2, "could not parse expression"),
        ("baselines:\n- {name: a, expr: x, half_life: 1}", 2, "half_life"),
        ("baselines:\n- {name: a, expr: x, weeks: -1}", 2, "must be above 0"),
        ("baselines:\n- {name: a, expr: x}\n- {name: a, expr: y}", 3, "there twice"),
        ("timezone: Mars/Base", 1, "no such time zone"),
        ("hours: 1", 1, "unknown key 'hours'"),
    ],
)
def test_faults_have_their_line(text: str, line: int, message: str) -> None:
    with pytest.raises(TableError) as caught:
        parse(text, "b.yml")
    assert message in caught.value.message
    assert caught.value.line == line


def test_hours_are_those_of_the_time_zone() -> None:
    assert hour_of_week(MONDAY, ZoneInfo("UTC")) == 0
    assert hour_of_week(MONDAY - 1, ZoneInfo("UTC")) == 167
    assert hour_of_week(MONDAY, ZoneInfo("Asia/Shanghai")) == 8
