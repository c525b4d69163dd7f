"""Arrays that grow at the end."""

from __future__ import annotations

from typing import Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

T = TypeVar("T", bound=np.generic)


def fit(array: NDArray[T], size: int) -> NDArray[T]:
    """Return the array, or a copy with room for `size` and half as much again; what is added is zero."""
    if size <= len(array):
        return array
    larger = np.zeros(max(size, len(array) + len(array) // 2), array.dtype)
    larger[: len(array)] = array
    return larger


class Growing(Generic[T]):
    """An array with room to spare; `view` is the part in use, and stays valid as it was when the array grows."""

    __slots__ = ("_array", "_size", "view")

    def __init__(self, dtype: type[T]) -> None:
        self._array: NDArray[T] = np.zeros(0, dtype)
        self._size = 0
        self.view: NDArray[T] = self._array

    def __len__(self) -> int:
        return self._size

    def extend(self, values: ArrayLike) -> None:
        """Add values at the end."""
        added = np.asarray(values, self._array.dtype)
        end = self._size + len(added)
        self._array = fit(self._array, end)
        self._array[self._size : end] = added
        self._size = end
        self.view = self._array[:end]
