"""Aggregations that make one element of each group."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from rules.growing import Growing
from rules.labels import Pick
from rules.promql.frames import Frame, View
from rules.promql.keys import Ids, Keys
from rules.promql.node import ScalarNode, VectorNode
from rules.promql.sums import sum_by
from rules.promql.vec import Floats, Moment, Vec

if TYPE_CHECKING:
    from rules.fleet import Fleet


class Grouping:
    """The group of each element of a frame, and the frame of the groups."""

    def __init__(self, pick: Pick) -> None:
        self.pick = pick
        self._frame: Frame | None = None
        self._keys = Keys()
        self._ids: Growing[np.int64] = Growing(np.int64)
        self._groups: View | None = None

    def of(self, frame: Frame) -> tuple[Ids, View]:
        """Return the number of each element's group, and the groups."""
        if self._frame is not frame or self._groups is None:
            self._frame = frame
            self._keys = Keys()
            self._ids = Growing(np.int64)
            self._groups = View.of(frame, self.pick, distinct=True)
        done = len(self._ids)
        if done < frame.n:
            before = self._keys.count
            ids = self._keys.ids(frame.hashes(self.pick)[done:])
            self._ids.extend(ids)
            fresh = np.flatnonzero(ids >= before)
            if len(fresh):
                _, first = np.unique(ids[fresh], return_index=True)
                self._groups.add(done + fresh[first])
        return self._ids.view, self._groups


class Aggregate(VectorNode):
    """One value for each group, of the values that are there."""

    def __init__(
        self, fleet: Fleet, text: str, vector: VectorNode, pick: Pick, param: ScalarNode | None = None
    ) -> None:
        super().__init__(fleet, text, (vector,) if param is None else (param, vector))
        self.vector = vector
        self.param = param
        self.grouping = Grouping(pick)

    def _eval(self, moment: Moment) -> Vec:
        vec = self.vector.eval(moment)
        ids, groups = self.grouping.of(vec.frame)
        values = vec.values
        if not vec.mask.all():
            ids, values = ids[vec.mask], values[vec.mask]
        counts = np.bincount(ids, minlength=groups.n)
        return Vec(groups, self.reduce(ids, values, counts.astype(np.float64)), counts > 0)

    @abstractmethod
    def reduce(self, ids: Ids, values: Floats, counts: Floats, /) -> Floats:
        """Return a value for each group: of the values of group `ids`, of which there are so many in each."""


class Sum(Aggregate):
    """sum()"""

    def reduce(self, ids: Ids, values: Floats, counts: Floats) -> Floats:
        return sum_by(ids, values, len(counts))


class Average(Aggregate):
    """avg(): the sum through the count; of parts where the sum would overflow."""

    def reduce(self, ids: Ids, values: Floats, counts: Floats) -> Floats:
        return mean_by(ids, values, counts)


def mean_by(ids: Ids, values: Floats, counts: Floats) -> Floats:
    """Return the mean of each group's values."""
    means = sum_by(ids, values, len(counts)) / counts
    overflown = np.isinf(means)
    if overflown.any():
        parts = sum_by(ids, values / counts[ids], len(counts))
        means = np.where(overflown, parts, means)
    return means


class Count(Aggregate):
    """count()"""

    def reduce(self, _ids: Ids, _values: Floats, counts: Floats) -> Floats:
        return counts


class Group(Aggregate):
    """group(): 1 for each group"""

    def reduce(self, _ids: Ids, _values: Floats, counts: Floats) -> Floats:
        return np.ones(len(counts))


class Extreme(Aggregate):
    """min() and max(); NaN only where there is nothing else."""

    pick: ClassVar[np.ufunc]

    def reduce(self, ids: Ids, values: Floats, counts: Floats) -> Floats:
        out = np.full(len(counts), np.nan)
        order = np.argsort(ids, kind="stable")
        there = np.flatnonzero(counts)
        if len(there):
            starts = np.concatenate(([0], np.cumsum(counts[there])[:-1])).astype(np.int64)
            out[there] = self.pick.reduceat(values[order], starts)
        return out


class Minimum(Extreme):
    """min()"""

    pick = np.fmin


class Maximum(Extreme):
    """max()"""

    pick = np.fmax


class Variance(Aggregate):
    """stdvar()"""

    def reduce(self, ids: Ids, values: Floats, counts: Floats) -> Floats:
        # Shifted by the first value, so that equal values have no variance at all.
        shift = np.zeros(len(counts))
        shift[ids[::-1]] = values[::-1]
        shifted = values - shift[ids]
        means = sum_by(ids, shifted, len(counts)) / counts
        return sum_by(ids, (shifted - means[ids]) ** 2, len(counts)) / counts


class Deviation(Variance):
    """stddev()"""

    def reduce(self, ids: Ids, values: Floats, counts: Floats) -> Floats:
        return np.sqrt(super().reduce(ids, values, counts))


class Quantile(Aggregate):
    """quantile(φ, …)"""

    _phi = np.nan

    def _eval(self, moment: Moment) -> Vec:
        if self.param is not None:
            self._phi = self.param.eval(moment)
        return super()._eval(moment)

    def reduce(self, ids: Ids, values: Floats, counts: Floats) -> Floats:
        order = np.lexsort((values, np.isnan(values) * -1, ids))  # NaN is the smallest
        ends = np.cumsum(counts)
        return quantiles(self._phi, values[order], ends - counts, counts)


def quantiles(phi: float, ascending: Floats, starts: Floats, counts: Floats) -> Floats:
    """Return the φ-quantile of the values [start, start + count), interpolated, as Prometheus defines it."""
    if np.isnan(phi):
        return np.full(len(counts), np.nan)
    if phi < 0 or phi > 1:
        return np.where(counts > 0, np.copysign(np.inf, phi), np.nan)
    if not len(ascending):
        return np.full(len(counts), np.nan)
    rank = phi * (counts - 1)
    below = np.floor(np.maximum(rank, 0))
    above = np.minimum(counts - 1, below + 1)
    weight = rank - np.floor(rank)
    last = len(ascending) - 1
    low = ascending[np.clip(starts + below, 0, last).astype(np.int64)]
    high = ascending[np.clip(starts + above, 0, last).astype(np.int64)]
    return np.where(counts > 0, low * (1 - weight) + high * weight, np.nan)
