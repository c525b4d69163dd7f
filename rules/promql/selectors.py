"""Selectors: which series, followed as they come and go; and instant vectors of their current values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rules.matchers import Selector
from rules.promql.frames import SeriesFrame
from rules.promql.node import VectorNode
from rules.promql.vec import Moment, Vec
from rules.slots import Metric
from rules.watching import select

if TYPE_CHECKING:
    from rules.fleet import Fleet


class _Followed:
    """How far the log of a metric has been read."""

    __slots__ = ("added", "dropped", "generation", "metric")

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.generation = metric.generation
        self.added = 0
        self.dropped = 0


class Chosen:
    """The series that a selector chooses; shared by all nodes with this selector."""

    def __init__(self, fleet: Fleet, selector: Selector) -> None:
        self.fleet = fleet
        self.selector = selector
        self._followed: list[_Followed] = []
        self._names = 0
        self._generation = fleet.generation
        self._frame = SeriesFrame(fleet, one_name=selector.name is not None)

    def frame(self) -> SeriesFrame:
        """Return the frame of what is chosen now."""
        if self._generation != self.fleet.generation:
            self._generation = self.fleet.generation
            self._followed, self._names = [], 0
            self._frame = SeriesFrame(self.fleet, one_name=self._frame.one_name)
        self._find_metrics()
        if any(f.generation != f.metric.generation for f in self._followed) or self._worn():
            self._followed = [_Followed(f.metric) for f in self._followed]
            self._frame = SeriesFrame(self.fleet, one_name=self._frame.one_name)
        for followed in self._followed:
            metric = followed.metric
            if followed.dropped < len(metric.dropped):
                self._frame.lose(metric.dropped[followed.dropped :])
                followed.dropped = len(metric.dropped)
            if followed.added < len(metric.added):
                self._add(followed)
        return self._frame

    def _worn(self) -> bool:
        return self._frame.dead > 64 + self._frame.n // 4

    def _find_metrics(self) -> None:
        metrics = self.fleet.array.metrics
        if len(metrics) == self._names:
            return
        name = self.selector.name
        if name is None:
            fresh = list(metrics)[self._names :]
        else:
            fresh = [name] if name in metrics and not self._followed else []
        self._names = len(metrics)
        self._followed += [_Followed(metrics[n]) for n in fresh if self.selector.has_name(n)]

    def _add(self, followed: _Followed) -> None:
        array = self.fleet.array
        first = followed.added
        slots = np.array(followed.metric.added[first:], np.int64)
        followed.added += len(slots)
        slots = slots[array.births[slots] == np.arange(first, followed.added)]
        chosen = select(self.fleet, self.selector, array.series[slots], array.devices[slots])
        self._frame.add(slots[chosen])


class Current(VectorNode):
    """An instant vector of what is current now; `times` instead of values for timestamp()."""

    def __init__(self, fleet: Fleet, text: str, chosen: Chosen, *, times: bool = False) -> None:
        super().__init__(fleet, text)
        self.chosen = chosen
        self._times = times
        name = chosen.selector.name
        self.metrics = None if name is None else frozenset((name,))

    def _eval(self, moment: Moment) -> Vec:
        frame = self.chosen.frame()
        times = self.fleet.array.times.take(frame.slots)
        values = times / 1000 if self._times else self.fleet.array.values.take(frame.slots)
        mask = times > moment.at - self.fleet.lookback
        return Vec(frame, values, mask)
