"""Which series of a window were steady: no sample missing, no counter fallen, so that its ends tell all of it.

Each sample is looked at once, when it comes into the window; what is remembered is the newest that was not steady.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rules.growing import fit
from rules.promql.frames import Frame
from rules.promql.keys import Ids
from rules.promql.vec import Floats, Mask
from rules.promql.window import Window


class Ends(NamedTuple):
    """A sample of each series."""

    values: Floats
    times: Floats


class Steady:
    """Follows a window; `falling` series are steady too."""

    def __init__(self, window: Window, *, falling: bool) -> None:
        self._window = window
        self._falling = falling
        self._frame: Frame | None = None
        self._born: Ids = np.zeros(0, np.int64)  # of the track, by element: counters are of one track
        self._since: Ids = np.zeros(0, np.int64)  # the samples [since, seen) were looked at
        self._seen: Ids = np.zeros(0, np.int64)
        self._last: Floats = np.zeros(0)  # the value of the sample before `seen`
        self._odd: Ids = np.zeros(0, np.int64)  # the newest of them that was not steady, -1 for none

    def split(self, positions: Ids) -> tuple[Ids, Ids]:
        """Return of these positions those that are steady in the window as it is now, and the others."""
        window = self._window
        self._follow(window.frame())
        tracks, _, low, high = window.bounds(positions)
        born = window.fleet.windows.born[tracks]
        anew = (born != self._born[positions]) | (low < self._since[positions]) | (low > self._seen[positions])
        fresh = positions[anew]
        self._born[fresh], self._since[fresh], self._seen[fresh], self._odd[fresh] = (
            born[anew],
            low[anew],
            low[anew],
            -1,
        )
        self._look(positions[self._seen[positions] < high])
        steady = self._odd[positions] < low
        return positions[steady], positions[~steady]

    def ends(self, positions: Ids) -> tuple[Ends, Ends, Ids]:
        """Return the first and the last sample of these, and how many there are; undefined where there are none."""
        tracks, rows, low, high = self._window.bounds(positions)
        windows = self._window.fleet.windows
        capacity = windows.capacity[tracks]
        end: Ids = np.maximum(high - 1, 0)
        values = self._last[positions]
        back = np.flatnonzero(self._seen[positions] != high)  # the window was further on already
        values[back] = windows.arena.get(rows[back] + end[back] % capacity[back])
        first = Ends(windows.arena.get(rows + low % capacity), windows.time(tracks, low))
        return first, Ends(values, windows.time(tracks, end)), high - low

    def _follow(self, frame: Frame) -> None:
        if frame is not self._frame:
            self._frame = frame
            self._born = np.zeros(0, np.int64)
        for name in ("_born", "_since", "_seen", "_odd", "_last"):
            setattr(self, name, fit(getattr(self, name), frame.n))

    def _look(self, positions: Ids) -> None:
        """Look at the samples that came, each beside the one before."""
        windows = self._window.fleet.windows
        tracks, rows, _, high = self._window.bounds(positions)
        capacity = windows.capacity[tracks]
        counters: Ids = np.maximum(self._seen[positions] - 1, self._since[positions])
        newest = self._odd[positions]
        before: Floats | None = None
        for _ in range(int((high - counters).max(initial=0))):
            values = windows.arena.get(rows + counters % capacity)
            odd: Mask = np.isnan(values)
            if before is not None and not self._falling:
                odd |= values < before
            odd &= counters < high
            newest[odd] = counters[odd]
            final = np.flatnonzero(counters == high - 1)
            self._last[positions[final]] = values[final]
            before = values
            counters = counters + 1
        self._odd[positions] = newest
        self._seen[positions] = high
