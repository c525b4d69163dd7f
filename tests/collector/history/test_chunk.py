"""Chunks: what goes in comes out to the bit; damage is noticed."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from collector.history.chunk import Chunk, decode, encode
from collector.history.errors import CorruptChunkError
from collector.history.integers import Floats
from tests.collector.history.test_integers import MEASURED, same

TABLES = arrays.arrays(np.float64, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=MEASURED)


def read(data: bytes) -> Floats:
    """Return the table of a chunk."""
    chunk = Chunk(data)
    columns = [chunk.times(), *[chunk.series(place) for place in range(chunk.columns)]]
    return np.array(decode(columns, [chunk.rows] * len(columns))).T


def machine(rows: int, seed: int = 1) -> Floats:
    """Return a table as a machine gives it: times, a counter, bytes, hundredths, a constant, a fraction."""
    random = np.random.default_rng(seed)
    counter = np.cumsum(random.integers(900, 1100, rows))
    used = 4096 * random.integers(0, 100_000, rows)
    seconds = np.cumsum(random.integers(0, 30, rows)) / 100
    times = 1.8e9 + np.arange(rows) * 10 + random.normal(0, 0.001, rows)
    return np.column_stack([times, counter, used, seconds, np.full(rows, 3.5), random.random(rows)]).astype(np.float64)


@given(TABLES)
@example(np.array([[1.0]]))
@example(np.array([[1.0, np.nan], [2.0, np.nan]]))
@example(np.array([[1.0, np.nan, 1.0], [2.0, 5.0, np.nan], [3.0, np.nan, -0.0]]))
def test_a_table_comes_back_to_the_bit(table: Floats) -> None:
    (data,) = encode([table])
    assert same(read(data), table)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(1, 9), st.data())
def test_tables_encoded_together_are_those_encoded_alone(widths: list[int], rows: int, data: st.DataObject) -> None:
    tables = [data.draw(arrays.arrays(np.float64, (rows, width), elements=MEASURED)) for width in widths]
    assert encode(tables) == [encode([table])[0] for table in tables]


def test_odd_bits_of_nan_are_kept() -> None:
    odd = np.array([0x7FF8000000000001, 0x7FF0000000000001, -1, 0], np.int64).view(np.float64)
    table = np.column_stack([np.arange(4.0), odd])
    assert same(read(encode([table])[0]), table)


def test_one_series_is_read_without_the_others() -> None:
    table = machine(60)
    chunk = Chunk(encode([table])[0])
    assert (chunk.rows, chunk.columns) == (60, 5)
    times, used = decode([chunk.times(), chunk.series(1)], [60, 60])
    assert same(times, table[:, 0])
    assert same(used, table[:, 2])


def test_columns_of_chunks_of_other_lengths_are_decoded_together() -> None:
    tables = [machine(rows, seed=rows) for rows in (60, 1, 7)]
    chunks = [Chunk(encode([table])[0]) for table in tables]
    found = decode([chunk.series(2) for chunk in chunks], [60, 1, 7])
    assert all(same(column, table[:, 3]) for column, table in zip(found, tables, strict=True))


def test_nothing_is_decoded_to_nothing() -> None:
    assert decode([], []) == []


def test_what_does_not_change_costs_next_to_nothing() -> None:
    constant = np.column_stack([machine(60)[:, 0], np.full((60, 1000), 12345.678)])
    changing = np.column_stack([constant, machine(60)[:, 1]])
    assert len(encode([constant])[0]) < 500
    assert len(encode([changing])[0]) - len(encode([constant])[0]) < 2 * 60


def test_a_gap_does_not_make_a_counter_expensive() -> None:
    table = machine(60)
    whole = len(encode([table])[0])
    table[[0, 1, 5, 6, 40], 1] = np.nan
    assert len(encode([table])[0]) < whole + 40
    assert same(read(encode([table])[0]), table)


def test_each_flipped_bit_is_noticed() -> None:
    data = encode([machine(20)])[0]
    random = np.random.default_rng(7)
    for _ in range(500):
        at, bit = int(random.integers(len(data))), int(random.integers(8))
        damaged = bytearray(data)
        damaged[at] ^= 1 << bit
        with pytest.raises(CorruptChunkError):
            Chunk(bytes(damaged))


@pytest.mark.parametrize("length", [0, 1, 27, 28, 29, -1])
def test_a_cut_chunk_is_noticed(length: int) -> None:
    data = encode([machine(20)])[0]
    with pytest.raises(CorruptChunkError):
        Chunk(data[:length])
