"""The array: a slot for each series, ordered by metric in extents that double, so that a selector is mostly contiguous.

Times are Unix milliseconds (whole numbers in float64, as Prometheus has them); a slot without a current value has the
time -inf. Slot 0 is nobody's and never has a value: what pointed to a slot that was freed is turned to it. Slot 1 takes
what is written for series that were refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rules.growing import fit

Values = NDArray[np.float64]
Slots = NDArray[np.int64]

NOBODY: Final = 0
REFUSED: Final = 1
GONE: Final = -np.inf
_FIRST_EXTENT: Final = 16
_LOG_SLACK: Final = 1024


class Metric:
    """The slots of one metric name, and the log of their coming and going that selectors follow.

    A selector has seen `added[:n]` and `dropped[:m]`; it applies the rest. `generation` changes when the logs were
    shortened: then it starts anew.
    """

    __slots__ = ("added", "dropped", "end", "extent", "free", "generation", "live", "name", "next")

    def __init__(self, name: str) -> None:
        self.name = name
        self.added: list[int] = []
        self.dropped: list[int] = []
        self.generation = 0
        self.live = 0
        self.free: list[int] = []
        self.next = 0
        self.end = 0
        self.extent = _FIRST_EXTENT


class SlotArray:
    """Values and times of every series; `series` and `devices` say by number whose they are."""

    def __init__(self) -> None:
        self.size = 2
        self.values: Values = np.zeros(1024)
        self.times: Values = np.full(1024, GONE)
        self.series = np.zeros(1024, np.int32)
        self.devices = np.zeros(1024, np.int32)
        self.births: Slots = np.full(1024, -1)  # index of the slot in its metric's log; -1: free
        self.metrics: dict[str, Metric] = {}
        self.count = 0

    def metric(self, name: str) -> Metric:
        """Return the metric of this name, which may have no series yet."""
        metric = self.metrics.get(name)
        if metric is None:
            metric = self.metrics[name] = Metric(name)
        return metric

    def take(self, metric: Metric, series: int, device: int) -> int:
        """Return a slot for a series that has none."""
        slot = metric.free.pop() if metric.free else self._next(metric)
        self.series[slot] = series
        self.devices[slot] = device
        metric.live += 1
        self.count += 1
        self._enter(metric, slot)
        return slot

    def give(self, metric: Metric, slots: Sequence[int]) -> None:
        """Free slots of this metric; nothing selects them from now on."""
        for slot in slots:
            self._leave(metric, slot)
            self.times[slot] = GONE
            metric.free.append(slot)
        metric.live -= len(slots)
        self.count -= len(slots)
        if len(metric.added) > 2 * metric.live + _LOG_SLACK:
            self._shorten(metric)

    def rename(self, metric: Metric, slot: int, series: int) -> None:
        """Give a slot other labels; it keeps its value."""
        self._leave(metric, slot)
        self.series[slot] = series
        self._enter(metric, slot)

    def live(self, metric: Metric) -> Slots:
        """Return the slots that are in use, in the order in which they were taken."""
        added = np.array(metric.added, np.int64)
        live: Slots = added[self.births[added] == np.arange(len(added))]
        return live

    def order(self) -> Slots:
        """Return for each slot which of its metric's it is in the order in which they were taken; -1: free."""
        order: Slots = np.full(self.size, -1)
        for metric in self.metrics.values():
            live = self.live(metric)
            order[live] = np.arange(len(live))
        return order

    def _enter(self, metric: Metric, slot: int) -> None:
        self.births[slot] = len(metric.added)
        metric.added.append(slot)

    def _leave(self, metric: Metric, slot: int) -> None:
        self.births[slot] = -1
        metric.dropped.append(slot)

    def _shorten(self, metric: Metric) -> None:
        added = [slot for index, slot in enumerate(metric.added) if self.births[slot] == index]
        self.births[added] = np.arange(len(added))
        metric.added = added
        metric.dropped = []
        metric.generation += 1

    def _next(self, metric: Metric) -> int:
        if metric.next == metric.end:
            metric.next = self.size
            metric.end = self.size = self.size + metric.extent
            metric.extent *= 2
            self._grow()
        slot = metric.next
        metric.next += 1
        return slot

    def _grow(self) -> None:
        old = len(self.values)
        if self.size <= old:
            return
        self.values = fit(self.values, self.size)
        self.times = fit(self.times, self.size)
        self.births = fit(self.births, self.size)
        self.series = fit(self.series, self.size)
        self.devices = fit(self.devices, self.size)
        self.times[old:] = GONE
        self.births[old:] = -1

    def nbytes(self) -> int:
        """Return the memory of the arrays."""
        return sum(a.nbytes for a in (self.values, self.times, self.births, self.series, self.devices))
