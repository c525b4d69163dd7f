"""Functions over a range of samples: what was made of a series is kept until other samples are in its window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rules.errors import EvaluationError
from rules.growing import fit
from rules.promql import folds
from rules.promql.frames import Frame
from rules.promql.keys import Ids
from rules.promql.node import Node, ScalarNode, VectorNode
from rules.promql.samples import Block
from rules.promql.steady import Steady
from rules.promql.sums import compensated
from rules.promql.vec import Floats, Moment, Vec
from rules.promql.window import Ranged, Window

if TYPE_CHECKING:
    from rules.fleet import Fleet
    from rules.watching import Watch


class OverTime(VectorNode):
    """A function that makes one value of a range of samples, of series that have at least so many.

    What `fold` makes of a block is one or more numbers for each series; `finish` makes the answer of them, and may
    look at the time.
    """

    least = 1
    width = 1

    def __init__(
        self,
        fleet: Fleet,
        text: str,
        ranged: Ranged,
        params: Sequence[ScalarNode] = (),
        *,
        keep_name: bool = False,
        inner: Node[Vec] | None = None,
    ) -> None:
        super().__init__(fleet, text, (*params, *((inner,) if inner is not None else ())))
        self.ranged = ranged
        self.metrics = None
        self._keep_name = keep_name
        self._params = tuple(params)
        self._values: tuple[float, ...] = ()
        self._frame: Frame | None = None
        self._counts: Floats = np.zeros(0)
        self._fields: list[Floats] = [np.zeros(0) for _ in range(self.width)]

    def fold(self, block: Block, params: tuple[float, ...]) -> tuple[Floats, ...]:
        """Return the numbers for each series of a block."""
        raise NotImplementedError

    def finish(self, fields: list[Floats], moment: Moment) -> Floats:  # noqa: ARG002 - for those that look at the time
        """Return the answer for each series."""
        return fields[0].copy()

    def check(self, params: tuple[float, ...]) -> None:
        """Raise EvaluationError if the parameters make no sense."""

    def watches(self) -> dict[int, Watch]:
        watch = self.ranged.watch
        return super().watches() | ({id(watch): watch} if watch is not None else {})

    def _eval(self, moment: Moment) -> Vec:
        params = tuple(param.eval(moment) for param in self._params)
        changed = self.ranged.advance(moment)
        frame = self.ranged.frame()
        if frame is not self._frame or params != self._values or changed is None:
            self._frame, self._values = frame, params
            self._counts = np.zeros(0)
            changed = np.arange(frame.n)
        self._counts = fit(self._counts, frame.n)
        self._fields = [fit(field, frame.n) for field in self._fields]
        self.refold(changed, params)
        if (self._counts[: frame.n] > 0).any():
            self.check(params)
        values = self.finish([field[: frame.n] for field in self._fields], moment)
        vec = Vec(frame, values, self._counts[: frame.n] >= self.least)
        return vec if self._keep_name else vec.nameless()

    def refold(self, changed: Ids, params: tuple[float, ...]) -> None:
        """Make the numbers of these positions anew."""
        for positions, block in self.ranged.blocks(changed):
            self._counts[positions] = block.counts
            if block.values.shape[1]:
                self.put(positions, self.fold(block, params))

    def put(self, positions: Ids, numbers: tuple[Floats, ...]) -> None:
        """Note the numbers of these positions."""
        for field, values in zip(self._fields, numbers, strict=True):
            field[positions] = values


class Simple(OverTime):
    """A function of nothing but the samples."""

    def __init__(
        self,
        fleet: Fleet,
        text: str,
        ranged: Ranged,
        fold: Callable[[Block], Floats],
        least: int,
        *,
        keep_name: bool,
        inner: Node[Vec] | None,
    ) -> None:
        super().__init__(fleet, text, ranged, keep_name=keep_name, inner=inner)
        self._fold = fold
        self.least = least

    def fold(self, block: Block, _params: tuple[float, ...]) -> tuple[Floats, ...]:
        return (self._fold(block),)


class QuantileOverTime(OverTime):
    """quantile_over_time(φ, …)"""

    def fold(self, block: Block, params: tuple[float, ...]) -> tuple[Floats, ...]:
        return (folds.quantile(block, params[0]),)


class Smoothing(OverTime):
    """double_exponential_smoothing(…, smoothing factor, trend factor), once called holt_winters"""

    least = 2

    def check(self, params: tuple[float, ...]) -> None:
        for name, value in zip(("smoothing", "trend"), params, strict=True):
            if not 0 < value < 1:
                raise EvaluationError(f"invalid {name} factor. Expected: 0 < {name[0]}f < 1, got: {value:f}")

    def fold(self, block: Block, params: tuple[float, ...]) -> tuple[Floats, ...]:
        return (folds.smooth(block, *params),)


class Rate(OverTime):
    """rate(), increase() and delta(): the change within the window, extrapolated to its ends."""

    least = 2
    width = 5

    def __init__(
        self, fleet: Fleet, text: str, ranged: Ranged, *, counter: bool, per_second: bool, inner: Node[Vec] | None
    ) -> None:
        super().__init__(fleet, text, ranged, inner=inner)
        self._counter = counter
        self._per_second = per_second
        self._steady = Steady(ranged, falling=not counter) if isinstance(ranged, Window) else None

    def refold(self, changed: Ids, params: tuple[float, ...]) -> None:
        """Look at the ends of the window alone where nothing fell or was missing between them."""
        if self._steady is not None:
            steady, changed = self._steady.split(changed)
            first, last, counts = self._steady.ends(steady)
            self._counts[steady] = counts
            rise = last.values - first.values
            self.put(steady, (rise, first.values, first.times, last.times, counts.astype(np.float64) - 1))
        super().refold(changed, params)

    def fold(self, block: Block, _params: tuple[float, ...]) -> tuple[Floats, ...]:
        ends = (np.zeros(len(block.counts), np.int64), np.full(len(block.counts), -1))
        first, last = block.at(ends[0]), block.at(ends[1])
        rise = last - first
        if self._counter:
            before, after = block.values[:, :-1], block.values[:, 1:]
            rise = rise + np.where((after < before) & block.mask[:, 1:], before, 0.0).sum(axis=1)
        return rise, first, block.time_at(ends[0]), block.time_at(ends[1]), block.counts.astype(np.float64) - 1

    def finish(self, fields: list[Floats], moment: Moment) -> Floats:
        rise, first, first_time, last_time, intervals = fields
        end = self.ranged.when(moment)
        to_start = (first_time - (end - self.ranged.span)) / 1000
        to_end = (end - last_time) / 1000
        sampled = (last_time - first_time) / 1000
        average = sampled / intervals
        threshold = average * 1.1
        to_start = np.where(to_start >= threshold, average / 2, to_start)
        if self._counter:  # a counter is not extrapolated below zero
            to_zero = np.where((rise > 0) & (first >= 0), sampled * (first / rise), to_start)
            to_start = np.where(to_zero < to_start, to_zero, to_start)
        to_end = np.where(to_end >= threshold, average / 2, to_end)
        factor = np.where(sampled != 0, (sampled + to_start + to_end) / sampled, 1.0)
        if self._per_second:
            factor = factor / (self.ranged.span / 1000)
        return rise * factor


class Regression(OverTime):
    """deriv(), and predict_linear() with the seconds to look ahead as parameter: a line by least squares."""

    least = 2
    width = 3

    def fold(self, block: Block, _params: tuple[float, ...]) -> tuple[Floats, ...]:
        counts = block.counts.astype(np.float64)
        first = block.values[:, 0]
        origin = block.times[:, 0]
        x = np.where(block.mask, (block.times - origin[:, None]) / 1000, 0.0)
        y = block.filled(0.0)
        sum_x, sum_y = compensated(x), compensated(y)
        covariance = compensated(x * y) - sum_x * sum_y / counts
        slope = covariance / (compensated(x * x) - sum_x * sum_x / counts)
        intercept = sum_y / counts - slope * sum_x / counts
        constant = ((block.values == first[:, None]) | ~block.mask).all(axis=1)
        endless = np.where(np.isinf(first), np.nan, 0.0)
        slope = np.where(constant, endless, slope)
        return slope, np.where(constant, first + endless, intercept), origin

    def finish(self, fields: list[Floats], moment: Moment) -> Floats:
        slope, intercept, origin = fields
        if not self._values:
            return slope.copy()
        ahead = slope * ((moment.at - origin) / 1000)
        return slope * self._values[0] + np.where(slope == 0, intercept, intercept + ahead)
