"""Ring buffers of samples, by series and by track.

A *track* is the common time axis of the series of one source that are kept for the same span: their rings have one
capacity and one head, and the times are stored once for all of them. A ring starts small and is made as large as the
rate asks for, once it is full and its oldest sample is still wanted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rules.arena import MAX_CAPACITY, Addresses, Arena, capacity_for
from rules.growing import fit
from rules.slots import Slots, Values

STALE_BITS: Final = 0x7FF0000000000002  # Prometheus' stale marker, a NaN
STALE: Final = np.array([STALE_BITS], np.int64).view(np.float64)[0]
FOREVER: Final = np.inf


def is_stale(values: Values) -> NDArray[np.bool_]:
    """Return where the values are stale markers."""
    stale: NDArray[np.bool_] = values.view(np.int64) == STALE_BITS
    return stale


class Rings:
    """Arrays by slot and by track; track 0 stands for "not kept"."""

    def __init__(self, *, initial: int, limit: int) -> None:
        self.arena = Arena()
        self._initial = capacity_for(initial)
        self._limit = min(limit, MAX_CAPACITY)
        self.changes = 0  # how often rings were given, moved or taken away
        self.truncated = 0  # rings that are at the limit and hold less than their span
        self.track: Slots = np.zeros(1024, np.int64)  # by slot
        self.row: Addresses = np.zeros(1024, np.int64)  # by slot
        self.tracks = 1
        self.head: Slots = np.zeros(64, np.int64)  # by track: samples that were ever written
        self.capacity: Slots = np.ones(64, np.int64)
        self.time_row: Addresses = np.zeros(64, np.int64)
        self.span: Values = np.zeros(64)
        self.track_source: Slots = np.zeros(64, np.int64)
        self.born: Slots = np.zeros(64, np.int64)  # by track: a number that no track had before
        self.births = 0
        self.members: Slots = np.zeros(64, np.int64)  # by track: slots that are kept in it
        self.arena.take(self._initial, 1)  # address 0 is nobody's, as track 0 is
        self._by_source: dict[tuple[int, float], int] = {}
        self._free_tracks: list[int] = []

    def time(self, tracks: Slots, counters: Slots) -> Values:
        """Return the times of these samples, each of a track."""
        return self.arena.get(self.time_row[tracks] + counters % self.capacity[tracks])

    def _new_tracks(self, sources: Slots, span: float) -> list[int]:
        count = len(sources)
        reused = [self._free_tracks.pop() for _ in range(min(count, len(self._free_tracks)))]
        tracks = reused + list(range(self.tracks, self.tracks + count - len(reused)))
        self.tracks += count - len(reused)
        for name in ("head", "capacity", "time_row", "span", "track_source", "born", "members"):
            setattr(self, name, fit(getattr(self, name), self.tracks))
        self.head[tracks] = 0
        self.born[tracks] = self.births + 1 + np.arange(count)
        self.births += count
        self.span[tracks] = span
        self.track_source[tracks] = sources
        self.capacity[tracks] = self._initial
        self.time_row[tracks] = self.arena.take(self._initial, count)
        self._by_source.update(((source, span), track) for source, track in zip(sources.tolist(), tracks, strict=True))
        return tracks

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

    def _free_unused(self, tracks: Slots) -> None:
        for track in tracks[self.members[tracks] == 0].tolist():
            self.arena.give(int(self.capacity[track]), self.time_row[track : track + 1])
            del self._by_source[int(self.track_source[track]), float(self.span[track])]
            self.span[track] = self.head[track] = 0
            self._free_tracks.append(track)

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
        self.time_row[tracks] = self._moved(self.time_row[tracks], self.head[tracks], old, new, blank=-np.inf)
        self.capacity[tracks] = new

    def _moved(self, rows: Addresses, heads: Slots, old: int, new: int, *, blank: float | None = None) -> Addresses:
        """Copy rows; `blank` is what stands for samples that the larger row could hold and the old one had lost."""
        targets = self.arena.take(new, len(rows))
        if blank is not None:
            self.arena.put(targets[:, None] + np.arange(new), np.full((len(rows), new), blank))
        counters = heads[:, None] - np.arange(old, 0, -1)
        held = counters >= 0
        values = self.arena.rows(rows, counters % old)
        self.arena.put((targets[:, None] + counters % new)[held], values[held])
        self.arena.give(old, rows)
        return targets

    # -- saving --------------------------------------------------------------------------------------------------

    def saved(self, size: int) -> dict[str, NDArray[Any]]:
        """Return the state as arrays; `size` is the number of slots."""
        count = self.tracks
        arrays: dict[str, NDArray[Any]] = {"track": fit(self.track, size)[:size]}
        arrays |= {name: getattr(self, name)[:count] for name in ("head", "capacity", "span", "track_source", "born")}
        rings = [self._held(rows, heads, capacity) for capacity, rows, heads, _ in self._rings()]
        arrays["rings"] = np.concatenate([ring.ravel() for ring in rings]) if rings else np.zeros(0)
        return arrays

    def _rings(self) -> Iterator[tuple[int, Addresses, Slots, tuple[Slots, Slots]]]:
        """Yield for each capacity the rows, their heads, and whose they are: tracks' times, then slots' values."""
        tracks = np.flatnonzero(self.span[: self.tracks] > 0)
        slots = np.flatnonzero(self.track)
        of_tracks, of_slots = self.capacity[tracks], self.capacity[self.track[slots]]
        for capacity in np.unique(of_tracks).tolist():
            mine, kept = tracks[of_tracks == capacity], slots[of_slots == capacity]
            rows = np.concatenate((self.time_row[mine], self.row[kept]))
            yield capacity, rows, np.concatenate((self.head[mine], self.head[self.track[kept]])), (mine, kept)

    def _held(self, rows: Addresses, heads: Slots, capacity: int) -> Values:
        """Return what the rows hold, zero where nothing was written yet."""
        places = np.arange(capacity)
        values = self.arena.rows(rows, np.broadcast_to(places, (len(rows), capacity)))
        values[places >= heads[:, None]] = 0
        return values

    def restored(self, arrays: dict[str, NDArray[Any]], tracks: int, births: int) -> None:
        """Take over a state that was saved."""
        self.arena = Arena()
        self.arena.take(self._initial, 1)
        for name in ("track", "head", "capacity", "span", "track_source", "born"):
            setattr(self, name, arrays[name])
        self.tracks, self.births = tracks, births
        self.members = np.bincount(self.track, minlength=tracks)
        self.row, self.time_row = np.zeros_like(self.track), np.zeros_like(self.head)
        in_use = self.span > 0
        self._free_tracks = np.flatnonzero(~in_use)[1:].tolist()
        keys = zip(self.track_source[in_use].tolist(), self.span[in_use].tolist(), strict=True)
        self._by_source = dict(zip(keys, np.flatnonzero(in_use).tolist(), strict=True))
        at = 0
        for capacity, rows, _, (mine, kept) in self._rings():
            fresh = self.arena.take(capacity, len(rows))
            values = arrays["rings"][at : at + len(rows) * capacity].reshape(len(rows), capacity)
            self.arena.put(fresh[:, None] + np.arange(capacity), values)
            self.time_row[mine], self.row[kept] = fresh[: len(mine)], fresh[len(mine) :]
            at += values.size
        self.changes += 1

    def memory(self, slots: Slots) -> int:
        """Return the bytes of the rings of these slots, and of their times."""
        tracks = self.track[slots]
        times = int(self.capacity[np.unique(tracks[tracks > 0])].sum())
        return 8 * (int(self.capacity[tracks[tracks > 0]].sum()) + times)

    def nbytes(self) -> int:
        """Return the memory of the rings and of what leads to them."""
        by_track = (self.head, self.capacity, self.time_row, self.span, self.track_source, self.born, self.members)
        return self.arena.nbytes() + sum(array.nbytes for array in (self.track, self.row, *by_track))
