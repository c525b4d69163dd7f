"""Columns of float64 as integers that are exact to the bit, and those as small differences, and back.

Most measurements are whole multiples of a power of ten: counts, bytes, hundredths of a second. Such a column is kept as
integers and the operation that gives the very same float64 again. What no operation gives exactly (a true fraction, an
infinity, -0.0, a NaN that is no gap) is kept as the integer that has the float's bits.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]

BITS: Final = 15  # the code of a column whose integers are the bits of its floats
_EXACT: Final = float(1 << 53)

# How the integer becomes the float, by code: a division, or a multiplication as programs do that turn milliseconds,
# microseconds and nanoseconds into seconds. The two differ in the last bit.
_DIVISORS: Final[Floats] = 10.0 ** np.arange(10.0)
_FACTORS: Final[Floats] = np.array([1e-3, 1e-6, 1e-9])
_SCALES: Final[Floats] = np.concatenate([_DIVISORS, _FACTORS])
_DIVIDED: Final = len(_DIVISORS)
_SAMPLES: Final = 6


def to_integers(columns: Floats) -> tuple[NDArray[np.uint8], Ints]:
    """Return (code, integers) of each row of `columns`: the floats are `from_integers` of them, to the bit.

    A few values of each row propose a code, which mostly holds for all; where it does not, all values are asked.
    """
    codes = np.full(len(columns), BITS, np.uint8)
    integers = columns.view(np.int64).copy()
    left = np.arange(len(columns))
    for asked in (columns[:, :: max(1, columns.shape[1] // _SAMPLES)], columns):
        possible = _possible(np.ascontiguousarray(asked[left]))
        some = possible.any(axis=0)
        left, proposed = left[some], possible.argmax(axis=0)[some]
        for multiplied in (False, True):
            here = (proposed >= _DIVIDED) == multiplied
            rows, code = left[here], proposed[here]
            fits, found = _fits(columns[rows], _SCALES[code][:, None], multiplied=multiplied)
            whole = fits.all(axis=1)
            codes[rows[whole]] = code[whole]
            integers[rows[whole]] = found[whole]
        left = left[codes[left] == BITS]
        if not len(left):
            break
    return codes, integers


def from_integers(code: int, integers: Ints) -> Floats:
    """Return the floats of columns that have one code."""
    if code == BITS:
        return integers.view(np.float64)
    floats: Floats = integers / _DIVISORS[code] if code < _DIVIDED else integers * _FACTORS[code - _DIVIDED]
    return floats


def _possible(sample: Floats) -> NDArray[np.bool_]:
    """Return whether code c is possible for row r by its sample, as [codes, rows]."""
    divided, _ = _fits(sample[None], _DIVISORS[:, None, None], multiplied=False)
    multiplied, _ = _fits(sample[None], _FACTORS[:, None, None], multiplied=True)
    return np.concatenate([divided.all(axis=2), multiplied.all(axis=2)])


def _fits(columns: Floats, scale: Floats, *, multiplied: bool) -> tuple[NDArray[np.bool_], Ints]:
    """Return which floats come back from the nearest integer, and those integers."""
    with np.errstate(invalid="ignore", over="ignore"):
        nearest = np.rint(columns / scale if multiplied else columns * scale)
        integers = nearest.astype(np.int64)
        back = integers * scale if multiplied else integers / scale
    return (back.view(np.int64) == columns.view(np.int64)) & (np.abs(nearest) < _EXACT), integers


def zigzag(differences: Ints) -> NDArray[np.uint64]:
    """Return 0, 1, 2, 3, 4 … for 0, -1, 1, -2, 2 …"""
    return ((differences << 1) ^ (differences >> 63)).view(np.uint64)


def unzigzag(codes: Ints) -> Ints:
    """Return what `zigzag` was given."""
    return (codes.view(np.uint64) >> np.uint64(1)).view(np.int64) ^ -(codes & 1)


def differences(codes: NDArray[np.uint8], integers: Ints) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """Return (differences, their common divisors, whether they are of the second order) of each row.

    Each row has one difference fewer than integers; of the second order, the first of them is of the first. A divisor
    (memory comes in pages, disks in sectors) has been divided out. Arithmetic is modulo 2**64, which keeps bits exact.
    """
    first = np.diff(integers, axis=1)
    second = np.concatenate([first[:, :1], np.diff(first, axis=1)], axis=1)
    divisors = np.gcd.reduce(first, axis=1)
    divisors[(codes == BITS) | (divisors < 1)] = 1
    steady = 2 * _size(second) < _size(first)  # a counter at a steady rate
    first[steady] = second[steady]
    divided = np.flatnonzero(divisors > 1)
    first[divided] //= divisors[divided, None]
    return first, divisors, steady


def _size(differences: Ints) -> Floats:
    sizes: Floats = np.abs(differences.astype(np.float64)).sum(axis=1)
    return sizes


def integrate(first: Ints, differences: Ints, divisors: Ints, steady: NDArray[np.bool_]) -> Ints:
    """Return the integers that `differences` was given, by the first of each row."""
    integers = np.empty((len(first), differences.shape[1] + 1), np.int64)
    integers[:, 0] = first
    np.multiply(differences, divisors[:, None], out=integers[:, 1:])
    if steady.any():
        integers[steady, 1:] = integers[steady, 1:].cumsum(axis=1)
    return integers.cumsum(axis=1, out=integers)
