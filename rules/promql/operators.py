"""What the arithmetic and comparison operators do to two arrays of numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rules.promql.vec import Floats, Mask

ARITHMETIC: Final[dict[str, Callable[[Floats, Floats], Floats]]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
    "^": np.power,
    "atan2": np.arctan2,
}
COMPARISON: Final[dict[str, Callable[[Floats, Floats], Mask]]] = {
    "==": np.equal,
    "!=": np.not_equal,
    ">": np.greater,
    "<": np.less,
    ">=": np.greater_equal,
    "<=": np.less_equal,
}
SETS: Final = ("and", "or", "unless")


def floats(values: NDArray[np.generic]) -> Floats:
    """Return the values as float64."""
    return values.astype(np.float64)
