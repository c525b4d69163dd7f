"""Which series are looked back on, and for how long: the selectors of the expressions that are in use."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from rules.labels import Codes
from rules.layouts import Layout, Numbers
from rules.matchers import Selector
from rules.rings import FOREVER
from rules.slots import REFUSED, Slots

if TYPE_CHECKING:
    from rules.fleet import Fleet

_REMEMBERED: Final = 4096


class Watch:
    """A selector whose series' samples are kept for `span` milliseconds, as long as this object is alive."""

    __slots__ = ("__weakref__", "selector", "span")

    def __init__(self, selector: Selector, span: float) -> None:
        self.selector = selector
        self.span = span


class Watching:
    """The watches of a fleet. What a layout needs is worked out once for devices that are alike."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._watches: weakref.WeakSet[Watch] = weakref.WeakSet()
        self._labels: frozenset[str] = frozenset()
        self.lost = False  # whether a watch has ended since the last release
        self._spans: dict[tuple[int, tuple[str, ...]], NDArray[np.float64]] = {}

    def watch(self, selector: Selector, span: float, slots: Slots) -> Watch:
        """Keep the samples of what is selected, of the series there are (`slots`) and of those to come."""
        watch = Watch(selector, span)
        self._watches.add(watch)
        weakref.finalize(watch, self._lose).atexit = False
        self._labels |= selector.labels
        self._spans.clear()
        self._fleet.windows.keep(slots, span)
        return watch

    def _lose(self) -> None:
        self.lost = True
        self._spans.clear()

    def release(self) -> None:
        """Keep no longer what no watch asks for any more."""
        if not self.lost or self._fleet.keep_all:
            return
        self.lost = False
        windows = self._fleet.windows
        wanted = np.zeros(len(windows.track), np.bool_)
        for _, slots in self._chosen():
            wanted[slots] = True
        windows.drop(np.flatnonzero((windows.track > 0) & ~wanted))

    def renew(self) -> None:
        """Keep for all watches what they choose of the series there are; after these were replaced."""
        self._spans.clear()
        for watch, slots in self._chosen():
            self._fleet.windows.keep(slots, watch.span)

    def _chosen(self) -> Iterator[tuple[Watch, Slots]]:
        array = self._fleet.array
        for watch in self._watches:
            for metric in array.metrics.values():
                if watch.selector.has_name(metric.name):
                    slots = array.live(metric)
                    chosen = select(self._fleet, watch.selector, array.series[slots], array.devices[slots])
                    yield watch, slots[chosen]

    def keep(self, layout: Layout, first: int = 0) -> None:
        """Keep the windows of a layout's new series: those from column `first` on."""
        added = layout.slots[first:]
        if self._fleet.keep_all:
            self._fleet.windows.keep(added[added != REFUSED], FOREVER)
            return
        if not self._watches:
            return
        spans = self.spans(layout.series[first:], layout.source.device.row) if first else self._spans_for(layout)
        for span in np.unique(spans[spans > 0]).tolist():
            slots = added[spans == span]
            self._fleet.windows.keep(slots[slots != REFUSED], span)

    def _spans_for(self, layout: Layout) -> NDArray[np.float64]:
        labels = layout.source.device.labels
        key = (id(layout.series), tuple(labels.get(label, "") for label in sorted(self._labels)))
        spans = self._spans.get(key)
        if spans is None:
            if len(self._spans) >= _REMEMBERED:
                self._spans.clear()
            spans = self._spans[key] = self.spans(layout.series, layout.source.device.row)
        return spans

    def spans(self, series: Numbers, device: int) -> NDArray[np.float64]:
        """Return for each series of a device how long its samples are kept; 0: not at all."""
        spans = np.zeros(len(series))
        devices = np.full(len(series), device, np.int32)
        for watch in self._watches:
            chosen = select(self._fleet, watch.selector, series, devices)
            np.maximum(spans, watch.span, out=spans, where=chosen)
        return spans


def select(fleet: Fleet, selector: Selector, series: Numbers, devices: Numbers) -> NDArray[np.bool_]:
    """Return which of the series, given by their numbers and their devices' rows, are selected."""
    chosen = np.ones(len(series), np.bool_)
    if selector.name is not None:
        chosen &= column(fleet, "__name__", series, devices) == fleet.strings.codes.get(selector.name, -1)
    for matcher in selector.matchers:
        chosen &= matcher.match(column(fleet, matcher.label, series, devices), fleet.strings)
    return chosen


def column(fleet: Fleet, label: str, series: Numbers, devices: Numbers) -> Codes:
    """Return the code of a label of each series; the target label of the device comes first."""
    target: Codes = fleet.device_table.column(label)[devices]
    own: Codes = fleet.series_table.column(label)[series]
    return np.where(target != 0, target, own)
