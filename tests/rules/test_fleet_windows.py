"""The windows: kept for what is looked back on, as long as that is, and no longer."""

from __future__ import annotations

import gc
import math

import numpy as np
import pytest

from rules.arena import Arena, capacity_for
from rules.fleet import Fleet
from rules.layouts import Layout
from rules.promql import Query, Vector
from rules.promql.sums import sum_by
from rules.query_range import History
from rules.rings import STALE
from rules.sweeping import sweep

NOW = 1_700_000_000.0


def sender(fleet: Fleet, number: int = 1, metrics: tuple[str, ...] = ("a", "b")) -> Layout:
    fleet.add_device(number, {"instance": f"h{number}"})
    return fleet.layout(number, hash(metrics), [(name, {}) for name in metrics])


def send(fleet: Fleet, layout: Layout, start: float, count: int, step: float = 10.0, offset: float = 0.0) -> float:
    """Send rows whose values are 0, 1, 2 …, one at a time; return the time of the last."""
    for k in range(count):
        fleet.append(layout, np.array([start + k * step]), np.full((1, len(layout.raw)), k + offset))
    return start + (count - 1) * step


def only_value(query: Query, at: float) -> float:
    answer = query.at(at)
    assert isinstance(answer, Vector)
    assert len(answer) == 1
    return float(answer.values[0])


def test_nothing_is_kept_that_nobody_looks_back_on() -> None:
    fleet = Fleet()
    query = Query(fleet, "a > 1")
    send(fleet, sender(fleet), NOW, 100)
    assert fleet.windows.pending == []
    assert query.memory() == 0
    assert query.watches == []


def test_a_window_is_as_long_as_its_range() -> None:
    fleet = Fleet()
    query = Query(fleet, "count_over_time(a[5m])")
    last = send(fleet, sender(fleet), NOW, 200)
    assert only_value(query, last) == 30  # open on the left: not the sample of five minutes ago
    assert only_value(query, last + 0.001) == 30
    assert only_value(query, last + 295) == 1
    (watch,) = query.watches
    assert (watch.selector.text, watch.span) == ("a{}", 300_000)
    assert 30 * 16 <= query.memory() <= 45 * 16  # values and times, an eighth and a few to spare


@pytest.mark.parametrize("interval", [0.5, 1, 7, 60, 250])
def test_rings_fit_the_rate(interval: float) -> None:
    fleet = Fleet()
    query = Query(fleet, "count_over_time(a[10m])")
    last = send(fleet, sender(fleet), NOW, 1500, interval)
    expected = math.ceil(600 / interval)
    assert only_value(query, last) == expected
    assert fleet.windows.capacity[fleet.windows.track[2]] <= max(16, expected * 1.25 + 8)


def test_a_rate_that_rises_makes_the_rings_grow() -> None:
    fleet = Fleet()
    query = Query(fleet, "count_over_time(a[10m])")
    layout = sender(fleet)
    last = send(fleet, layout, NOW, 60, 60)
    last = send(fleet, layout, last + 1, 2000, 1)
    assert only_value(query, last) == 600


def test_no_ring_holds_more_than_the_limit() -> None:
    fleet = Fleet(max_samples=64)
    query = Query(fleet, "count_over_time(a[1h])")
    last = send(fleet, sender(fleet), NOW, 300, 10)
    assert only_value(query, last) == 64
    assert fleet.windows.truncated > 0


def test_many_rows_at_once_are_as_many_one_by_one() -> None:
    expressions = ("sum_over_time(a[5m])", "rate(b[20m])", "a offset 3m", "max_over_time(a[1h])")
    rng = np.random.default_rng(1)
    times = NOW + np.cumsum(rng.integers(1, 20, 700)).astype(np.float64)
    values = rng.random((700, 2))
    values[rng.random((700, 2)) < 0.1] = np.nan
    answers = []
    for size in (1, 3, 50, 700):
        fleet = Fleet()
        queries = [Query(fleet, expr) for expr in expressions]
        layout = sender(fleet)
        for start in range(0, 700, size):
            fleet.append(layout, times[start : start + size], values[start : start + size])
        answers.append([list(query.at(times[-1])) for query in queries])  # type: ignore[arg-type]
    assert answers[0] == answers[1] == answers[2] == answers[3]


def test_what_is_appended_may_be_used_again() -> None:
    fleet = Fleet()
    query = Query(fleet, "sum_over_time(a[5m])")
    layout = sender(fleet)
    times, row = np.array([NOW]), np.ones((1, 2))
    for _ in range(3):
        fleet.append(layout, times, row)
        times += 1
        row += 1
    assert only_value(query, NOW + 10) == 6


def test_a_longer_range_takes_over_what_a_shorter_one_has() -> None:
    fleet = Fleet()
    short = Query(fleet, "count_over_time(a[2m])")
    layout = sender(fleet)
    last = send(fleet, layout, NOW, 100)
    assert only_value(short, last) == 12
    long = Query(fleet, "count_over_time(a[10m])")
    assert 12 <= only_value(long, last) <= 20
    last = send(fleet, layout, last + 10, 60)
    assert only_value(long, last) == 60
    assert only_value(short, last) == 12


def test_a_window_begins_with_the_current_sample() -> None:
    fleet = Fleet()
    layout = sender(fleet)
    last = send(fleet, layout, NOW, 3)
    queries = [Query(fleet, expr) for expr in ("last_over_time(a[5m])", "a offset 1s", "sum_over_time(a[5m])")]
    assert [only_value(query, last + 1) for query in queries] == [2, 2, 2]
    fleet.append(layout, np.array([last + 10]), np.array([[math.nan, 1]]))
    late = Query(fleet, "count_over_time(a[5m])")
    assert only_value(late, last + 11) == 1
    longer = Query(fleet, "count_over_time(a[50m])")
    assert only_value(longer, last + 11) == 1
    assert len(Query(fleet, "absent_over_time(b[1m])").at(last + 11)) == 0  # type: ignore[arg-type]


def test_series_of_one_source_share_their_times() -> None:
    fleet = Fleet()
    queries = [Query(fleet, f"rate({name}[5m])") for name in ("a", "b")]
    send(fleet, sender(fleet), NOW, 5)
    assert fleet.windows.tracks == 2  # the one, and that of nobody
    assert [query.memory() for query in queries] == [16 * 16, 16 * 16]


def test_a_series_that_joins_is_kept_from_its_first_sample() -> None:
    fleet = Fleet()
    query = Query(fleet, 'count_over_time({__name__=~"a|b",instance="h2"}[5m])')
    send(fleet, sender(fleet, 1), NOW, 10)
    last = send(fleet, sender(fleet, 2, ("b", "c")), NOW, 10)
    assert only_value(query, last) == 10


def test_a_series_that_vanished_is_in_the_window_until_it_has_passed() -> None:
    fleet = Fleet()
    query = Query(fleet, "count_over_time(a[5m])")
    last = send(fleet, sender(fleet), NOW, 10)
    fleet.append(fleet.layout(1, 7, [("b", {})]), np.array([last + 10]), np.ones((1, 1)))
    assert only_value(query, last + 10) == 10
    assert only_value(query, last + 280) == 2
    assert len(query.at(last + 400)) == 0  # type: ignore[arg-type]
    assert fleet.series == 1  # the slot was freed


def test_a_window_of_a_device_that_left_is_freed() -> None:
    fleet = Fleet()
    query = Query(fleet, "rate(a[5m])")
    for number in range(20):
        send(fleet, sender(fleet, number), NOW, 5)
    kept = fleet.windows.arena.samples
    for number in range(20):
        fleet.remove_device(number)
    assert fleet.windows.arena.samples <= 16
    for number in range(20):
        send(fleet, sender(fleet, number), NOW, 5)
    assert fleet.windows.arena.samples == kept
    assert len(query.at(NOW + 40)) == 20  # type: ignore[arg-type]


def test_windows_that_no_query_needs_any_more_are_freed() -> None:
    fleet = Fleet()
    query = Query(fleet, "rate(a[5m])")
    other = Query(fleet, "rate(b[5m])")
    layout = sender(fleet)
    last = send(fleet, layout, NOW, 20)
    fleet.settle()
    before = fleet.windows.arena.samples
    del query
    gc.collect()
    sweep(fleet, last * 1000)
    assert fleet.windows.arena.samples < before
    last = send(fleet, layout, last + 10, 20)
    assert only_value(other, last) == pytest.approx(19 / 300, rel=0.6)


def test_equal_subexpressions_are_one_node() -> None:
    fleet = Fleet()
    one = Query(fleet, "sum(rate(a[5m])) > 1")
    two = Query(fleet, "sum( rate(a[5m]) ) > 2")
    assert one.watches == two.watches
    assert len(one.watches) == 1
    assert len({id(watch) for query in (one, two) for watch in query.watches}) == 1


class TestArena:
    def test_capacities_are_few_and_never_too_small(self) -> None:
        capacities = {capacity_for(samples) for samples in range(1, 5000)}
        assert all(samples <= capacity_for(samples) <= samples * 1.13 + 8 for samples in range(1, 5000))
        assert len(capacities) < 90

    def test_rows_are_used_again(self) -> None:
        arena = Arena()
        rows = arena.take(100, 5)
        arena.give(100, rows[1:3])
        again = arena.take(100, 3)
        assert set(rows[1:3].tolist()) < set(again.tolist())
        assert arena.samples == 600

    def test_rows_lie_in_several_chunks(self) -> None:
        arena = Arena()
        rows = arena.take(1_500_000, 5)
        positions = np.array([[0, 1_499_999]] * 5)
        arena.put(rows[:, None] + positions, np.arange(10.0).reshape(5, 2))
        assert arena.rows(rows, positions).ravel().tolist() == list(range(10))
        assert arena.get(rows).tolist() == [0, 2, 4, 6, 8]


def test_a_ring_that_grows_holds_nothing_where_samples_were_lost() -> None:
    fleet = Fleet(window_samples=8)
    fleet.windows.arena._chunks[0][:] = np.nan  # memory is what it was
    query = Query(fleet, "count_over_time(a[20s])")
    fleet.add_device(1, {"instance": "a"})
    layout = fleet.layout(1, 1, [("a", {})])
    for at in (*range(8), *range(1000, 1010)):
        fleet.append(layout, np.array([float(at)]), np.array([[1.0]]))
    assert [value for _, value in as_pairs(query.at(1009.5))] == [10]


def test_a_rate_is_that_of_all_samples_whatever_falls_and_goes() -> None:
    """The live window remembers what was odd; a fleet that is given everything at once looks at every sample."""
    rng = np.random.default_rng(7)
    fleet = Fleet()
    fleet.add_device(1, {})
    columns = [("c", {"n": str(n)}) for n in range(4)]
    expressions = ("rate(c[30s])", "increase(c[10s])", "delta(c[30s])", "rate(c[30s] offset 20s)")
    live = [Query(fleet, expr) for expr in expressions]
    times, rows, value = [], [], np.zeros(4)
    for at in range(0, 400, 2):
        value = np.where(rng.random(4) < 0.03, 0.0, value + rng.integers(0, 5, 4))
        row = np.where(rng.random(4) < 0.03, np.nan, value)
        times.append(float(at))
        rows.append(row)
        fleet.append(fleet.layout(1, 1, columns), np.array([float(at)]), row[np.newaxis, :])
        if at % 14 == 0:
            taken = np.array(rows)
            history = History(
                [
                    ({"__name__": name, **own}, times, np.where(np.isnan(taken[:, i]), STALE, taken[:, i]))
                    for i, (name, own) in enumerate(columns)
                ]
            )
            for expr, query in zip(expressions, live, strict=True):
                assert dict(as_pairs(query.at(at + 0.5))) == dict(as_pairs(history.at(expr, at + 0.5))), (expr, at)


def as_pairs(answer: object) -> list[tuple[str, float]]:
    assert isinstance(answer, Vector)
    return [(str(labels), value) for labels, value in answer]


def test_groups_that_cancel_out_are_summed_well_and_those_that_do_not_quickly() -> None:
    ids = np.array([0, 0, 0, 1, 1, 2])
    sums = sum_by(ids, np.array([1e16, 1.0, -1e16, 0.1, 0.2, np.inf]), 4)
    assert sums.tolist() == [1.0, 0.1 + 0.2, np.inf, 0.0]
