"""Recorded series: what a rule's result becomes in the fleet."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rules.errors import EvaluationError
from rules.fleet import Fleet
from rules.promql import Query, Vector
from rules.record import Record
from rules.sweeping import compact

NOW = 1_700_000_000.0
SCHEMA = [("a", {"x": "1"}), ("a", {"x": "2"}), ("b", {"x": "1"})]


def send(fleet: Fleet, number: int, at: float, *values: float) -> None:
    if number not in fleet.devices:
        fleet.add_device(number, {"instance": f"h{number}"})
    fleet.append(fleet.layout(number, 1, SCHEMA), np.array([at]), np.array([values]))


def ask(fleet: Fleet, expr: str, at: float) -> dict[str, float]:
    answer = Query(fleet, expr).at(at)
    assert isinstance(answer, Vector)
    return {repr(labels): value for labels, value in answer}


class Rule:
    """A recording rule at work."""

    def __init__(self, fleet: Fleet, name: str, expr: str, owner: int = -1, **labels: str) -> None:
        self.query = Query(fleet, expr)
        self.record = Record(fleet, owner, name, labels)

    def tick(self, now: float) -> int:
        answer = self.query.at(now)
        assert not isinstance(answer, str)
        return self.record.write(answer, now)


def test_a_result_is_recorded_under_the_name_and_labels_of_the_rule() -> None:
    fleet = Fleet()
    rule = Rule(fleet, "site:a", "a * 2", team="x", instance="")
    send(fleet, 1, NOW, 1, 2, 3)
    assert rule.tick(NOW) == 2
    assert ask(fleet, "{team='x'}", NOW) == {'site:a{team="x", x="1"}': 2.0, 'site:a{team="x", x="2"}': 4.0}


def test_what_is_no_longer_in_the_result_becomes_stale() -> None:
    fleet = Fleet()
    rule = Rule(fleet, "big", "a > 1")
    send(fleet, 1, NOW, 5, 6, 0)
    assert rule.tick(NOW) == 2
    send(fleet, 1, NOW + 1, 0, 7, 0)
    assert rule.tick(NOW + 1) == 1
    assert list(ask(fleet, "big", NOW + 1).values()) == [7.0]
    send(fleet, 1, NOW + 2, 0, 0, 0)
    assert rule.tick(NOW + 2) == 0
    assert ask(fleet, "big", NOW + 2) == {}
    send(fleet, 2, NOW + 3, 9, 9, 9)
    send(fleet, 1, NOW + 3, 3, 0, 0)
    assert rule.tick(NOW + 3) == 3
    assert sorted(ask(fleet, "big", NOW + 3).values()) == [3.0, 9.0, 9.0]


def test_nan_is_recorded_as_a_value() -> None:
    fleet = Fleet()
    query = Query(fleet, "count_over_time(ratio[1m])")
    rule = Rule(fleet, "ratio", "a / 0")
    send(fleet, 1, NOW, 0, 1, 0)
    rule.tick(NOW)
    values = ask(fleet, "ratio", NOW)
    assert math.isnan(values['ratio{instance="h1", x="1"}'])
    assert values['ratio{instance="h1", x="2"}'] == math.inf
    answer = query.at(NOW)
    assert isinstance(answer, Vector)
    assert answer.values.tolist() == [1.0, 1.0]


def test_a_number_is_a_series_without_labels() -> None:
    fleet = Fleet()
    rule = Rule(fleet, "now", "time()", kind="clock")
    assert rule.tick(NOW) == 1
    assert ask(fleet, "now", NOW) == {'now{kind="clock"}': NOW}


def test_labels_that_clash_are_an_error_and_nothing_is_written() -> None:
    fleet = Fleet()
    rule = Rule(fleet, "r", "a", x="same")
    send(fleet, 1, NOW, 1, 2, 3)
    with pytest.raises(EvaluationError, match="same labelset"):
        rule.tick(NOW)
    assert ask(fleet, "r", NOW) == {}
    assert fleet.layout(-1, 0, []).series.tolist() == []


def test_recorded_series_are_looked_back_on_as_they_join() -> None:
    fleet = Fleet()
    back = Query(fleet, "sum by (instance) (sum_over_time(r[1m]))")
    rule = Rule(fleet, "r", "b + 1")
    for turn in range(4):
        for number in range(turn + 1):
            send(fleet, number, NOW + 10 * turn, 0, 0, number)
        rule.tick(NOW + 10 * turn)
    answer = back.at(NOW + 30)
    assert isinstance(answer, Vector)
    assert {own["instance"]: value for own, value in answer} == {"h0": 4.0, "h1": 6.0, "h2": 6.0, "h3": 4.0}


def test_results_on_other_metrics_stand_while_a_rule_records() -> None:
    fleet = Fleet()
    send(fleet, 1, NOW, 1, 2, 3)
    query = Query(fleet, "sum(a)")
    rule = Rule(fleet, "r", "b")
    query.at(NOW)
    before = fleet.stamp(frozenset({"a"}))
    rule.tick(NOW)
    assert fleet.stamp(frozenset({"a"})) == before
    assert fleet.stamp(frozenset({"r"})) > before
    assert fleet.stamp(None) > before


def test_columns_that_nobody_has_any_more_are_dropped() -> None:
    fleet = Fleet()
    rule = Rule(fleet, "r", "b > 0")
    for number in range(100):
        send(fleet, number, NOW, 0, 0, 1)
    assert rule.tick(NOW) == 100
    for number in range(90):
        send(fleet, number, NOW + 1, 0, 0, 0)
    assert rule.tick(NOW + 1) == 10
    assert rule.tick(NOW + 2) == 10
    assert len(ask(fleet, "r", NOW + 2)) == 10
    assert len(fleet.devices[-1].sources["agent"].layout.series) == 10  # type: ignore[union-attr]


@pytest.mark.parametrize("how", ["restore", "compact"])
def test_a_rule_goes_on_after(how: str) -> None:
    fleet = Fleet()
    rule = Rule(fleet, "r", "b", team="x")
    for number in range(5):
        send(fleet, number, NOW, 0, 0, number)
    rule.tick(NOW)
    if how == "restore":
        fleet.restore(fleet.dump())
    else:
        compact(fleet)
    size = fleet.series
    for number in range(6):
        send(fleet, number, NOW + 1, 0, 0, 10 + number)
    assert rule.tick(NOW + 1) == 6
    assert sorted(ask(fleet, "r", NOW + 1).values()) == [10, 11, 12, 13, 14, 15]
    assert fleet.series == size + 4  # of the sixth device, and recorded


def test_a_rule_that_is_gone_leaves_nothing() -> None:
    fleet = Fleet()
    rule = Rule(fleet, "r", "b")
    send(fleet, 1, NOW, 1, 2, 3)
    rule.tick(NOW)
    rule.record.close()
    assert ask(fleet, "r", NOW) == {}
    assert fleet.series == 3
    rule.tick(NOW + 1)
    assert len(ask(fleet, "r", NOW + 1)) == 1
