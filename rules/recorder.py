"""Leaves the samples of a rule in the fleet, so that other rules may query them.

Each rule is a source of its own, a device without target labels whose number is negative. Its columns are the series
that it yielded lately: one that it yields no longer becomes stale at once, and loses its column when most are unused.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rules.fleet import Fleet
from rules.labels import NAME, Labels
from rules.layouts import Layout, Numbers
from rules.rings import STALE
from rules.slots import GONE

_FEW: Final = 64


class Recorder:
    """The fleet's side of one rule; `owner` is the number of its device."""

    def __init__(self, fleet: Fleet, owner: int, columns: Sequence[Labels] = ()) -> None:
        self._fleet = fleet
        self.owner = owner
        self._columns: dict[Labels, int] = {labels: i for i, labels in enumerate(columns)}
        self._series: list[tuple[str, dict[str, str]]] = []
        self._layout: Layout | None = None
        self._last: Sequence[Labels] = ()
        self._places = np.zeros(0, np.intp)
        self._used = self._living()  # columns that have a value; after a restore, the fleet knows
        # The fleet remembers what it worked out for a layout by the id of its numbers, for 4096 layouts at most:
        # until then no others may have that id.
        self._retired: deque[Numbers] = deque(maxlen=4096)

    @property
    def columns(self) -> list[Labels]:
        """The series that have a column."""
        return list(self._columns)

    def write(self, labels: Sequence[Labels], values: NDArray[np.float64], now: float) -> None:
        """Take a rule's result at a time; each series once."""
        if not self._used and not labels:
            return
        if labels is not self._last:
            self._place(labels)
        if self._layout is None:
            self._layout = self._arranged()
        row = np.full(len(self._columns), STALE)
        row[self._places] = values
        self._fleet.append(self._layout, np.array([now]), row[np.newaxis, :])
        self._used = len(labels)

    def close(self) -> None:
        """Let go of every series: the rule is gone."""
        self._fleet.remove_device(self.owner)
        self._columns.clear()
        self._series.clear()
        self._layout = None

    def _living(self) -> int:
        device = self._fleet.devices.get(self.owner)
        layouts = [source.layout for source in device.sources.values() if source.layout] if device else []
        return sum(int((self._fleet.array.times[layout.slots] != GONE).sum()) for layout in layouts)

    def _place(self, labels: Sequence[Labels]) -> None:
        before = len(self._columns)
        if before > _FEW and 0 < len(labels) < before // 4:
            self._columns = {}
            self._series = []
        columns = self._columns
        self._places = np.array([columns.setdefault(own, len(columns)) for own in labels], np.intp)
        self._last = labels
        if len(columns) != before:
            self._layout = None

    def _arranged(self) -> Layout:
        """A layout of the columns as they are; it takes the place of the last one, which had fewer or more.

        Its schema is the owner's number, which is negative, where those of agents are hashes and are not.
        """
        device = self._fleet.devices.get(self.owner)
        if device is None:
            self._fleet.add_device(self.owner, {})
        else:
            for source in device.sources.values():
                self._retired.extend(layout.series for layout in source.layouts.values())
                source.layouts.clear()
        for own in islice(self._columns, len(self._series), None):
            self._series.append((own[NAME], {n: v for n, v in own.items() if n != NAME}))
        return self._fleet.layout(self.owner, self.owner, list(self._series))
