"""The layout of graphs: what is drawn where, and what cannot be drawn."""

import math

from hypothesis import given
from hypothesis import strategies as st

from ticketing.web.plot import Plot, lay_out, rate
from ticketing.web.sources import Graph

HOUR = 3600.0


def plot(
    values: list[float], *, width: float = 760.0, moments: tuple[tuple[str, float], ...] = (), **more: float
) -> Plot:
    times = [i * 60.0 for i in range(len(values))]
    laid = lay_out(Graph(times, values, "%", **more), moments, str, width=width, name="wide")  # type: ignore[arg-type]
    assert laid is not None
    return laid


def points(path: str) -> list[list[tuple[float, float]]]:
    """Return the strokes of path data."""
    strokes = [stroke for stroke in path.split("M") if stroke]
    return [[(float(x), float(y)) for x, y in (pair.split() for pair in stroke.split("L"))] for stroke in strokes]


def test_higher_values_are_higher_up() -> None:
    (stroke,) = points(plot([10, 20, 90]).path)
    assert [x for x, _ in stroke] == sorted(x for x, _ in stroke)
    assert stroke[0][1] > stroke[1][1] > stroke[2][1]


def test_a_gap_is_not_bridged() -> None:
    assert [len(stroke) for stroke in points(plot([1, 2, math.nan, 3, 4, 5]).path)] == [2, 3]


def test_the_area_beyond_the_threshold_is_above_or_below_it() -> None:
    above, below = plot([1, 50, 99], threshold=80.0), plot([99, 50, 1], threshold=20.0, above=False)
    assert above.threshold is not None
    assert below.threshold is not None
    assert above.beyond == (0.0, above.threshold)
    assert below.beyond == (below.threshold, below.height - below.threshold)
    assert above.bad
    assert below.bad
    assert not plot([99, 50, 1], threshold=80.0).bad


def test_the_threshold_is_in_the_picture_even_if_no_value_comes_near() -> None:
    laid = plot([1.0, 2.0, 1.5], threshold=90.0)
    assert laid.threshold is not None
    assert 22 <= laid.threshold <= 60


def test_a_percentage_never_reads_more_than_a_hundred() -> None:
    assert max(float(row.text) for row in plot([50, 99.9], threshold=95.0).rows) <= 100


def test_the_fault_spans_from_opening_to_recovery_or_to_the_end() -> None:
    running = plot([1.0] * 60, moments=(("opened", 30 * 60.0),))
    ended = plot([1.0] * 60, moments=(("opened", 30 * 60.0), ("recovered", 45 * 60.0)))
    assert running.span is not None
    assert ended.span is not None
    assert sum(running.span) == running.right
    assert 0 < ended.span[1] < running.span[1]
    assert [mark.kind for mark in ended.marks] == ["opened", "recovered"]


def test_a_moment_before_the_graph_is_not_marked() -> None:
    laid = plot([1.0, 2.0], moments=(("opened", -HOUR),))
    assert laid.marks == []
    assert laid.span == (4.0, laid.right - 4.0)


def test_a_peak_survives_thinning() -> None:
    values = [10.0] * 5000
    values[3333] = 95.0
    laid = plot(values, width=360.0)
    (stroke,) = points(laid.path)
    assert len(stroke) < 400
    assert min(y for _, y in stroke) < 60


def test_times_are_round_and_few() -> None:
    laid = plot([1.0] * 360)
    assert 2 <= len(laid.columns) <= 7
    assert all(tick.time % HOUR == 0 for tick in laid.columns)


def test_ticks_closer_than_a_minute_are_told_apart() -> None:
    laid = lay_out(Graph([0.0, 40.0], [1.0, 2.0], "%"), (), str, width=760.0, name="wide")
    assert laid is not None
    assert [(tick.time, tick.spelled) for tick in laid.columns] == [(i * 10.0, "second") for i in range(5)]
    assert {tick.spelled for tick in plot([1.0] * 30).columns} == {"tick"}


def test_the_rate_is_that_of_the_last_stretch() -> None:
    times = [i * 60.0 for i in range(300)]
    found = rate(Graph(times, [50.0 if i < 200 else 50 + (i - 200) / 10 for i in range(300)], "%"))
    assert found is not None
    assert abs(found - 6.0) < 1e-6
    falling = rate(Graph(times, [300.0 - i for i in range(300)], "B"))
    assert falling is not None
    assert abs(falling + 60.0) < 1e-6


def test_what_hardly_moves_has_no_rate() -> None:
    times = [i * 60.0 for i in range(300)]
    for values in (
        [7.0] * 300,
        [i % 2 * 1.0 for i in range(300)],
        [math.nan] * 300,
        [float(i) for i in range(200)] + [200.0] * 100,
    ):
        assert rate(Graph(times, values, "%")) is None
    assert rate(Graph([1.0, 2.0], [1.0, 2.0], "%")) is None
    assert rate(Graph([5.0] * 9, [1.0] * 9, "%")) is None


def test_nothing_to_draw() -> None:
    for times, values in (([], []), ([1.0], [1.0]), ([1.0, 2.0], [math.nan, 3.0]), ([5.0, 5.0], [1.0, 2.0])):
        assert lay_out(Graph(times, values, ""), (), str, width=360.0, name="x") is None


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True, width=64), min_size=2, max_size=50),
    st.none() | st.floats(-1e300, 1e300),
)
def test_whatever_the_values_the_drawing_stays_in_its_frame(values: list[float], threshold: float | None) -> None:
    times = [float(i) for i in range(len(values))]
    laid = lay_out(Graph(times, values, "B", threshold=threshold), (("opened", 1.0),), str, width=360.0, name="x")
    if laid is None:
        return
    for stroke in points(laid.path):
        assert all(0 <= x <= laid.right and 0 <= y <= laid.bottom for x, y in stroke)
    assert all(0 <= row.at <= laid.height for row in laid.rows)
    assert len(laid.rows) <= 12
    change = rate(Graph(times, values, "B"))
    assert change is None or not math.isnan(change)
