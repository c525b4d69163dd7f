"""The rows of a device that are in no chunk yet."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final, NamedTuple

import cramjam
import numpy as np
from numpy.typing import NDArray

from collector.history.chunk import encode
from collector.history.integers import Floats
from collector.history.schema import SchemaRef

PACKED_ROWS: Final = 8  # as many rows at least are packed together
_TOGETHER: Final = 50_000  # values that are encoded at once: about what a processor's cache holds
_GOLDEN: Final = 0.6180339887  # spreads the ends of the devices' chunks evenly over the time of one


class Stored(NamedTuple):
    """A chunk with what it is found by; `first` and `last` are times."""

    device: int
    schema: SchemaRef
    first: float
    last: float
    data: bytes


class Rows:
    """Rows of one schema, in the order in which they came; a table has the times in its first column."""

    __slots__ = ("_packed", "_table", "raw", "schema")

    def __init__(self, schema: SchemaRef) -> None:
        self.schema = schema
        self._packed: list[tuple[int, bytes]] = []
        self._table = np.empty((PACKED_ROWS, schema.columns + 1))
        self.raw = 0  # rows in the table

    @property
    def raw_bytes(self) -> int:
        """Bytes of the values that are not packed."""
        return self.raw * self.schema.columns * 8

    def append(self, times: Floats, values: Floats) -> None:
        """Copy rows: what comes in is mostly a view of the bytes of a request."""
        end = self.raw + len(times)
        if end > len(self._table):
            grown = np.empty((max(end, 2 * self.raw), self.schema.columns + 1))
            grown[: self.raw] = self._table[: self.raw]
            self._table = grown
        self._table[self.raw : end, 0] = times
        self._table[self.raw : end, 1:] = values
        self.raw = end

    def pack(self) -> None:
        """Keep the rows as fewer bytes, quickly; `encode` would be smaller and takes ten times as long."""
        self._packed.append((self.raw, _pack(self._table[: self.raw])))
        self._table, self.raw = np.empty((PACKED_ROWS, self.schema.columns + 1)), 0

    def table(self) -> Floats:
        """Return a copy of all rows, in order of time."""
        table = np.concatenate([*[_unpack(rows, data) for rows, data in self._packed], self._table[: self.raw]])
        times = table[:, 0]
        if (times[1:] >= times[:-1]).all():
            return table
        return table[np.argsort(times, kind="stable")]


def _pack(table: Floats) -> bytes:
    bits = table.copy().view(np.uint64)
    bits[1:] ^= bits[:-1]
    return bytes(cramjam.lz4.compress_block(bits.view(np.uint8).reshape(-1, 8).T.tobytes()))


def _unpack(rows: int, data: bytes) -> Floats:
    planes = np.frombuffer(bytes(cramjam.lz4.decompress_block(data)), np.uint8).reshape(8, -1)
    bits = np.ascontiguousarray(planes.T).view(np.uint64).reshape(rows, -1)
    return np.bitwise_xor.accumulate(bits, axis=0).view(np.float64)


class Head:
    """The open rows of a device, until their chunk's time is over."""

    __slots__ = ("_offset", "_seconds", "device", "end", "opened", "parts", "rows")

    def __init__(self, device: int, seconds: float, first: float, now: float) -> None:
        """Open a head whose chunk has the row at `first`, and covers `seconds` of time at most."""
        self.device = device
        self._seconds = seconds
        self._offset = device * _GOLDEN % 1
        self.parts: dict[int, Rows] = {}
        self.rows = 0
        self.opened = now
        window = math.floor(first / seconds + self._offset) if math.isfinite(first) else 0
        self.end = (window + 1 - self._offset) * seconds

    def append(self, schema: SchemaRef, times: Floats, values: Floats) -> Rows:
        """Add rows, and return those of the schema."""
        part = self.parts.get(schema.id)
        if part is None:
            part = self.parts[schema.id] = Rows(schema)
        part.append(times, values)
        self.rows += len(times)
        return part

    @property
    def raw_bytes(self) -> int:
        """Bytes of the values that are not packed."""
        return sum(part.raw_bytes for part in self.parts.values())

    def tables(self) -> Iterator[tuple[SchemaRef, Floats]]:
        """Yield the rows as tables, each within its own stretch of time; a time that is no number is left out."""
        for part in self.parts.values():
            table = part.table()
            finite = np.isfinite(table[:, 0])
            if not finite.all():
                table = table[finite]
            for start, end in _stretches(np.floor(table[:, 0] / self._seconds + self._offset)):
                yield part.schema, table[start:end]


def chunks(heads: Iterable[Head]) -> Iterator[Stored]:
    """Yield the rows of heads as chunks. Many small ones are encoded together."""
    batches: dict[int, list[tuple[int, SchemaRef, Floats]]] = {}  # by their number of rows
    for head in heads:
        for schema, table in head.tables():
            batch = batches.setdefault(len(table), [])
            batch.append((head.device, schema, table))
            if sum(table.size for _, _, table in batch) >= _TOGETHER:
                yield from _encode(batches.pop(len(table)))
    for batch in batches.values():
        yield from _encode(batch)


def _encode(batch: list[tuple[int, SchemaRef, Floats]]) -> Iterator[Stored]:
    encoded = encode([table for _, _, table in batch])
    for (device, schema, table), data in zip(batch, encoded, strict=True):
        yield Stored(device, schema, float(table[0, 0]), float(table[-1, 0]), data)


def _stretches(windows: NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of each run of equal numbers."""
    if not len(windows):
        return
    cuts = [0, *(np.flatnonzero(windows[1:] != windows[:-1]) + 1).tolist(), len(windows)]
    yield from pairwise(cuts)
