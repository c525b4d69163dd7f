"""The parts: into which frames the series of remote writes are put.

A request has any selection of series. Those of one device that were seen first in one request, at one time, are a
*part*: a schema of their own, whose rows have what a request brings of them, and ABSENT for the rest. So a series
keeps its place for ever, and a request becomes a few rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from itertools import count, pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent import wire
from agent.wire import Kind
from collector.rows import ABSENT

PART_COLUMNS: Final = 128
ROWS_AT_ONCE: Final = 512  # of a frame: 128 columns of them are half a MiB
MAX_DEVICE_SERIES: Final = 20_000

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Parts:
    """Every series that a remote write told of, its part and its column there. `ref` is the number of a series."""

    def __init__(self) -> None:
        self._refs: dict[tuple[int, str], int] = {}
        self._part = np.zeros(1024, np.int64)  # by ref
        self._column = np.zeros(1024, np.int64)  # by ref
        self._devices: dict[int, list[int]] = {}  # device → its parts
        self._part_of: list[tuple[int, int, int]] = []  # device, schema, columns
        self._counts: dict[int, int] = {}
        self._unlogged: dict[int, bytes] = {}  # part → the frame of its schema
        self._next = count()

    def restore(self, parts: Mapping[int, Sequence[int]], schemas: Mapping[int, bytes]) -> None:
        """Take up what the log says: the schemas of each device's parts."""
        for device, numbers in parts.items():
            for schema in numbers:
                self._enter(device, schema, schemas[schema].decode().split("\n"))

    def find(self, device: int, text: str) -> int | None:
        """Return the ref of a series of a device, None if it has no place yet."""
        return self._refs.get((device, text))

    def room(self, device: int) -> int:
        """Return how many more series a device may have."""
        return MAX_DEVICE_SERIES - self._counts.get(device, 0)

    def add(self, device: int, texts: Sequence[str]) -> list[int]:
        """Give new series of a device their places, and return their refs."""
        refs: list[int] = []
        for start in range(0, len(texts), PART_COLUMNS):
            chosen = list(texts[start : start + PART_COLUMNS])
            payload = wire.encode_schema(chosen)
            self._unlogged[len(self._part_of)] = wire.encode(Kind.SCHEMA, 0, 0, payload)
            refs += self._enter(device, wire.schema_id(payload), chosen)
        return refs

    def logged(self, parts: Collection[int]) -> None:
        """Note that the schemas of these parts are durable: until then they go with every request that needs them."""
        for part in parts:
            self._unlogged.pop(part, None)

    def _enter(self, device: int, schema: int, texts: Sequence[str]) -> list[int]:
        part = len(self._part_of)
        self._part_of.append((device, schema, len(texts)))
        self._devices.setdefault(device, []).append(part)
        self._counts[device] = self._counts.get(device, 0) + len(texts)
        refs = [next(self._next) for _ in texts]
        while len(self._part) <= refs[-1]:
            self._part = np.concatenate((self._part, np.zeros_like(self._part)))
            self._column = np.concatenate((self._column, np.zeros_like(self._column)))
        self._part[refs] = part
        self._column[refs] = np.arange(len(texts))
        self._refs.update(((device, text), ref) for text, ref in zip(texts, refs, strict=True))
        return refs

    def retain(self, devices: Set[int]) -> bool:
        """Forget the series of devices that are not among these; whether there were any: their refs are void."""
        gone = self._devices.keys() - devices
        for device in gone:
            del self._devices[device], self._counts[device]
        if gone:
            self._refs = {key: ref for key, ref in self._refs.items() if key[0] not in gone}
        return bool(gone)

    @property
    def series(self) -> int:
        """How many series have a place."""
        return len(self._refs)

    def frames(self, refs: Ints, times: Ints, values: Floats, unlogged: set[int]) -> Iterator[tuple[int, bytes]]:
        """Yield (device, frame) for samples: values[k] at times[k] (ms) of refs[k].

        The parts whose schemas go with them are added to `unlogged`, for `logged` when they are durable.
        """
        if not len(refs):
            return
        parts = self._part[refs]
        order = np.lexsort((times, parts))
        parts, times, values = parts[order], times[order], values[order]
        columns = self._column[refs[order]]
        later = np.concatenate(([True], (parts[1:] != parts[:-1]) | (times[1:] != times[:-1])))
        rows = np.cumsum(later) - 1  # the row of each sample, over all parts
        firsts = np.flatnonzero(later)
        row_parts, row_times = parts[firsts], times[firsts] / 1000.0
        cuts = [0, *(np.flatnonzero(row_parts[1:] != row_parts[:-1]) + 1).tolist(), len(firsts)]
        bounds = [*firsts.tolist(), len(order)]
        for start, stop in pairwise(cuts):
            part = int(row_parts[start])
            device, schema, width = self._part_of[part]
            if part in self._unlogged:
                unlogged.add(part)
                yield device, self._unlogged[part]
            for first in range(start, stop, ROWS_AT_ONCE):
                last = min(first + ROWS_AT_ONCE, stop)
                here = slice(bounds[first], bounds[last])
                table = np.full((last - first, width), ABSENT)
                table[rows[here] - first, columns[here]] = values[here]
                head = wire.ROWS_HEADER.pack(schema, last - first, width)
                payload = b"".join((head, row_times[first:last].tobytes(), table.tobytes()))
                yield device, wire.encode(Kind.PART, 0, 0, payload)
