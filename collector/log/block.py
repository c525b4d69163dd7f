"""Many records at once, as columns: what lets a consumer take thousands of them in a few vector operations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent import wire
from collector.log.record import COUNT, HEADER, Buffer, Record

Words = NDArray[np.uint64]
_U32 = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_HEADER_WORDS = HEADER.size // 8


class Block:
    """Records in the order of the log.

    Attributes:
        numbers: the number of each record.
        kinds, devices, received, skew: the members of Record, as columns.
        words, floats: the bytes of all records as unsigned integers, and as float64.
        starts: where in those the body of each record begins.
        lengths: of the bodies, in bytes.
    """

    __slots__ = ("devices", "floats", "kinds", "lengths", "numbers", "received", "skew", "starts", "words")

    def __init__(self, words: Words, numbers: NDArray[np.int64], starts: NDArray[np.int64]) -> None:
        heads = starts - _HEADER_WORDS
        first = words[heads]
        self.words = words
        self.floats = words.view(np.float64)
        self.numbers = numbers
        self.starts = starts
        self.lengths = (first & _LOW).astype(np.int64)
        self.kinds = (first >> _U32).astype(np.uint8)
        self.devices = (words[heads + 1] & _LOW).astype(np.int64)
        self.received = self.floats[heads + 2]
        self.skew = self.floats[heads + 3]

    def __len__(self) -> int:
        return len(self.numbers)

    def part(self, first: int, end: int) -> Block:
        """Return the records from one index to another."""
        return Block(self.words, self.numbers[first:end], self.starts[first:end])

    def since(self, number: int) -> Block:
        """Return the records from this number on."""
        first = int(np.searchsorted(self.numbers, number))
        return self if not first else Block(self.words, self.numbers[first:], self.starts[first:])

    def record(self, index: int) -> Record:
        """Return one of the records."""
        start = int(self.starts[index])
        length = int(self.lengths[index])
        body = self.words[start : start + (length + 7) // 8].tobytes()[:length]
        own = int(self.numbers[index]), int(self.kinds[index]), int(self.devices[index])
        return Record(*own, float(self.received[index]), float(self.skew[index]), body)

    def records(self, first: int = 0, end: int | None = None) -> Iterator[Record]:
        """Yield the records from one index to another."""
        for index in range(first, len(self) if end is None else end):
            yield self.record(index)


def block_of(buffer: Buffer, groups: Sequence[wire.Frame]) -> Block:
    """Return the records of sound groups of a buffer."""
    base = groups[0].start % 8  # what was damaged before it may have moved it
    words: Words = np.frombuffer(buffer, np.uint64, (len(buffer) - base) // 8, base)
    starts: list[NDArray[Any]] = []
    numbers: list[NDArray[Any]] = []
    for group in groups:
        (count,) = COUNT.unpack_from(buffer, group.start)
        lengths = np.frombuffer(buffer, np.uint32, count, group.start + COUNT.size)
        ends = np.cumsum(lengths, dtype=np.int64)
        at = group.start + COUNT.size + 4 * (count + (count & 1)) + HEADER.size
        offsets = ends - lengths + (at - base)
        starts.append(offsets >> 3)
        numbers.append(np.arange(group.seq, group.seq + count))
    return Block(words, np.concatenate(numbers), np.concatenate(starts))
