"""Open rows: kept in order, packed, and cut into stretches of time."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from collector.history.errors import CorruptChunkError
from collector.history.head import Head, Rows, chunks
from collector.history.integers import Floats
from collector.history.schema import SchemaRef, pack, unpack
from tests.collector.history.test_chunk import machine, read
from tests.collector.history.test_integers import MEASURED, same


def ref(columns: int, number: int = 1) -> SchemaRef:
    """Return a schema of so many series."""
    return SchemaRef(number, columns, pack([f"metric_{column}" for column in range(columns)]))


@given(
    arrays.arrays(np.float64, arrays.array_shapes(min_dims=2, max_dims=2, max_side=20), elements=MEASURED), st.data()
)
def test_rows_come_back_packed_or_not(values: Floats, data: st.DataObject) -> None:
    rows = Rows(ref(values.shape[1]))
    times = np.arange(float(len(values)))
    at = 0
    while at < len(values):
        count = data.draw(st.integers(1, len(values) - at))
        rows.append(times[at : at + count], values[at : at + count])
        at += count
        if data.draw(st.booleans()):
            rows.pack()
    assert same(rows.table(), np.column_stack([times, values]))


def test_packed_rows_are_small() -> None:
    rows = Rows(ref(500))
    values = np.full((8, 500), 1234.5)
    rows.append(np.arange(8.0), values)
    assert rows.raw_bytes == values.nbytes
    rows.pack()
    assert rows.raw_bytes == 0
    assert sum(len(data) for _, data in rows._packed) < values.nbytes / 4


def test_the_memory_that_came_in_is_not_kept() -> None:
    rows, values = Rows(ref(2)), np.ones((1, 2))
    rows.append(np.zeros(1), values)
    values[:] = 5
    assert rows.table().tolist() == [[0, 1, 1]]


def test_late_rows_are_put_in_order_and_equal_times_stay_as_they_came() -> None:
    rows = Rows(ref(1))
    for time, value in [(5.0, 1.0), (3.0, 2.0), (5.0, 3.0)]:
        rows.append(np.array([time]), np.array([[value]]))
    assert rows.table().tolist() == [[3, 2], [5, 1], [5, 3]]


def test_each_chunk_lies_in_one_stretch_of_time() -> None:
    head = Head(4, 600, 1.8e9, 0)
    table = machine(300)
    table[7, 0] = np.nan
    table[9, 0] = 5.0
    head.append(ref(5), table[:, 0], table[:, 1:])
    found = list(chunks([head]))
    assert sum(len(read(chunk.data)) for chunk in found) == 299
    assert all(chunk.last - chunk.first <= 600 for chunk in found)
    assert all(chunk.first == read(chunk.data)[0, 0] for chunk in found)
    assert all(chunk.last == read(chunk.data)[-1, 0] for chunk in found)
    assert found[0].first == found[0].last == 5.0


def test_devices_end_their_chunks_at_moments_of_their_own() -> None:
    ends = sorted(Head(device, 600, 1.8e9, 0).end - 1.8e9 for device in range(1000))
    assert ends[0] > 0
    assert ends[-1] <= 600
    assert max(np.diff(ends)) < 6


def test_heads_of_one_length_are_encoded_together_and_apart_alike() -> None:
    tables = {device: machine(60, seed=device) for device in range(40)}
    heads = []
    for device, table in tables.items():
        heads.append(Head(device, 1e11, 1.8e9, 0))
        heads[-1].append(ref(5), table[:, 0], table[:, 1:])
    found = {chunk.device: chunk for chunk in chunks(heads)}
    assert found.keys() == tables.keys()
    assert all(same(read(found[device].data), table) for device, table in tables.items())


def test_a_schema_keeps_its_series() -> None:
    series = ["up", 'node_cpu_seconds_total{cpu="0",mode="idle"}', 'a{b="ü\\n"}']
    assert unpack(pack(series)) == series
    assert SchemaRef(1, 3, pack(series)).series == series


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:2], lambda data: data + b"x"])
def test_damaged_series_are_noticed(damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(CorruptChunkError):
        unpack(damage(pack(["up", "down"])))
