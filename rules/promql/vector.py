"""What a query answers with: values, and labels that are made when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from rules.labels import Labels, Strings
from rules.promql.frames import Frame, Listed
from rules.promql.vec import Vec


class LabelSequence(Sequence[Labels]):
    """The label sets of a vector's elements; one is made when it is asked for, and then kept with its frame."""

    __slots__ = ("_frame", "_positions")

    def __init__(self, frame: Frame, positions: NDArray[np.int64]) -> None:
        self._frame = frame
        self._positions = positions

    def __len__(self) -> int:
        return len(self._positions)

    @overload
    def __getitem__(self, index: int) -> Labels: ...
    @overload
    def __getitem__(self, index: slice) -> LabelSequence: ...
    def __getitem__(self, index: int | slice) -> Labels | LabelSequence:
        if isinstance(index, slice):
            return LabelSequence(self._frame, self._positions[index])
        return self._frame.labels(int(self._positions[index]))

    def __iter__(self) -> Iterator[Labels]:
        return map(self._frame.labels, self._positions.tolist())


class Vector:
    """An instant vector: `labels[i]` has the value `values[i]`.

    `frame` and `positions` say the same by number, for those who keep something for each element: while the frame is
    the same object, a position always stands for the same labels.
    """

    __slots__ = ("frame", "labels", "positions", "values")

    def __init__(self, frame: Frame, positions: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        self.frame = frame
        self.positions = positions
        self.values = values
        self.labels = LabelSequence(frame, positions)

    @classmethod
    def of(cls, vec: Vec) -> Vector:
        """Return what is there of a node's result."""
        positions = vec.positions()
        return cls(vec.frame, positions, vec.values[positions])

    @classmethod
    def make(cls, strings: Strings, labels: Sequence[Mapping[str, str]], values: Sequence[float]) -> Vector:
        """Return a vector of these elements, for `Fleet.record`; `strings` are the fleet's."""
        frame = Listed(strings, [dict(each) for each in labels])
        return cls(frame, np.arange(len(labels)), np.array(values, np.float64))

    def __len__(self) -> int:
        return len(self.positions)

    def __iter__(self) -> Iterator[tuple[Labels, float]]:
        return zip(self.labels, self.values.tolist(), strict=True)

    def __repr__(self) -> str:
        return f"Vector({', '.join(f'{labels!r} {value!r}' for labels, value in self)})"
