"""The rows of a device that are in no chunk yet."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, NamedTuple

import cramjam
import numpy as np
from numpy.typing import NDArray

from collector.history.chunk import encode
from collector.history.integers import Floats
from collector.history.schema import SchemaRef

PACKED_ROWS: Final = 8  # as many rows at least are packed together
_GOLDEN: Final = 0.6180339887  # spreads the ends of the devices' chunks evenly over the time of one


class Stored(NamedTuple):
    """A chunk with what it is found by; `first` and `last` are times."""

    device: int
    schema: SchemaRef
    first: float
    last: float
    data: bytes


class Rows:
    """Rows of one schema, in the order in which they came."""

    __slots__ = ("_packed", "_times", "_values", "raw", "schema")

    def __init__(self, schema: SchemaRef) -> None:
        self.schema = schema
        self._packed: list[tuple[int, bytes]] = []
        self._times: list[Floats] = []
        self._values: list[Floats] = []
        self.raw = 0  # rows that are not packed

    def append(self, times: Floats, values: Floats) -> None:
        """Keep copies: what comes in is mostly a view of the bytes of a request."""
        self._times.append(times.copy())
        self._values.append(values.copy())
        self.raw += len(times)

    @property
    def raw_bytes(self) -> int:
        """Bytes of the values that are not packed."""
        return self.raw * self.schema.columns * 8

    def pack(self) -> None:
        """Keep the rows as fewer bytes, quickly; `encode` would be smaller and takes ten times as long."""
        self._packed.append((self.raw, _pack(np.concatenate(self._times), np.concatenate(self._values))))
        self._times, self._values, self.raw = [], [], 0

    def arrays(self) -> tuple[Floats, Floats]:
        """Return times [rows] and values [rows, columns], in order of time."""
        parts = [_unpack(rows, data) for rows, data in self._packed]
        times = np.concatenate([part[0] for part in parts] + self._times)
        values = np.concatenate([part[1] for part in parts] + self._values)
        if len(times) > 1 and not (times[1:] >= times[:-1]).all():
            order = np.argsort(times, kind="stable")
            return times[order], values[order]
        return times, values


def _pack(times: Floats, values: Floats) -> bytes:
    bits = np.concatenate([times[:, None], values], axis=1).view(np.uint64)
    bits[1:] ^= bits[:-1].copy()
    return bytes(cramjam.lz4.compress_block(bits.view(np.uint8).reshape(-1, 8).T.tobytes()))


def _unpack(rows: int, data: bytes) -> tuple[Floats, Floats]:
    planes = np.frombuffer(cramjam.lz4.decompress_block(data), np.uint8).reshape(8, -1)
    bits = np.bitwise_xor.accumulate(np.ascontiguousarray(planes.T).view(np.uint64).reshape(rows, -1), axis=0)
    table = bits.view(np.float64)
    return table[:, 0], table[:, 1:]


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

    def chunks(self) -> Iterator[Stored]:
        """Yield the rows as chunks, each within its own stretch of time; a row whose time is no number is left out."""
        for part in self.parts.values():
            times, values = part.arrays()
            finite = np.isfinite(times)
            if not finite.all():
                times, values = times[finite], values[finite]
            for start, end in _stretches(np.floor(times / self._seconds + self._offset)):
                data = encode(times[start:end], values[start:end])
                yield Stored(self.device, part.schema, float(times[start]), float(times[end - 1]), data)


def _stretches(windows: NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of each run of equal numbers."""
    if not len(windows):
        return
    cuts = [0, *(np.flatnonzero(windows[1:] != windows[:-1]) + 1).tolist(), len(windows)]
    yield from zip(cuts[:-1], cuts[1:], strict=True)
