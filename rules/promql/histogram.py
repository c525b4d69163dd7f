"""histogram_quantile() and histogram_fraction() on classic buckets: elements with the label `le`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from rules.growing import Growing
from rules.labels import all_but
from rules.promql.aggregate import Grouping
from rules.promql.frames import Frame
from rules.promql.keys import Ids
from rules.promql.node import ScalarNode, VectorNode
from rules.promql.vec import Floats, Mask, Moment, Vec

if TYPE_CHECKING:
    from rules.fleet import Fleet

_LABEL: Final = "le"
_TOLERANCE: Final = 1e-12
_NORMAL: Final = 2.0**-1022  # the smallest normal number


class Buckets(NamedTuple):
    """Histograms as a matrix: bounds[i, k] and cumulative counts[i, k] of the k-th bucket, of `sizes[i]` of them.

    What follows them repeats the last.
    """

    bounds: Floats
    counts: Floats
    sizes: Ids

    @property
    def last(self) -> tuple[Ids, Ids]:
        """The places of the last buckets."""
        return np.arange(len(self.sizes)), self.sizes - 1


class BoundedBuckets:
    """The upper bounds of a frame's elements, and which histogram each belongs to."""

    def __init__(self) -> None:
        self.grouping = Grouping(all_but(_LABEL))
        self._frame: Frame | None = None
        self._bounds: Growing[np.float64] = Growing(np.float64)
        self._known: dict[int, float] = {}

    def bounds(self, frame: Frame) -> Floats:
        """Return the bound of each element; NaN where `le` is no number."""
        if self._frame is not frame:
            self._frame = frame
            self._bounds = Growing(np.float64)
        codes = frame.column(_LABEL)[len(self._bounds) :]
        if len(codes):
            unique, inverse = np.unique(codes, return_inverse=True)
            parsed = [_parse(frame.strings.texts[code]) for code in unique.tolist()]
            self._bounds.extend(np.array(parsed)[inverse])
        return self._bounds.view

    def matrix(self, vec: Vec) -> tuple[Ids, Buckets, int, Frame]:
        """Return the numbers of the histograms that are there, their buckets, and all of them: number and frame."""
        bounds = self.bounds(vec.frame)
        ids, groups = self.grouping.of(vec.frame)
        there = np.flatnonzero(vec.mask & ~np.isnan(bounds))
        there = there[np.lexsort((bounds[there], ids[there]))]
        return *_matrix(ids[there], bounds[there], vec.values[there]), groups.n, groups.nameless()


def _parse(text: str) -> float:
    try:
        return np.nan if "_" in text or text != text.strip() else float(text)
    except ValueError:
        return np.nan


def _matrix(ids: Ids, bounds: Floats, counts: Floats) -> tuple[Ids, Buckets]:
    """Return the histograms; `ids` and in them `bounds` ascend. Buckets of equal bounds are added up."""
    if not len(ids):
        return ids, Buckets(np.zeros((0, 1)), np.zeros((0, 1)), ids)
    first = np.ones(len(ids), np.bool_)
    first[1:] = (ids[1:] != ids[:-1]) | (bounds[1:] != bounds[:-1])
    starts = np.flatnonzero(first)
    counts = np.add.reduceat(counts, starts)
    ids, bounds = ids[starts], bounds[starts]
    groups, begins, sizes = np.unique(ids, return_index=True, return_counts=True)
    place = np.minimum(np.arange(sizes.max()), sizes[:, None] - 1) + begins[:, None]
    return groups, Buckets(bounds[place], counts[place], sizes)


def _monotonic(counts: Floats) -> Floats:
    """Return the counts without falls, and without rises that are rounding errors."""
    out = counts.copy()
    before = counts[:, 0]
    for column in range(1, counts.shape[1]):
        now = counts[:, column]
        keep = (now == before) | _almost_equal(before, now) | (now < before)
        out[:, column] = before = np.where(keep, before, now)
    return out


def _almost_equal(a: Floats, b: Floats) -> Mask:
    total = np.abs(a) + np.abs(b)
    differ = np.abs(a - b)
    tiny = (a == 0) | (b == 0) | (total < _NORMAL)
    near = np.where(
        tiny, differ < _TOLERANCE * _NORMAL, differ / np.minimum(total, np.finfo(np.float64).max) < _TOLERANCE
    )
    return near | (np.isnan(a) & np.isnan(b))


def quantile(phi: float, buckets: Buckets) -> Floats:
    """Return the φ-quantile of each histogram, interpolated within its bucket."""
    if np.isnan(phi):
        return np.full(len(buckets.sizes), np.nan)
    if phi < 0 or phi > 1:
        return np.full(len(buckets.sizes), np.copysign(np.inf, phi))
    bounds, counts = buckets.bounds, _monotonic(buckets.counts)
    rows = np.arange(len(bounds))
    total = counts[buckets.last]
    rank = phi * total
    reached = counts >= rank[:, None]
    at = np.where(reached.any(axis=1), reached.argmax(axis=1), buckets.sizes - 1)
    at = np.minimum(at, buckets.sizes - 1)
    below = np.maximum(at - 1, 0)
    start = np.where(at > 0, bounds[rows, below], 0.0)
    under = np.where(at > 0, counts[rows, below], 0.0)
    inside = start + (bounds[rows, at] - start) * ((rank - under) / (counts[rows, at] - under))
    out = np.where((at == 0) & (bounds[:, 0] <= 0), bounds[:, 0], inside)
    out = np.where(at == buckets.sizes - 1, bounds[rows, np.maximum(buckets.sizes - 2, 0)], out)
    void = (bounds[buckets.last] != np.inf) | (buckets.sizes < 2) | (total == 0)
    return np.where(void, np.nan, out)


def fraction(low: float, high: float, buckets: Buckets) -> Floats:
    """Return which part of the observations lies between the bounds."""
    total = buckets.counts[buckets.last]
    void = (buckets.bounds[buckets.last] != np.inf) | (total == 0) | np.isnan(low) | np.isnan(high)
    if low >= high:
        return np.where(void, np.nan, 0.0)
    share = (_rank(high, buckets, total) - _rank(low, buckets, total)) / total
    return np.where(void, np.nan, share)


def _rank(value: float, buckets: Buckets, total: Floats) -> Floats:
    """Return how many observations lie below a value."""
    rank = np.zeros(len(total))
    out = np.full(len(total), np.nan)
    lower = np.where(buckets.bounds[:, 0] <= 0, -np.inf, 0.0)
    found = np.zeros(len(total), np.bool_)
    for column in range(buckets.bounds.shape[1]):
        upper, count = buckets.bounds[:, column], buckets.counts[:, column]
        live = ~found & (column < buckets.sizes)
        at_edge = live & (lower >= value)
        inside = live & ~at_edge & (upper > value)
        within = np.where(lower == -np.inf, count, rank + (count - rank) * (value - lower) / (upper - lower))
        out = np.where(at_edge, rank, np.where(inside, within, out))
        found |= at_edge | inside
        lower, rank = np.where(live, upper, lower), np.where(live, count, rank)
    return np.where(~found | (out > total), total, out)


class OfHistograms(VectorNode):
    """A function of classic histograms: with one number a quantile, with two the fraction between them."""

    def __init__(self, fleet: Fleet, text: str, vector: VectorNode, params: list[ScalarNode]) -> None:
        super().__init__(fleet, text, (*params, vector))
        self.vector = vector
        self.params = params
        self._buckets = BoundedBuckets()

    def _eval(self, moment: Moment) -> Vec:
        params = [param.eval(moment) for param in self.params]
        there, buckets, count, frame = self._buckets.matrix(self.vector.eval(moment))
        values = np.zeros(count)
        mask = np.zeros(count, np.bool_)
        mask[there] = True
        values[there] = quantile(params[0], buckets) if len(params) == 1 else fraction(params[0], params[1], buckets)
        return Vec(frame, values, mask).checked()
