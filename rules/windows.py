"""The windows that expressions look back on: which series are kept, and the writing of what is appended.

What is appended is noted and written to the rings all together, when somebody looks (`flush`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rules.growing import fit
from rules.layouts import Layout, Source
from rules.rings import STALE, Rings
from rules.slots import GONE, SlotArray, Slots, Values

__all__ = ["STALE", "Windows"]

_PENDING: Final = 4096
_BLOCK: Final = 8  # rows of one append that are worth a path of their own


class Entry(NamedTuple):
    """Rows that were appended and are not in the rings yet: times[rows] in seconds, kept[rows, layout.columns]."""

    layout: Layout
    times: Values
    kept: Values


class Windows(Rings):
    """Which series are kept, by whom they are sent, and what was appended."""

    def __init__(self, array: SlotArray, *, initial: int, limit: int) -> None:
        super().__init__(initial=initial, limit=limit)
        self.pending: list[Entry] = []
        self.array = array
        self.sources: list[Source | None] = [None]
        self.source: Slots = np.zeros(1024, np.int64)  # by slot

    # -- who is kept ---------------------------------------------------------------------------------------------

    def own(self, slots: Slots, source: Source) -> None:
        """Note that these slots are of this source."""
        top = int(slots.max(initial=0)) + 1
        self.track = fit(self.track, top)
        self.row = fit(self.row, top)
        self.source = fit(self.source, top)
        self.source[slots] = source.number

    def keep(self, slots: Slots, span: float) -> None:
        """Keep these slots' samples for at least `span` milliseconds from now on; the current one is the first."""
        self.flush()
        slots = slots[self.span[self.track[slots]] < span]
        if not len(slots):
            return
        before = self.track[slots]
        tracks = self._tracks_for(self.source[slots], span)
        self._attach(slots, tracks, before)
        self._seed(slots[before == 0], tracks[before == 0])
        self._touched(np.unique(self.source[slots]))

    def _seed(self, slots: Slots, tracks: Slots) -> None:
        """Write the current samples to rings that are new, as the newest of their tracks."""
        empty = np.unique(tracks[self.head[tracks] == 0])
        for track in empty.tolist():
            source = self.sources[int(self.track_source[track])]
            if source is not None and source.last > GONE:
                self.arena.put(self.time_row[track : track + 1], np.array([source.last]))
                self.head[track] = 1
                self.arena.put(self.row[slots[tracks == track]], np.full(int((tracks == track).sum()), STALE))
        last = np.maximum(self.head[tracks] - 1, 0)
        current = (self.head[tracks] > 0) & (self.array.times[slots] == self.time(tracks, last))
        slots, tracks, last = slots[current], tracks[current], last[current]
        self.arena.put(self.row[slots] + last % self.capacity[tracks], self.array.values[slots])

    def drop(self, slots: Slots) -> None:
        """Keep these slots' samples no longer."""
        self.flush()
        slots = slots[self.track[slots] > 0]
        if not len(slots):
            return
        tracks = self.track[slots]
        self._free_rows(slots, tracks)
        self.track[slots] = 0
        np.subtract.at(self.members, tracks, 1)
        self._touched(np.unique(self.source[slots]))
        self._free_unused(np.unique(tracks))

    def _free_rows(self, slots: Slots, tracks: Slots) -> None:
        capacities = self.capacity[tracks]
        for capacity in np.unique(capacities).tolist():
            self.arena.give(capacity, self.row[slots[capacities == capacity]])

    def _touched(self, sources: Slots) -> None:
        self.changes += 1
        for number in sources.tolist():
            source = self.sources[number]
            if source is not None and source.layout is not None:
                self.arrange(source, source.layout)

    def arrange(self, source: Source, layout: Layout) -> None:
        """Work out which columns of this layout are kept."""
        tracks = self.track[layout.slots]
        columns = np.flatnonzero(tracks)
        gone = np.array([slot for slot, _ in source.gone.values()], np.int64)
        layout.kept = np.concatenate((layout.slots[columns], gone[self.track[gone] > 0]))
        layout.tracks = np.unique(self.track[layout.kept])
        layout.columns = columns if len(layout.kept) else None

    # -- tracks --------------------------------------------------------------------------------------------------

    def _tracks_for(self, sources: Slots, span: float) -> Slots:
        """Return the track of this span for each source; makes those that are missing."""
        unique, inverse = np.unique(sources, return_inverse=True)
        found = [self._by_source.get((source, span), 0) for source in unique.tolist()]
        missing = [index for index, track in enumerate(found) if not track]
        for index, track in zip(missing, self._new_tracks(unique[missing], span), strict=True):
            found[index] = track
        return np.array(found, np.int64)[inverse]

    def _attach(self, slots: Slots, tracks: Slots, before: Slots) -> None:
        """Give the slots rings in their tracks, with what their former rings held."""
        for old, new in {(o, n) for o, n in zip(before.tolist(), tracks.tolist(), strict=True) if o}:
            if self.head[new] == 0:
                self._inherit(old, new)
        capacities = self.capacity[tracks]
        old_rows = self.row[slots]
        for capacity in np.unique(capacities).tolist():
            here = np.flatnonzero(capacities == capacity)
            rows = self.arena.take(capacity, len(here))
            self.row[slots[here]] = rows
            used = here[self.head[tracks[here]] > 0]
            if len(used):
                blank = self.row[slots[used]][:, None] + np.arange(capacity)
                self.arena.put(blank, np.full(blank.shape, STALE))
        self.track[slots] = tracks
        np.add.at(self.members, tracks, 1)
        np.subtract.at(self.members, before, 1)
        for index in np.flatnonzero(before).tolist():
            old, new = int(before[index]), int(tracks[index])
            self._copy(old, int(old_rows[index]), new, int(self.row[slots[index]]))
            self.arena.give(int(self.capacity[old]), old_rows[index : index + 1])
        if before.any():
            self._free_unused(np.unique(before[before > 0]))

    # -- saving --------------------------------------------------------------------------------------------------

    def saved(self, size: int) -> dict[str, NDArray[Any]]:
        self.flush()
        return {**super().saved(size), "source": fit(self.source, size)[:size]}

    def restored(self, arrays: dict[str, NDArray[Any]], tracks: int, births: int) -> None:
        super().restored(arrays, tracks, births)
        self.pending = []
        self.source = arrays["source"]

    # -- writing -------------------------------------------------------------------------------------------------

    def note(self, layout: Layout, times: Values, kept: Values) -> None:
        """Take rows, to be written at the next flush; `kept` are the values of `layout.columns`, and is not copied."""
        self.pending.append(Entry(layout, times, kept))
        if len(self.pending) >= _PENDING:
            self.flush()

    def write(self, layouts: Sequence[Layout], times: Values, kept: Values) -> None:
        """Take one row of each of several sources: its time in seconds, and what `columns` of its layout kept, all
        one after the other.
        """
        self.flush()
        gone = [len(layout.kept) - len(layout.columns) for layout in layouts if layout.columns is not None]
        if any(gone):
            places = np.cumsum([len(layout.columns) for layout in layouts if layout.columns is not None])
            kept = np.insert(kept, np.repeat(places, gone), STALE)
        self._write(layouts, np.rint(times * 1000), kept)

    def flush(self) -> None:
        """Write what was noted to the rings."""
        pending, self.pending = self.pending, []
        rounds: list[list[Entry]] = []
        turn: dict[int, int] = {}
        for entry in pending:
            if len(entry.times) > _BLOCK:
                self._write_rounds(rounds)
                rounds, turn = [], {}
                self._write_block(entry)
                continue
            at = turn.get(entry.layout.source.number, 0)
            for row in range(len(entry.times)):
                while len(rounds) <= at:
                    rounds.append([])
                rounds[at].append(Entry(entry.layout, entry.times[row : row + 1], entry.kept[row]))
                at += 1
            turn[entry.layout.source.number] = at
        self._write_rounds(rounds)

    def _write_rounds(self, rounds: list[list[Entry]]) -> None:
        for entries in rounds:
            times = np.rint(np.concatenate([entry.times for entry in entries]) * 1000)
            values = np.concatenate([self._padded(entry.kept, entry.layout) for entry in entries])
            self._write([entry.layout for entry in entries], times, values)

    def _write(self, layouts: Sequence[Layout], times: Values, values: Values) -> None:
        """Write one row of each of several sources."""
        tracks = np.concatenate([layout.tracks for layout in layouts])
        times = np.repeat(times, [len(layout.tracks) for layout in layouts])
        self._make_room(tracks, times)
        slots = np.concatenate([layout.kept for layout in layouts])
        of = self.track[slots]
        self.arena.put(self.row[slots] + self.head[of] % self.capacity[of], values)
        self.arena.put(self.time_row[tracks] + self.head[tracks] % self.capacity[tracks], times)
        self.head[tracks] += 1

    def _write_block(self, entry: Entry) -> None:
        """Write many rows of one source: of each ring's span, what will be in it when the last row is written."""
        layout = entry.layout
        times = np.rint(entry.times * 1000)
        values = self._padded(entry.kept, layout)
        for track in layout.tracks.tolist():
            self._make_block_room(track, times)
            capacity, head = int(self.capacity[track]), int(self.head[track])
            first = max(0, len(times) - capacity)
            positions = (head + np.arange(first, len(times))) % capacity
            rows = np.flatnonzero(self.track[layout.kept] == track)
            self.arena.put(self.row[layout.kept[rows]][:, None] + positions, values[first:, rows].T)
            self.arena.put(self.time_row[track] + positions, times[first:])
            self.head[track] += len(times)

    @staticmethod
    def _padded(kept: Values, layout: Layout) -> Values:
        """Return the values with stale markers for the series that are gone."""
        gone = len(layout.kept) - kept.shape[-1]
        if not gone:
            return kept
        return np.concatenate((kept, np.full((*kept.shape[:-1], gone), STALE)), axis=-1)
