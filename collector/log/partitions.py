"""The log of several ingest processes: each writes a partition of its own, the spine says how they belong together.

The spine is the log of the process that has the engine. Each of its ticks names the records of every partition that
belong before it: so all consumers, now and at any replay, see one order. Partition N is the folder `pN` in the log's.

A device may push to one process today and to another tomorrow. Between two ticks its frames are therefore put in the
order of their epoch and seq, whichever partitions they are in. Over several ticks the order holds by itself: the
sender sends a frame when the one before was acknowledged, it is acknowledged after its process has published it, and
a tick takes all partitions as they stood at one moment. What was taken twice is told apart by the state machine.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agent.wire import Kind
from collector.log.block import Block
from collector.log.reader import CHUNK, Reader
from collector.log.record import RecordKind
from collector.log.segments import drop_segments
from collector.log.tail import Tail

_RANGE: Final = struct.Struct("<QQQ")
_EPOCH, _SEQ = 2, 3  # where a frame has them, in words


class Range(NamedTuple):
    """Records of a partition: from `first` on, below `end`."""

    partition: int
    first: int
    end: int


def folder(directory: Path, partition: int) -> Path:
    """Return the folder of a partition of the log in `directory`."""
    return directory / f"p{partition}"


def partitions(directory: Path) -> list[int]:
    """Return the numbers of the partitions that there are, of this start or of earlier ones."""
    found = [path.name[1:] for path in directory.glob("p*") if path.is_dir()] if directory.is_dir() else []
    return sorted(int(number) for number in found if number.isdigit())


def encode_ranges(ranges: list[Range]) -> bytes:
    """Return ranges as the body of a tick."""
    return b"".join(_RANGE.pack(*each) for each in ranges)


def decode_ranges(body: bytes) -> list[Range]:
    """Return the ranges that a tick's body has."""
    return [Range(*each) for each in _RANGE.iter_unpack(body)]


class MergedReader:
    """Reads the spine, and before each of its ticks the records of the partitions that belong there.

    Those bear the number of the tick: a consumer's place is a number of the spine. They come in one block with it, so
    that no consumer can stand between them.
    """

    def __init__(self, directory: Path, position: int = 1, tail: Tail | None = None, chunk: int = CHUNK) -> None:
        """`tail` and `chunk` are those of Reader."""
        self._directory = directory
        self._spine = Reader(directory, position, tail, chunk)
        self._readers: dict[int, Reader] = {}
        self._waiting: list[Block] = []

    @property
    def position(self) -> int:
        """The number of the next record that will be read."""
        return int(self._waiting[0].numbers[0]) if self._waiting else self._spine.position

    @property
    def lost_bytes(self) -> int:
        """Bytes passed over because they are no sound group, in the spine and in the partitions."""
        return self._spine.lost_bytes + sum(reader.lost_bytes for reader in self._readers.values())

    @property
    def lost_records(self) -> int:
        """Records that are missing before those that were read last."""
        return self._spine.lost_records + sum(reader.lost_records for reader in self._readers.values())

    def read_block(self, until: int) -> Block | None:
        """Return the next records below `until` of the spine, with those of the partitions; None at the end."""
        if not self._waiting:
            block = self._spine.read_block(until)
            if block is None:
                return None
            self._waiting = self._pieces(block)
        return self._waiting.pop(0)

    def _pieces(self, block: Block) -> list[Block]:
        """Return a block of the spine, cut behind each tick that has ranges; these are put before it."""
        ticks = np.flatnonzero((block.kinds == RecordKind.TICK) & (block.lengths > 0))
        pieces: list[Block] = []
        first = 0
        for tick in ticks.tolist():
            if tick > first:
                pieces.append(block.part(first, tick))
            pieces.append(self._merged(block.part(tick, tick + 1)))
            first = tick + 1
        if first < len(block):
            pieces.append(block.part(first, len(block)))
        return pieces

    def _merged(self, tick: Block) -> Block:
        number = int(tick.numbers[0])
        found: list[Block] = []
        for partition, first, end in decode_ranges(tick.record(0).body):
            reader = self._readers.get(partition)
            if reader is None or reader.position != first:
                reader = self._readers[partition] = Reader(folder(self._directory, partition), first)
            while (block := reader.read_block(end)) is not None:
                found.append(block)
        return joined([ordered(joined(found, number)), tick], number) if found else tick


def joined(blocks: list[Block], number: int) -> Block:
    """Return the records of several blocks as one; each bears this number."""
    words = np.concatenate([block.words for block in blocks])
    sizes = [len(block.words) for block in blocks]
    offsets = np.cumsum([0, *sizes[:-1]])
    starts = np.concatenate([block.starts + offset for block, offset in zip(blocks, offsets.tolist(), strict=True)])
    return Block(words, np.full(len(starts), number), starts)


def ordered(block: Block) -> Block:
    """Return records of several partitions so that the frames of each device are in the order of epoch and seq.

    Schemas come first: other devices than the one that sent a schema may have used it since.
    """
    epochs, seqs = block.words[block.starts + _EPOCH], block.words[block.starts + _SEQ]
    kinds = (block.words[block.starts] >> np.uint64(32)) & np.uint64(0xFF)
    order: NDArray[np.intp] = np.lexsort((np.arange(len(block)), seqs, epochs, block.devices, kinds != Kind.SCHEMA))
    return Block(block.words, block.numbers, block.starts[order])


def drop(directory: Path, before: Mapping[int, int], keep_bytes: int, written_before: float = 0.0) -> int:
    """Remove the oldest segments of partitions while a partition holds more than `keep_bytes`, and those that were
    last written to before that time; return how many.

    Records from `before[partition]` on are still needed.
    """
    return sum(
        len(drop_segments(folder(directory, partition), needed, keep_bytes, written_before))
        for partition, needed in before.items()
    )
