"""Subqueries: an expression evaluated at steps, taken as a range of samples. The steps that were are kept."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from rules.labels import ALL
from rules.promql.frames import Frame, Gathered
from rules.promql.keys import Ids, Keys
from rules.promql.node import VectorNode
from rules.promql.samples import Block
from rules.promql.vec import Floats, Mask, Moment, Vec
from rules.promql.window import Shift

if TYPE_CHECKING:
    from rules.fleet import Fleet
    from rules.watching import Watch


class Subquery:
    """The values of an expression at the multiples of `step` (ms) in a window; open on the left.

    `bounded`: the expression asks for the start or end of the evaluation, so that its steps are good for one alone.
    """

    def __init__(
        self, fleet: Fleet, inner: VectorNode, span: float, step: float, shift: Shift, *, bounded: bool
    ) -> None:
        self.inner = inner
        self.span = span
        self.step = step
        self.shift = shift
        self.watch: Watch | None = None  # those of the inner expression are its own
        self._done: dict[float, Vec] = {}
        self._bounded = bounded
        self._bounds: tuple[float, float] | None = None
        self._fleet = fleet
        self._frame: Frame | None = None
        self._values: Floats = np.zeros((0, 0))
        self._there: Mask = np.zeros((0, 0), np.bool_)
        self._times: Floats = np.zeros(0)
        fleet.followers.add(self)

    def spoil(self, since: float) -> None:
        """Forget the steps from this time (ms) on: samples came that they may have seen."""
        self._done = {time: vec for time, vec in self._done.items() if time < since}

    def when(self, moment: Moment) -> float:
        """Return the end of the window."""
        return self.shift.when(moment)

    def frame(self) -> Frame:
        """Return the frame of what was there at any step."""
        return self._frame if self._frame is not None else self.inner.empty().frame

    def advance(self, moment: Moment) -> Ids | None:
        """Evaluate the steps that are new; all series are then taken to have changed."""
        if self._bounded and self._bounds != (moment.start, moment.end):
            self._bounds = (moment.start, moment.end)
            self._done.clear()
        end = self.when(moment)
        step = (math.floor((end - self.span) / self.step) + 1) * self.step
        steps: list[tuple[float, Vec]] = []
        while step <= end:
            vec = self._done.get(step)
            if vec is None:
                vec = self.inner.eval(Moment(step, moment.start, moment.end))
            steps.append((step, vec))
            step += self.step
        self._done = dict(steps)
        self._stack(steps)
        return None

    def _stack(self, steps: list[tuple[float, Vec]]) -> None:
        """Bring the steps' vectors into one frame: as it is where they have the same, else by their labels."""
        self._times = np.array([time for time, _ in steps])
        frames = {id(vec.frame): vec.frame for _, vec in steps}
        alone = next(iter(frames.values())) if len(frames) == 1 else None
        if alone is not None and not alone.repeats():
            self._frame, places = alone, {id(alone): np.arange(alone.n)}
        else:
            self._frame, places = _merged(list(frames.values()), self._fleet)
        n = self._frame.n
        self._values = np.zeros((n, len(steps)))
        self._there = np.zeros((n, len(steps)), np.bool_)
        for column, (_, vec) in enumerate(steps):
            at = places[id(vec.frame)][: len(vec.values)][vec.mask]
            self._values[at, column] = vec.values[vec.mask]
            self._there[at, column] = True

    def blocks(self, positions: Ids) -> Iterator[tuple[Ids, Block]]:
        """Yield the values of these positions."""
        there = self._there[positions]
        times = np.broadcast_to(self._times, there.shape)
        yield positions, Block(self._values[positions], there, there.sum(axis=1), times)


def _merged(frames: list[Frame], fleet: Fleet) -> tuple[Frame, dict[int, Ids]]:
    """Return a frame with the labels of all of these, and the place of each one's elements in it."""
    keys = Keys()
    places = {id(frame): keys.ids(frame.hashes(ALL)) for frame in frames}
    of, at = np.zeros(keys.count, np.int64), np.zeros(keys.count, np.int64)
    for number, frame in enumerate(frames):
        of[places[id(frame)]] = number
        at[places[id(frame)]] = np.arange(frame.n)
    merged = Gathered(fleet.strings, frames, distinct=True)
    merged.add(of, at)
    return merged, places
