"""Rules against recorded samples: the same transitions as live, in event time."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest

from rules.alerts import Transition
from rules.backtest import Samples, backtest, read
from rules.engine import Engine
from rules.errors import RuleFileError
from rules.fleet import Fleet
from rules.labels import Labels

RULES = {
    "r.yml": """
groups:
- name: g
  rules:
  - {record: used, expr: 100 - free}
  - alert: Full
    expr: used > 90
    for: 20s
    labels: {severity: critical}
    annotations: {summary: '{{ $labels.instance }} of {{ $labels.customer }} is {{ $value | printf "%.0f" }}% full'}
  - {alert: Steep, expr: 'deriv(free[45s]) < -1'}
"""
}


def om(*lines: str) -> Samples:
    return read(io.BytesIO("\n".join([*lines, "# EOF", ""]).encode()))


def falling(instance: str, start: int = 0) -> list[str]:
    values = [50, 30, 8, 7, 6, 5, 60, 61]
    return [f'free{{instance="{instance}"}} {v} {start + 10 * i}' for i, v in enumerate(values)]


def story(found: list[Transition]) -> list[tuple[float, str, str, str]]:
    return [(t.at, t.state, t.alert, t.labels["instance"]) for t in found]


def test_the_transitions_of_a_recording() -> None:
    found = list(backtest(RULES, om(*falling("a"))))
    assert story(found) == [
        (10, "firing", "Steep", "a"),
        (20, "pending", "Full", "a"),
        (40, "firing", "Full", "a"),
        (50, "resolved", "Steep", "a"),
        (60, "resolved", "Full", "a"),
    ]
    assert found[2].active_at == 20


def test_labels_come_from_the_register() -> None:
    targets = {"a": {"customer": "acme", "site": "hq"}, "b": {"customer": "other"}}
    found = list(backtest(RULES, om(*falling("a"), *falling("b", 3)), targets))
    assert {(t.labels["instance"], t.labels["customer"]) for t in found} == {("a", "acme"), ("b", "other")}
    firing = next(t for t in found if t.alert == "Full" and t.state == "firing")
    assert firing.annotations == {"summary": "a of acme is 94% full"}


def test_bad_rules_are_refused_before_anything_is_evaluated() -> None:
    with pytest.raises(RuleFileError):
        list(backtest({"r.yml": "groups: 1"}, om(*falling("a"))))


def test_no_samples_no_transitions() -> None:
    assert list(backtest(RULES, om())) == []


def test_the_order_of_the_text_does_not_matter() -> None:
    lines = [*falling("a"), *falling("b", 3), *falling("c")]
    shuffled = list(lines)
    random.Random(2).shuffle(shuffled)
    key = lambda t: (t.at, t.alert, t.labels["instance"])  # noqa: E731
    assert sorted(backtest(RULES, om(*lines)), key=key) == sorted(backtest(RULES, om(*shuffled)), key=key)


def test_of_two_samples_of_one_time_the_later_counts() -> None:
    found = list(backtest(RULES, om('free{instance="a"} 50 0', 'free{instance="a"} 50 10', 'free{instance="a"} 5 10')))
    assert (10, "pending", "Full", "a") in story(found)


def test_the_pace_is_that_of_the_samples() -> None:
    fast = [f'free{{instance="a"}} 5 {i * 5}' for i in range(20)]
    assert story(list(backtest(RULES, om(*fast)))) == [(0, "pending", "Full", "a"), (20, "firing", "Full", "a")]
    assert story(list(backtest(RULES, om(*fast), step=15))) == [
        (0, "pending", "Full", "a"),
        (30, "firing", "Full", "a"),
    ]


def test_a_backtest_is_what_would_have_happened_live() -> None:
    """The same samples through a live engine, device by device and row by row, give the same transitions."""
    source = np.random.default_rng(5)
    names, series, times, values = [], [], [], []
    engine = Engine(Fleet())
    engine.load(RULES)
    rows = []
    for number in range(12):
        engine.fleet.add_device(number, {"instance": f"d{number}", "customer": "c"})
        names.append(Labels({"__name__": "free", "instance": f"d{number}", "customer": "c"}))
        moments = np.unique(source.integers(0, 900, 90)).astype(float)
        levels = source.choice([3.0, 9.0, 40.0, 80.0, np.nan], len(moments), p=[0.3, 0.3, 0.2, 0.15, 0.05])
        series += [number] * len(moments)
        times += moments.tolist()
        values += levels.tolist()
        rows += [(moment, number, level) for moment, level in zip(moments.tolist(), levels.tolist(), strict=True)]
    samples = Samples(names, np.array(series, np.int32), np.array(times), np.array(values))
    live: list[Transition] = []
    waiting = sorted(rows)
    for now in range(901):
        while waiting and waiting[0][0] <= now:
            moment, number, level = waiting.pop(0)
            layout = engine.fleet.layout(number, 1, [("free", {})])
            engine.fleet.append(layout, np.array([moment]), np.array([[level]]))
        live += engine.tick(float(now))
    found = list(backtest(RULES, samples, step=1))
    last = max(times)

    def told(transitions: list[Transition]) -> set[tuple[float, str, str, str, str]]:
        return {(t.at, t.state, t.alert, t.labels["instance"], f"{t.value:.9g}") for t in transitions if t.at <= last}

    assert told(found) == told(live)
    assert len(told(found)) > 100
