"""Rows of many devices at once: one scatter for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from rules.layouts import Layout
from rules.rings import STALE, is_stale
from rules.slots import GONE, Slots, Values

if TYPE_CHECKING:
    from rules.fleet import Fleet


class Found(Protocol):
    """Rows in a buffer: their times in seconds, and where in `floats` the values of each begin."""

    floats: Values
    times: Values
    at: Slots


class SteadyRows:
    """Collects rows that are newer than all that their sources sent, in layouts that stand, and writes them at once.

    The effect is that of `Fleet.append` for each of them. No source may be added twice before `write`.
    """

    def __init__(self, fleet: Fleet, found: Found) -> None:
        self._fleet = fleet
        self._found = found
        self._floats = found.floats
        self._slots: list[Slots] = []
        self._values: list[Values] = []
        self._times: list[float] = []
        self._widths: list[int] = []

    @staticmethod
    def fits(layout: Layout, columns: int, time: float) -> bool:
        """Whether rows of so many columns, the first at this time (ms), can be added."""
        source = layout.source
        return layout is source.layout and time > source.last and columns == len(layout.slots)

    def add(self, layout: Layout, rows: NDArray[np.intp], at: int, first: float, latest: float) -> None:
        """Add rows of one source, in the order of their times: of the first (in seconds) to the last (in ms), whose
        values are at `at`.
        """
        width = len(layout.slots)
        layout.source.last = latest
        self._slots.append(layout.slots)
        self._values.append(self._floats[at : at + width])
        self._times.append(latest)
        self._widths.append(width)
        if layout.columns is not None:
            self._note(layout, layout.columns, rows)
        if first < self._fleet.dirty:
            self._fleet.dirty = first
        self._fleet.touch(layout)

    def _note(self, layout: Layout, columns: NDArray[np.intp], rows: NDArray[np.intp]) -> None:
        """Let the windows have what they keep of the rows."""
        kept = self._floats[self._found.at[rows][:, None] + columns]
        least = np.minimum.reduce(kept, axis=None)
        if least != least:  # a NaN is in it, perhaps a value
            kept[is_stale(kept) if self._fleet.keep_nan else np.isnan(kept)] = STALE
        self._fleet.windows.note(layout, self._found.times[rows], kept)

    def write(self) -> None:
        """Write all that was added."""
        if not self._slots:
            return
        array = self._fleet.array
        slots, values = np.concatenate(self._slots), np.concatenate(self._values)
        array.values[slots] = values
        array.times[slots] = np.repeat(self._times, self._widths)
        missing = is_stale(values) if self._fleet.keep_nan else np.isnan(values)
        if missing.any():
            array.times[slots[missing]] = GONE
