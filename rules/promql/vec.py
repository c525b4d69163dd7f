"""What nodes evaluate to, and what they are evaluated in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rules.errors import EvaluationError
from rules.promql.frames import Frame

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

SAME_LABELS: Final = "vector cannot contain metrics with the same labelset"


@dataclass(slots=True, eq=False)
class Vec:
    """A vector: a value for each element of the frame, of which those in the mask are there; the rest is undefined.

    `order` gives the positions of those that are there in the order in which they are to be shown, where it matters.
    """

    frame: Frame
    values: Floats
    mask: Mask
    order: NDArray[np.int64] | None = None

    def checked(self) -> Vec:
        """Return this vector.

        Raises:
            EvaluationError: two of its elements have the same labels.
        """
        if self.frame.clashes(self.mask):
            raise EvaluationError(SAME_LABELS)
        return self

    def nameless(self) -> Vec:
        """Return the vector without metric names.

        Raises:
            EvaluationError: two of its elements have the same labels then.
        """
        return Vec(self.frame.nameless(), self.values, self.mask, self.order).checked()

    def positions(self) -> NDArray[np.int64]:
        """Return the positions of the elements that are there."""
        return np.flatnonzero(self.mask) if self.order is None else self.order

    def with_values(self, values: Floats) -> Vec:
        """Return the same elements with other values."""
        return Vec(self.frame, values, self.mask, self.order)

    def where(self, mask: Mask) -> Vec:
        """Return those of the elements that are in this mask."""
        order = None if self.order is None else self.order[mask[self.order]]
        return Vec(self.frame, self.values, self.mask & mask, order)


@dataclass(frozen=True, slots=True)
class Moment:
    """When an expression is evaluated, and the bounds of the query that it is a step of; Unix milliseconds."""

    at: float
    start: float
    end: float
