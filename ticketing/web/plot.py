"""Lays out a graph: numbers in, coordinates and path data out; the template draws, the style sheet colours."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ticketing.evidence import finite_points, slope
from ticketing.web.sources import Graph

_TIME_STEPS = (10, 30, 60, 300, 600, 1800, 3600, 10800, 21600, 43200, 86400, 604800)
_MOST = 1e300  # beyond this the arithmetic of a scale overflows; such a value is a gap
_TOP, _BOTTOM, _LEFT = 22.0, 20.0, 4.0


@dataclass(frozen=True, slots=True)
class Tick:
    """A grid line: where it is (x or y), and what is written there."""

    at: float
    text: str = ""
    time: float = 0.0  # Unix seconds, of a tick on the time axis
    spelled: str = "tick"  # how its time is written: tick|second


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment of the incident on the time axis."""

    at: float
    kind: str  # opened|recovered
    anchor: str  # start|end: on which side of the line its word has room
    time: float


@dataclass(frozen=True, slots=True)
class Plot:
    """What the template draws; coordinates are pixels of a `width` × `height` view box."""

    name: str  # unique in the page
    width: float
    height: float
    right: float  # where the plot ends and the scale begins
    bottom: float
    path: str
    dot: tuple[float, float]  # the newest value
    bad: bool  # whether that is beyond the threshold
    beyond: tuple[float, float] | None  # y and height of the area beyond the threshold
    span: tuple[float, float] | None  # x and width of the time of the fault
    threshold: float | None
    normal: float | None
    rows: Sequence[Tick]
    columns: Sequence[Tick]
    marks: Sequence[Mark]


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear mapping of [low, high] onto [start, end]."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the coordinate of `value`, one decimal, held within the scale."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + min(1.0, max(0.0, share)) * (self.end - self.start), 1)


def lay_out(
    graph: Graph, moments: Sequence[tuple[str, float]], label: Callable[[float], str], *, width: float, name: str
) -> Plot | None:
    """Return the plot of `graph` with the incident's `moments` (kind, time) marked; None without two finite values."""
    points = [
        (t, v if abs(v) <= _MOST else math.nan)
        for t, v in zip(graph.times, graph.values, strict=True)
        if math.isfinite(t)
    ]
    finite = [v for _, v in points if math.isfinite(v)]
    if len(finite) < 2 or points[0][0] >= points[-1][0]:
        return None
    height, margin = 200.0, 50.0
    x = Scale(points[0][0], points[-1][0], _LEFT, width - margin)
    low, high = _domain(finite, graph)
    y = Scale(low, high, height - _BOTTOM, _TOP)
    thinned = list(_thin(points, int(width / 2)))
    last = next(p for p in reversed(thinned) if math.isfinite(p[1]))
    limit = None if graph.threshold is None else y(graph.threshold)
    return Plot(
        name=name,
        width=width,
        height=height,
        right=width - margin,
        bottom=height - _BOTTOM,
        path=_path(thinned, x, y),
        dot=(x(last[0]), y(last[1])),
        bad=graph.threshold is not None and (last[1] > graph.threshold) == graph.above,
        beyond=None if limit is None else (0.0, limit) if graph.above else (limit, height - limit),
        span=_span(moments, x),
        threshold=limit,
        normal=None if graph.normal is None else y(graph.normal),
        rows=[Tick(y(value), label(value)) for value in _round_values(low, high)],
        columns=_columns(x, int(width // 90)),
        marks=[
            Mark(x(t), kind, "start" if x(t) < width / 2 else "end", t) for kind, t in moments if x.low <= t <= x.high
        ],
    )


def rate(graph: Graph) -> float | None:
    """Return how much the value changes in an hour; None if it hardly moves."""
    return slope(finite_points(graph.times, graph.values))


def _span(moments: Sequence[tuple[str, float]], x: Scale) -> tuple[float, float] | None:
    """Return where the fault begins and how long it is: to its recovery, or to the end."""
    times = dict(moments)
    if "opened" not in times or times["opened"] > x.high:
        return None
    start, end = x(times["opened"]), x(times.get("recovered", x.high))
    return start, max(0.0, round(end - start, 1))


def _domain(values: Sequence[float], graph: Graph) -> tuple[float, float]:
    """Return the value range to draw: the values, the threshold and what is normal, with air around them."""
    known = [*values, *(v for v in (graph.threshold, graph.normal) if v is not None)]
    low, high = min(known), max(known)
    flat = high - low <= abs(high) * 1e-6
    pad = max(1e-9, (abs(high) * 0.1 or 1.0) if flat else (high - low) * 0.12)
    floor = 0.0 if low >= 0 else -math.inf
    ceiling = 100.0 if graph.unit == "%" and high <= 100 else math.inf
    return max(floor, low - pad), min(ceiling, high + pad)


def _thin(points: Sequence[tuple[float, float]], limit: int) -> Iterator[tuple[float, float]]:
    """Yield at most about `limit` points: the least and the greatest value of each stretch, so that no peak is lost."""
    if len(points) <= limit:
        yield from points
        return
    size = math.ceil(2 * len(points) / limit)
    for start in range(0, len(points), size):
        chunk = points[start : start + size]
        finite = [p for p in chunk if math.isfinite(p[1])]
        if not finite:
            yield chunk[0]
            continue
        extremes = {min(finite, key=lambda p: p[1]), max(finite, key=lambda p: p[1])}
        yield from sorted(extremes)


def _path(points: Sequence[tuple[float, float]], x: Scale, y: Scale) -> str:
    """Return SVG path data; a gap (NaN) lifts the pen."""
    parts: list[str] = []
    pen = "M"
    for time, value in points:
        if not math.isfinite(value):
            pen = "M"
            continue
        parts.append(f"{pen}{x(time):g} {y(value):g}")
        pen = "L"
    return "".join(parts)


def _round_values(low: float, high: float) -> list[float]:
    """Return three to five round values within [low, high]."""
    raw = (high - low) / 4
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _columns(x: Scale, most: int) -> list[Tick]:
    """Return the ticks of the time axis, at most `most` or so, at round moments."""
    step = next((s for s in _TIME_STEPS if (x.high - x.low) / s <= most), _TIME_STEPS[-1])
    start = math.ceil(x.low / step) * step
    times = [float(start + i * step) for i in range(min(int((x.high - start) // step) + 1, 4 * most))]
    return [Tick(x(time), time=time, spelled="second" if step < 60 else "tick") for time in times]
