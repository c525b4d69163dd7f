"""Samples of many series as a matrix, as the range functions take them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rules.promql.keys import Ids
from rules.promql.vec import Floats, Mask
from rules.rings import is_stale

if TYPE_CHECKING:
    from rules.windows import Windows


class Block:
    """`counts[i]` samples of series i in `values[i]`, oldest first; what follows them is undefined (see `mask`)."""

    __slots__ = ("_mask", "_order", "_times", "counts", "values")

    def __init__(self, values: Floats, valid: Mask | None, counts: Ids, times: Floats | _Times) -> None:
        self._times = times
        self._order: Ids | None = None
        self._mask: Mask | None = None
        self.values = values
        self.counts = counts
        if valid is not None:
            self._order = np.argsort(~valid, axis=1, kind="stable")
            self.values = np.take_along_axis(values, self._order, axis=1)
            self.counts = valid.sum(axis=1)

    @classmethod
    def read(cls, windows: Windows, tracks: Ids, rows: Ids, low: Ids, high: Ids) -> Block:
        """Return the samples with counters [low, high) of these rings."""
        width = int((high - low).max(initial=0))
        counters = low[:, None] + np.arange(width)
        at = counters % windows.capacity[tracks][:, None]
        there = counters < high[:, None]
        at[~there] = 0
        values = windows.arena.rows(rows, at)
        valid = None
        if np.isnan(values).any():
            stale = is_stale(values) & there
            valid = there & ~stale if stale.any() else None
        return cls(values, valid, high - low, _Times(windows, tracks, at))

    @property
    def mask(self) -> Mask:
        """Which of the values are samples."""
        if self._mask is None:
            self._mask = np.arange(self.values.shape[1]) < self.counts[:, None]
        return self._mask

    @property
    def times(self) -> Floats:
        """The times of the samples, in ms."""
        if isinstance(self._times, _Times):
            self._times = self._times.read()
        if self._order is not None:
            self._times = np.take_along_axis(self._times, self._order, axis=1)
            self._order = None
        return self._times

    def filled(self, blank: float) -> Floats:
        """Return the values, with this one where there is no sample."""
        return np.where(self.mask, self.values, blank)

    def at(self, index: Ids) -> Floats:
        """Return one value of each series; a negative index counts from its end. Undefined where there is none."""
        return self.values[self._place(index)]

    def time_at(self, index: Ids) -> Floats:
        """Return the time of one sample of each series."""
        return self.times[self._place(index)]

    def _place(self, index: Ids) -> tuple[Ids, Ids]:
        columns = np.where(index < 0, index + self.counts, index)
        return np.arange(len(self.counts)), np.minimum(np.maximum(columns, 0), max(self.values.shape[1] - 1, 0))


class _Times:
    """The times of a block that nobody has asked for yet."""

    __slots__ = ("_at", "_tracks", "_windows")

    def __init__(self, windows: Windows, tracks: Ids, at: Ids) -> None:
        self._windows = windows
        self._tracks = tracks
        self._at = at

    def read(self) -> Floats:
        return self._windows.arena.rows(self._windows.time_row[self._tracks], self._at)
