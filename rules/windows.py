"""Ring buffers for the series that an expression looks back on.

A *track* is the common time axis of the series of one source that are kept for the same span: their rings have one
capacity and one head, and the times are stored once for all of them. What is appended is noted and written to the
rings all together, when somebody looks (`flush`). A ring starts small and is made as large as the rate asks for, once
it is full and its oldest sample is still wanted.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rules.arena import MAX_CAPACITY, Addresses, Arena, capacity_for
from rules.growing import fit
from rules.layouts import Layout, Source
from rules.slots import Slots, Values

STALE_BITS: Final = 0x7FF0000000000002  # Prometheus' stale marker, a NaN
STALE: Final = np.array([STALE_BITS], np.int64).view(np.float64)[0]
FOREVER: Final = np.inf
_PENDING: Final = 4096
_BLOCK: Final = 8  # rows of one append that are worth a path of their own


class Entry(NamedTuple):
    """Rows that were appended and are not in the rings yet: times[rows] in seconds, kept[rows, layout.columns]."""

    layout: Layout
    times: Values
    kept: Values


def is_stale(values: Values) -> NDArray[np.bool_]:
    """Return where the values are stale markers."""
    stale: NDArray[np.bool_] = values.view(np.int64) == STALE_BITS
    return stale


class Windows:
    """The rings of all series; arrays by slot and by track. Track 0 stands for "not kept"."""

    def __init__(self, *, initial: int, limit: int, nan_is_stale: bool) -> None:
        self.arena = Arena()
        self.pending: list[Entry] = []
        self.sources: list[Source | None] = [None]
        self._initial = capacity_for(initial)
        self._limit = min(limit, MAX_CAPACITY)
        self._nan_is_stale = nan_is_stale
        self.changes = 0  # how often rings were given, moved or taken away
        self.truncated = 0  # rings that are at the limit and hold less than their span
        self.track: Slots = np.zeros(1024, np.int64)  # by slot
        self.row: Addresses = np.zeros(1024, np.int64)  # by slot
        self.source: Slots = np.zeros(1024, np.int64)  # by slot
        self.tracks = 1
        self.head: Slots = np.zeros(64, np.int64)  # by track: samples that were ever written
        self.capacity: Slots = np.ones(64, np.int64)
        self.time_row: Addresses = np.zeros(64, np.int64)
        self.span: Values = np.zeros(64)
        self.track_source: Slots = np.zeros(64, np.int64)
        self.born: Slots = np.zeros(64, np.int64)  # by track: a number that no track had before
        self._births = 0
        self.arena.take(self._initial, 1)  # address 0 is nobody's, as track 0 is
        self._by_source: dict[tuple[int, float], int] = {}
        self._free_tracks: list[int] = []

    # -- who is kept ---------------------------------------------------------------------------------------------

    def own(self, slots: Slots, source: Source) -> None:
        """Note that these slots are of this source."""
        top = int(slots.max(initial=0)) + 1
        self.track = fit(self.track, top)
        self.row = fit(self.row, top)
        self.source = fit(self.source, top)
        self.source[slots] = source.number

    def keep(self, slots: Slots, span: float) -> None:
        """Keep these slots' samples for at least `span` milliseconds from now on."""
        self.flush()
        slots = slots[self.span[self.track[slots]] < span]
        if not len(slots):
            return
        before = self.track[slots]
        tracks = self._tracks_for(self.source[slots], span)
        self._attach(slots, tracks, before)
        self._touched(np.unique(self.source[slots]))

    def drop(self, slots: Slots) -> None:
        """Keep these slots' samples no longer."""
        self.flush()
        slots = slots[self.track[slots] > 0]
        if not len(slots):
            return
        tracks = self.track[slots]
        self._free_rows(slots, tracks)
        self.track[slots] = 0
        self._touched(np.unique(self.source[slots]))
        self._free_unused(np.unique(tracks))

    def _free_rows(self, slots: Slots, tracks: Slots) -> None:
        capacities = self.capacity[tracks]
        for capacity in np.unique(capacities).tolist():
            self.arena.give(capacity, self.row[slots[capacities == capacity]])

    def _free_unused(self, tracks: Slots) -> None:
        used = np.unique(self.track)
        for track in np.setdiff1d(tracks, used).tolist():
            self.arena.give(int(self.capacity[track]), self.time_row[track : track + 1])
            del self._by_source[int(self.track_source[track]), float(self.span[track])]
            self.span[track] = self.head[track] = 0
            self._free_tracks.append(track)

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

    def _new_tracks(self, sources: Slots, span: float) -> list[int]:
        count = len(sources)
        reused = [self._free_tracks.pop() for _ in range(min(count, len(self._free_tracks)))]
        tracks = reused + list(range(self.tracks, self.tracks + count - len(reused)))
        self.tracks += count - len(reused)
        for name in ("head", "capacity", "time_row", "span", "track_source", "born"):
            setattr(self, name, fit(getattr(self, name), self.tracks))
        self.head[tracks] = 0
        self.born[tracks] = self._births + 1 + np.arange(count)
        self._births += count
        self.span[tracks] = span
        self.track_source[tracks] = sources
        self.capacity[tracks] = self._initial
        self.time_row[tracks] = self.arena.take(self._initial, count)
        self._by_source.update(((source, span), track) for source, track in zip(sources.tolist(), tracks, strict=True))
        return tracks

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
        for index in np.flatnonzero(before).tolist():
            old, new = int(before[index]), int(tracks[index])
            self._copy(old, int(old_rows[index]), new, int(self.row[slots[index]]))
            self.arena.give(int(self.capacity[old]), old_rows[index : index + 1])
        if before.any():
            self._free_unused(np.unique(before[before > 0]))

    def _inherit(self, old: int, new: int) -> None:
        """Start a new track with the times of another of the same source."""
        if self.capacity[new] != self.capacity[old]:
            self.arena.give(int(self.capacity[new]), self.time_row[new : new + 1])
            self.capacity[new] = self.capacity[old]
            self.time_row[new] = self.arena.take(int(self.capacity[old]), 1)[0]
        self.head[new] = self.head[old]
        self._copy(old, int(self.time_row[old]), new, int(self.time_row[new]))

    def _copy(self, old: int, old_row: int, new: int, new_row: int) -> None:
        """Copy a row between tracks of one source, whose newest samples are the same."""
        count = int(min(self.head[old], self.capacity[old], self.head[new], self.capacity[new]))
        back = np.arange(count, 0, -1)
        values = self.arena.get(old_row + (self.head[old] - back) % self.capacity[old])
        self.arena.put(new_row + (self.head[new] - back) % self.capacity[new], values)

    def time(self, tracks: Slots, counters: Slots) -> Values:
        """Return the times of these samples, each of a track."""
        return self.arena.get(self.time_row[tracks] + counters % self.capacity[tracks])

    # -- writing -------------------------------------------------------------------------------------------------

    def note(self, layout: Layout, times: Values, kept: Values) -> None:
        """Take rows, to be written at the next flush; `kept` are the values of `layout.columns`, and is not copied."""
        self.pending.append(Entry(layout, times, kept))
        if len(self.pending) >= _PENDING:
            self.flush()

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
            self._write(entries)

    def _write(self, entries: list[Entry]) -> None:
        """Write one row of each of several sources."""
        times = np.rint(np.concatenate([entry.times for entry in entries]) * 1000)
        counts = [len(entry.layout.tracks) for entry in entries]
        tracks = np.concatenate([entry.layout.tracks for entry in entries])
        times = np.repeat(times, counts)
        self._make_room(tracks, times)
        slots = np.concatenate([entry.layout.kept for entry in entries])
        values = np.concatenate([self._padded(entry.kept, entry.layout) for entry in entries])
        of = self.track[slots]
        self.arena.put(self.row[slots] + self.head[of] % self.capacity[of], self._marked(values))
        self.arena.put(self.time_row[tracks] + self.head[tracks] % self.capacity[tracks], times)
        self.head[tracks] += 1

    def _write_block(self, entry: Entry) -> None:
        """Write many rows of one source: of each ring's span, what will be in it when the last row is written."""
        layout = entry.layout
        times = np.rint(entry.times * 1000)
        values = self._marked(self._padded(entry.kept, layout))
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

    def _marked(self, values: Values) -> Values:
        """Return the values with a stale marker for "no value"."""
        if self._nan_is_stale:
            missing = np.isnan(values)
            if missing.any():
                values = values.copy()
                values[missing] = STALE
        return values

    # -- room ----------------------------------------------------------------------------------------------------

    def _make_room(self, tracks: Slots, times: Values) -> None:
        """Enlarge the rings whose oldest sample would be overwritten though it is still wanted at these times."""
        full = self.head[tracks] >= self.capacity[tracks]
        if not full.any():
            return
        tracks, times = tracks[full], times[full]
        capacity = self.capacity[tracks]
        oldest = self.arena.get(self.time_row[tracks] + self.head[tracks] % capacity)
        crowded = oldest > times - self.span[tracks]
        if not crowded.any():
            return
        tracks, capacity = tracks[crowded], capacity[crowded]
        interval = (times - oldest)[crowded] / capacity
        with np.errstate(all="ignore"):
            wanted = np.fmax(self.span[tracks] / interval * 1.05 + 2, capacity * 1.25)
        wanted = np.where(np.isinf(wanted), capacity * 2, wanted)
        self._enlarge(tracks, wanted)

    def _make_block_room(self, track: int, times: Values) -> None:
        capacity, head = int(self.capacity[track]), int(self.head[track])
        start = times[-1] - self.span[track]
        held = (head - np.arange(min(head, capacity), 0, -1)) % capacity
        kept = int((self.arena.get(self.time_row[track] + held) > start).sum() + (times > start).sum())
        if kept > capacity:
            self._enlarge(np.array([track]), np.array([kept * 1.125]))

    def _enlarge(self, tracks: Slots, wanted: Values) -> None:
        limited = np.minimum(wanted, self._limit).astype(np.int64).tolist()
        target = np.array([min(capacity_for(samples), self._limit) for samples in limited])
        growing = target > self.capacity[tracks]
        self.truncated += int((~growing).sum())
        tracks, target = tracks[growing], target[growing]
        sizes = self.capacity[tracks] * (MAX_CAPACITY + 1) + target
        for size in np.unique(sizes):
            self._move(tracks[sizes == size], int(size // (MAX_CAPACITY + 1)), int(size % (MAX_CAPACITY + 1)))
        self.changes += 1

    def _move(self, tracks: Slots, old: int, new: int) -> None:
        """Move the rings of tracks of one capacity to larger rows."""
        chosen = np.zeros(self.tracks, np.bool_)
        chosen[tracks] = True
        slots = np.flatnonzero(chosen[self.track])
        self.row[slots] = self._moved(self.row[slots], self.head[self.track[slots]], old, new)
        self.time_row[tracks] = self._moved(self.time_row[tracks], self.head[tracks], old, new)
        self.capacity[tracks] = new

    def _moved(self, rows: Addresses, heads: Slots, old: int, new: int) -> Addresses:
        targets = self.arena.take(new, len(rows))
        counters = heads[:, None] - np.arange(old, 0, -1)
        held = counters >= 0
        values = self.arena.rows(rows, counters % old)
        self.arena.put((targets[:, None] + counters % new)[held], values[held])
        self.arena.give(old, rows)
        return targets

    def nbytes(self) -> int:
        """Return the memory of the rings and of what leads to them."""
        arrays = (
            self.track,
            self.row,
            self.source,
            self.head,
            self.capacity,
            self.time_row,
            self.span,
            self.track_source,
        )
        return self.arena.nbytes() + sum(array.nbytes for array in arrays)
