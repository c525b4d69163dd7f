"""Recorded samples on their way into a fleet: what goes together, and when there are ticks."""

from __future__ import annotations

import numpy as np
import pytest

from rules import replay
from rules.backtest import backtest
from rules.labels import Labels
from rules.openmetrics import Samples
from rules.replay import Feed, feeds, ticks
from tests.rules.load import rule_file
from tests.rules.recording import recording

RULES = {"r.yml": "groups: [{name: g, rules: [{alert: A, expr: m > 1, for: 25s}]}]"}


def samples(*rows: tuple[int, float, float], names: int = 2) -> Samples:
    """Samples of m{n="0"}, m{n="1"} …: (number, time, value)."""
    series, times, values = zip(*rows, strict=True)
    own = [Labels({"__name__": "m", "n": str(number)}) for number in range(names)]
    return Samples(own, np.array(series, np.int32), np.array(times, np.float64), np.array(values, np.float64))


def feed(*times: float) -> Feed:
    moments = np.array(times, np.float64)
    return Feed(0, [Labels({"__name__": "m"})], moments, np.zeros((len(times), 1)))


def test_series_that_are_sampled_together_are_one_feed() -> None:
    found = feeds(samples((0, 1, 5), (1, 1, 6), (2, 3, 9), (0, 2, 7), (1, 2, 8), names=3), {})
    assert [([own["n"] for own in f.names], f.times.tolist(), f.rows.tolist()) for f in found] == [
        (["0", "1"], [1, 2], [[5, 6], [7, 8]]),
        (["2"], [3], [[9]]),
    ]


def test_whole_rows_are_taken_as_they_are_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    made = recording(3, 60, 80)
    quick = feeds(made, {})
    transitions = list(backtest({"bench.yml": rule_file()}, made))
    monkeypatch.setattr(replay, "_table", lambda _: None)
    (general,) = feeds(made, {})
    assert np.array_equal(quick[0].rows, general.rows)
    assert (quick[0].names, quick[0].times.tolist()) == (general.names, general.times.tolist())
    assert list(backtest({"bench.yml": rule_file()}, made)) == transitions
    assert transitions


@pytest.mark.parametrize(
    "rows",
    [
        [(0, 1, 5), (1, 1, 6), (1, 2, 7), (0, 2, 8), (0, 2, 9)],  # a row too many
        [(0, 1, 5), (1, 1, 6), (1, 2, 7), (0, 2, 8)],  # in another order
        [(0, 1, 5), (1, 1, 6), (0, 2, 7), (1, 3, 8)],  # at other times
        [(0, 2, 5), (1, 2, 6), (0, 1, 7), (1, 1, 8)],  # backwards
    ],
)
def test_what_is_no_table_goes_the_general_way(rows: list[tuple[int, float, float]]) -> None:
    found = {}
    for each in feeds(samples(*rows), {}):
        for column, own in enumerate(each.names):
            found[own["n"]] = dict(zip(each.times.tolist(), each.rows[:, column].tolist(), strict=True))
    wanted: dict[str, dict[float, float]] = {"0": {}, "1": {}}
    for number, time, value in rows:
        wanted[str(number)][time] = value
    assert found == wanted


def test_there_is_a_tick_when_samples_come_and_at_their_pace_between() -> None:
    assert ticks([feed(100, 110, 120, 160, 170)], None).tolist() == [100, 110, 120, 130, 140, 150, 160, 170]
    assert ticks([feed(100, 110), feed(103.5, 113.5)], None).tolist() == [100, 104, 110, 114]
    assert ticks([feed(7)], None).tolist() == [7]


def test_a_fleet_that_never_sleeps_is_looked_at_at_its_pace() -> None:
    many = [feed(*(np.arange(second, 60_000, 60) + 0.5)) for second in range(60)]
    found = ticks(many, None)
    assert len(found) == pytest.approx(1000, abs=2)
    assert set(np.diff(found).tolist()) == {60}
    assert found[-1] >= max(f.times[-1] for f in many)


def test_a_step_is_kept_to() -> None:
    assert ticks([feed(100, 110, 133)], 15).tolist() == [105, 120, 135]
    steps = [t.at for t in backtest(RULES, samples((0, 0, 5), (0, 100, 5), names=1), step=10)]
    assert steps == [0, 30]


def test_the_second_at_which_a_hold_is_over_has_a_tick() -> None:
    found = [(t.at, t.state) for t in backtest(RULES, samples((0, 0, 5), (0, 60, 5), (0, 120, 0), names=1))]
    assert found == [(0, "pending"), (25, "firing"), (120, "resolved")]


def test_customer_and_site_come_from_an_instance_of_three_parts() -> None:
    own = [
        {"instance": "a.hq.acme"},
        {"instance": "a.hq.acme", "customer": "other"},
        {"instance": "a.hq.acme:9100"},
        {"instance": "10.0.0.1"},
    ]
    names = [Labels({"__name__": "m", **labels}) for labels in own]
    made = Samples(names, np.arange(4, dtype=np.int32), np.zeros(4), np.zeros(4))
    found = [dict(each) for each in feeds(made, {"10.0.0.1": {"customer": "x"}})[0].names]
    assert [(each.get("customer"), each.get("site")) for each in found] == [
        ("acme", "hq"),
        ("other", None),
        (None, None),
        ("x", None),
    ]
