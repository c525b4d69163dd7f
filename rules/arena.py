"""Memory for ring buffers: rows of float64 of any capacity, cut from chunks of 32 MiB and used again by capacity.

A row's address is (chunk << SHIFT) + offset, so that rows of all capacities can be read and written together.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Addresses = NDArray[np.int64]

SHIFT: Final = 22
SIZE: Final = 1 << SHIFT
_OFFSET: Final = SIZE - 1
MAX_CAPACITY: Final = SIZE


def capacity_for(samples: int) -> int:
    """Return the capacity that is used for so many samples: steps of an eighth, so that rows can be used again."""
    step = 8
    while samples > 16 * step:
        step *= 2
    return min(max(8, -(-samples // step) * step), MAX_CAPACITY)


class Arena:
    """Allocates rows, and gathers and scatters over many of them at once."""

    def __init__(self) -> None:
        self._chunks: list[NDArray[np.float64]] = []
        self._used = SIZE  # of the last chunk
        self._free: dict[int, list[int]] = {}
        self.samples = 0  # room in rows that are in use

    def take(self, capacity: int, count: int) -> Addresses:
        """Return the addresses of `count` rows; what is in them is undefined."""
        self.samples += capacity * count
        free = self._free.get(capacity, [])
        found = [free.pop() for _ in range(min(count, len(free)))]
        parts = [np.array(found, np.int64)]
        count -= len(found)
        while count:
            if self._used + capacity > SIZE:
                self._chunks.append(np.empty(SIZE))
                self._used = 0
            fitting = min(count, (SIZE - self._used) // capacity)
            start = ((len(self._chunks) - 1) << SHIFT) + self._used
            parts.append(start + capacity * np.arange(fitting, dtype=np.int64))
            self._used += fitting * capacity
            count -= fitting
        return np.concatenate(parts)

    def give(self, capacity: int, rows: Addresses) -> None:
        """Free rows of this capacity."""
        self.samples -= capacity * len(rows)
        self._free.setdefault(capacity, []).extend(rows.tolist())

    def get(self, addresses: Addresses) -> NDArray[np.float64]:
        """Return the values at the addresses, in their shape."""
        if len(self._chunks) == 1:
            whole: NDArray[np.float64] = self._chunks[0][addresses]
            return whole
        out = np.empty(addresses.shape)
        chunks = addresses >> SHIFT
        for chunk in self._among(chunks):
            here = chunks == chunk
            out[here] = self._chunks[chunk][addresses[here] & _OFFSET]
        return out

    def rows(self, rows: Addresses, positions: Addresses) -> NDArray[np.float64]:
        """Return for each row its values at `positions` (one line for each row)."""
        if len(self._chunks) == 1:
            whole: NDArray[np.float64] = self._chunks[0][rows[:, None] + positions]
            return whole
        out = np.empty(positions.shape)
        chunks = rows >> SHIFT
        for chunk in self._among(chunks):
            here = np.flatnonzero(chunks == chunk)
            out[here] = self._chunks[chunk][(rows[here] & _OFFSET)[:, None] + positions[here]]
        return out

    def put(self, addresses: Addresses, values: NDArray[np.float64]) -> None:
        """Write values to the addresses."""
        if len(self._chunks) == 1:
            self._chunks[0][addresses] = values
            return
        chunks = addresses >> SHIFT
        for chunk in self._among(chunks):
            here = chunks == chunk
            self._chunks[chunk][addresses[here] & _OFFSET] = values[here]

    def nbytes(self) -> int:
        """Return the memory that rows in use take."""
        return 8 * self.samples

    def _among(self, chunks: Addresses) -> list[int]:
        """Return which chunks these are."""
        found: list[int] = np.flatnonzero(np.bincount(chunks.ravel(), minlength=len(self._chunks))).tolist()
        return found
