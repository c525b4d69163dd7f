"""Columns as integers: exact to the bit, whatever the floats."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from collector.history.integers import (
    BITS,
    Floats,
    differences,
    from_integers,
    integrate,
    to_integers,
    unzigzag,
    zigzag,
)

ANY_BITS = st.integers(-(2**63), 2**63 - 1)
MEASURED = st.one_of(
    st.integers(-(10**12), 10**12).map(float),
    st.integers(-(10**9), 10**9).map(lambda number: number / 100),
    st.integers(0, 10**9).map(lambda number: number * 1e-3),
    st.sampled_from([0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, 1.7976931348623157e308, 2.0**53, 2.0**53 + 2]),
    st.floats(),
)


def same(one: Floats, other: Floats) -> bool:
    """Whether two arrays have the same bits."""
    return np.array_equal(np.ascontiguousarray(one).view(np.int64), np.ascontiguousarray(other).view(np.int64))


@given(arrays.arrays(np.float64, arrays.array_shapes(min_dims=2, max_dims=2, max_side=20), elements=MEASURED))
def test_floats_come_back_to_the_bit(columns: Floats) -> None:
    codes, integers = to_integers(columns)
    for code, row, column in zip(codes.tolist(), integers, columns, strict=True):
        assert same(from_integers(code, row), column)


@pytest.mark.parametrize(
    ("column", "code"),
    [
        ([1.0, 2.0, 1e15], 0),
        ([0.25, 0.5, 0.75], 2),
        ([1281.22, 1281.23, 1290.0], 2),
        ([6.788, 6.789], 3),
        ([1795424802.376543, 1795424803.376544], 6),
        ([72 * 0.001, 73 * 0.001], 10),  # 0.072 and 0.07300000000000001 of one program, not 72 / 1000
        ([72 / 1000, 73 / 1000], 3),
        ([1.0, -0.0], BITS),
        ([1.0, np.inf], BITS),
        ([1.0, np.nan], BITS),
        ([1.0, 2.0**53], BITS),
        ([0.1, 1 / 3], BITS),
    ],
)
def test_the_simplest_code_that_is_exact_is_taken(column: list[float], code: int) -> None:
    codes, _ = to_integers(np.array([column]))
    assert codes.tolist() == [code]


def test_a_value_between_the_samples_is_not_overlooked() -> None:
    column = np.arange(600.0)
    for odd in (1, 37, 599):
        changed = column.copy()
        changed[odd] = 0.125
        codes, integers = to_integers(changed[None])
        assert codes.tolist() == [3]
        assert same(from_integers(3, integers[0]), changed)


@given(st.lists(ANY_BITS, min_size=1, max_size=50))
def test_zigzag_comes_back(numbers: list[int]) -> None:
    given_ = np.array(numbers, np.int64)
    assert np.array_equal(unzigzag(zigzag(given_).view(np.int64)), given_)


def test_zigzag_makes_small_numbers_of_small_differences() -> None:
    assert zigzag(np.array([0, -1, 1, -2, 2], np.int64)).tolist() == [0, 1, 2, 3, 4]


@given(arrays.arrays(np.int64, arrays.array_shapes(min_dims=2, max_dims=2, max_side=20), elements=ANY_BITS))
def test_bits_come_back_from_their_differences(integers: np.ndarray[tuple[int, int], np.dtype[np.int64]]) -> None:
    codes = np.full(len(integers), BITS, np.uint8)
    steps, divisors, steady = differences(codes, integers)
    assert np.array_equal(integrate(integers[:, 0], steps, divisors, steady), integers)


def test_pages_and_steady_rates_become_small() -> None:
    pages = 4096 * np.array([[5, 9, 2, 2, 7]], np.int64)
    steps, divisors, _ = differences(np.zeros(1, np.uint8), pages)
    assert divisors.tolist() == [4096]
    assert steps.tolist() == [[4, -7, 0, 5]]
    rate = np.array([[0, 1000, 2001, 3000, 4000, 5000]], np.int64)
    steps, _, steady = differences(np.zeros(1, np.uint8), rate)
    assert steady.tolist() == [True]
    assert steps.tolist() == [[1000, 1, -2, 1, 0]]
