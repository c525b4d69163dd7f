"""Numbers for 64-bit keys, given out in the order of first appearance, for arrays that mostly repeat."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from rules.labels import Hashes

Ids = NDArray[np.int64]

_FEW: Final = 64


class Keys:
    """Maps keys to 0, 1, 2 …; a sorted array for the many, a dict for what joined since."""

    __slots__ = ("_keys", "_numbers", "_recent", "count")

    def __init__(self) -> None:
        self._keys: Hashes = np.zeros(0, np.uint64)
        self._numbers: Ids = np.zeros(0, np.int64)
        self._recent: dict[int, int] = {}
        self.count = 0

    def ids(self, keys: Hashes) -> Ids:
        """Return the number of each key, new ones where they were never seen."""
        ids = self._sorted(keys)
        missing = np.flatnonzero(ids < 0)
        if len(missing) <= _FEW:
            ids[missing] = [self._one(key) for key in keys[missing].tolist()]
            return ids
        self._merge(keys[missing])
        return self._sorted(keys)

    def _sorted(self, keys: Hashes) -> Ids:
        if not len(self._keys):
            return np.full(len(keys), -1, np.int64)
        at = np.searchsorted(self._keys, keys)
        at[at == len(self._keys)] = 0
        return np.where(self._keys[at] == keys, self._numbers[at], -1)

    def _one(self, key: int) -> int:
        number = self._recent.get(key)
        if number is None:
            number = self._recent[key] = self.count
            self.count += 1
        return number

    def _merge(self, keys: Hashes) -> None:
        recent = np.fromiter(self._recent, np.uint64, len(self._recent))
        numbers = np.fromiter(self._recent.values(), np.int64, len(self._recent))
        unique, first = np.unique(keys, return_index=True)
        fresh = ~np.isin(unique, recent)
        unique, first = unique[fresh], first[fresh]
        order = np.empty(len(unique), np.int64)
        order[np.argsort(first)] = np.arange(len(unique))
        every = np.concatenate((self._keys, recent, unique))
        given = np.concatenate((self._numbers, numbers, self.count + order))
        sort = np.argsort(every)
        self._keys, self._numbers = every[sort], given[sort]
        self._recent.clear()
        self.count += len(unique)
