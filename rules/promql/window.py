"""The samples of each chosen series that lie in a window, followed as the window moves on.

Per track (the common times of one source) two counters say where the window begins and ends in the ring; moving on
costs a look at what came in and what fell out. Only the series for which that changed are handed to a function again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol

import numpy as np

from rules.growing import fit
from rules.promql.frames import Frame, SeriesFrame
from rules.promql.keys import Ids
from rules.promql.samples import Block
from rules.promql.selectors import Chosen
from rules.promql.vec import Mask, Moment
from rules.rings import FOREVER
from rules.slots import Values
from rules.watching import Watch

if TYPE_CHECKING:
    from rules.fleet import Fleet

_STEPS: Final = 4  # steps on foot before a search by halves
_CELLS: Final = 2_000_000  # samples that are handed out at once


@dataclass(frozen=True, slots=True)
class Shift:
    """`offset` (ms) and `@` of a selector or subquery."""

    offset: float = 0.0
    at: float | Literal["start", "end"] | None = None

    def when(self, moment: Moment) -> float:
        """Return the time that is looked at."""
        if self.at is None:
            return moment.at - self.offset
        if self.at == "start":
            return moment.start - self.offset
        if self.at == "end":
            return moment.end - self.offset
        return self.at - self.offset

    @property
    def fixed(self) -> bool:
        """Whether one moment is looked at, whenever it is evaluated."""
        return isinstance(self.at, float)


class Ranged(Protocol):
    """Samples of many series in a window: of a range selector, or of a subquery."""

    span: float
    watch: Watch | None

    def advance(self, moment: Moment) -> Ids | None:
        """Move the window; return the positions whose samples changed, None for all."""

    def frame(self) -> Frame:
        """Return the frame of the series."""

    def blocks(self, positions: Ids) -> Iterator[tuple[Ids, Block]]:
        """Yield the samples of these positions, some at a time."""

    def when(self, moment: Moment) -> float:
        """Return the end of the window."""


class Window:
    """A range selector's window, of `span` ms; open on the left."""

    def __init__(self, fleet: Fleet, chosen: Chosen, span: float, shift: Shift, reach: float) -> None:
        self.fleet = fleet
        self.chosen = chosen
        self.span = span
        self.shift = shift
        kept = FOREVER if shift.fixed else span + max(shift.offset, 0.0) + reach
        self.watch: Watch | None = self._watch(kept)
        self._frame: SeriesFrame | None = None
        self._dead = -1
        self._changes = -1
        self._end = -np.inf
        self._of: Ids = np.zeros(0, np.int64)  # track, by element
        self._row: Ids = np.zeros(0, np.int64)  # ring, by element
        self._tracks: Ids = np.zeros(0, np.int64)  # those in use
        self._low: Ids = np.zeros(0, np.int64)  # by track: counter of the first sample in the window
        self._high: Ids = np.zeros(0, np.int64)  # by track: counter after the last
        self._first: Values = np.zeros(0)  # by track: time of the first
        self._born: Ids = np.zeros(0, np.int64)

    def _watch(self, span: float) -> Watch:
        return self.fleet.watching.watch(self.chosen.selector, span, self.chosen.frame().slots)

    def frame(self) -> SeriesFrame:
        """Return the frame of what is chosen."""
        return self._frame if self._frame is not None else self.chosen.frame()

    def when(self, moment: Moment) -> float:
        """Return the end of the window."""
        return self.shift.when(moment)

    def advance(self, moment: Moment) -> Ids | None:
        """Move the window; return the positions whose samples changed, None for all."""
        end = self.when(moment)
        frame = self.chosen.frame()
        anew = frame is not self._frame
        moved = self._follow(frame)
        changed = self._move(end, back=end < self._end)
        self._end = end
        if anew:
            return None
        touched = changed[self._of]
        touched[moved] = True
        return np.flatnonzero(touched)

    def _follow(self, frame: SeriesFrame) -> Mask | slice:
        """Take up series that came, and rings that moved; return which elements that concerns."""
        windows = self.fleet.windows
        state = (frame, frame.n, frame.dead, windows.changes)
        if state == (self._frame, len(self._of), self._dead, self._changes):
            return slice(0)
        tracks, rows = windows.track[frame.slots], windows.row[frame.slots]
        moved = np.ones(frame.n, np.bool_)
        if frame is self._frame:
            old = len(self._of)
            moved[:old] = (tracks[:old] != self._of) | (rows[:old] != self._row)
        self._frame, self._dead, self._changes = frame, frame.dead, windows.changes
        self._of, self._row = tracks, rows
        for name in ("_low", "_high", "_first", "_born"):
            setattr(self, name, fit(getattr(self, name), windows.tracks))
        used = np.zeros(windows.tracks, np.bool_)
        used[tracks] = True
        used[0] = False
        self._tracks = np.flatnonzero(used)
        fresh = self._tracks[self._born[self._tracks] != windows.born[self._tracks]]
        self._low[fresh] = self._high[fresh] = 0
        self._first[fresh] = -np.inf
        self._born[fresh] = windows.born[fresh]
        return moved

    def _move(self, end: float, *, back: bool) -> Mask:
        """Move both ends, on or `back`; return which tracks have other samples in the window than before."""
        windows, tracks = self.fleet.windows, self._tracks
        head = windows.head[tracks]
        low, high = self._low[tracks], self._high[tracks]
        floor = np.maximum(head - windows.capacity[tracks], 0)
        new_high = self._forward(tracks, floor if back else np.maximum(high, floor), head, end)
        new_low = floor if back else np.maximum(low, floor)
        start = end - self.span
        leaving = np.flatnonzero((self._first[tracks] <= start) | (new_low != low) | (low == high) | back)
        new_low[leaving] = self._forward(tracks[leaving], new_low[leaving], new_high[leaving], start)
        changed = (new_low != low) | (new_high != high)
        at = np.flatnonzero(changed)
        self._low[tracks[at]], self._high[tracks[at]] = new_low[at], new_high[at]
        self._first[tracks[at]] = np.where(new_low[at] < new_high[at], windows.time(tracks[at], new_low[at]), -np.inf)
        by_track = np.zeros(windows.tracks, np.bool_)
        by_track[tracks[at]] = True
        return by_track

    def _forward(self, tracks: Ids, counters: Ids, limits: Ids, bound: float) -> Ids:
        """Return for each track the first counter, from the given one up to the limit, whose time is after `bound`."""
        counters = counters.copy()
        going = np.flatnonzero(counters < limits)
        for _ in range(_STEPS):
            going = going[self.fleet.windows.time(tracks[going], counters[going]) <= bound]
            counters[going] += 1
            going = going[counters[going] < limits[going]]
            if not len(going):
                return counters
        low, high = counters[going], limits[going]
        while (low < high).any():
            middle = (low + high) // 2
            before = (self.fleet.windows.time(tracks[going], middle) <= bound) & (low < high)
            low, high = np.where(before, middle + 1, low), np.where(before | (low >= high), high, middle)
        counters[going] = low
        return counters

    def bounds(self, positions: Ids) -> tuple[Ids, Ids, Ids, Ids]:
        """Return of each position its track, its ring, and the counters [first, end) of the samples in the window."""
        of = self._of[positions]
        return of, self._row[positions], self._low[of], self._high[of]

    def blocks(self, positions: Ids) -> Iterator[tuple[Ids, Block]]:
        """Yield the samples of these positions, some at a time."""
        of = self._of[positions]
        width = int((self._high[of] - self._low[of]).max(initial=0))
        size = max(1, _CELLS // max(width, 1))
        for start in range(0, len(positions), size):
            part = positions[start : start + size]
            of = self._of[part]
            yield part, Block.read(self.fleet.windows, of, self._row[part], self._low[of], self._high[of])

    def newest(self, positions: Ids) -> tuple[Values, Values, Mask]:
        """Return value and time of the last sample in the window, a stale marker too, and where there is one."""
        windows = self.fleet.windows
        of = self._of[positions]
        last = self._high[of] - 1
        there = last >= self._low[of]
        last = np.where(there, last, 0)
        values = windows.arena.get(self._row[positions] + last % windows.capacity[of])
        return values, windows.time(of, last), there
