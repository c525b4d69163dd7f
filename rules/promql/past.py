"""Instant vectors of another time than now: with `offset` or `@`, within a subquery, or of a fleet's history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rules.growing import fit
from rules.promql.frames import Frame
from rules.promql.node import VectorNode
from rules.promql.selectors import Chosen
from rules.promql.vec import Floats, Mask, Moment, Vec
from rules.promql.window import Shift, Window
from rules.rings import is_stale

if TYPE_CHECKING:
    from rules.fleet import Fleet
    from rules.watching import Watch


class Past(VectorNode):
    """What was current at the time: the newest sample of the lookback, unless that is a stale marker."""

    def __init__(
        self, fleet: Fleet, text: str, chosen: Chosen, shift: Shift, reach: float, *, times: bool = False
    ) -> None:
        super().__init__(fleet, text)
        self.metrics = None
        self.window = Window(fleet, chosen, fleet.lookback, shift, reach)
        self._times_wanted = times
        self._frame: Frame | None = None
        self._values: Floats = np.zeros(0)
        self._times: Floats = np.zeros(0)
        self._mask: Mask = np.zeros(0, np.bool_)

    def watches(self) -> dict[int, Watch]:
        watch = self.window.watch
        return {id(watch): watch} if watch is not None else {}

    def _eval(self, moment: Moment) -> Vec:
        changed = self.window.advance(moment)
        frame = self.window.frame()
        if frame is not self._frame or changed is None:
            self._frame = frame
            changed = np.arange(frame.n)
        n = frame.n
        self._values, self._times, self._mask = fit(self._values, n), fit(self._times, n), fit(self._mask, n)
        if len(changed):
            values, times, there = self.window.newest(changed)
            self._values[changed], self._times[changed] = values, times
            self._mask[changed] = there & ~is_stale(values)
        values = self._times[:n] / 1000 if self._times_wanted else self._values[:n].copy()
        return Vec(frame, values, self._mask[:n].copy())
