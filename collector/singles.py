"""The pushes of a block that have a single row, as columns: nearly all that agents send."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent import wire
from agent.wire import Kind
from collector.log import Block, RecordKind

_LEAST: Final = wire.HEADER.size + wire.ROWS_HEADER.size + 16  # bytes of a frame with a row of one value
_LOW: Final = np.uint64(0xFFFFFFFF)
_KIND: Final = np.uint64(0xFF)
_U32: Final = np.uint64(32)
# Where the members of a frame with rows are, in words from its beginning.
_EPOCH, _SEQ, _SCHEMA, _SHAPE, _TIMES = 2, 3, 4, 5, 6


class Singles:
    """Frames with a single row: a column for each member. `at` are the places of their values in `floats`.

    Times are those of `rows.samples_of`: corrected by the skew, never later than the arrival.
    """

    __slots__ = ("at", "columns", "devices", "epochs", "floats", "indices", "received", "schemas", "seqs", "times")

    def __init__(self, block: Block, indices: NDArray[np.intp]) -> None:
        starts = block.starts[indices]
        self.indices = indices
        self.devices = block.devices[indices]
        self.received = block.received[indices]
        self.epochs = block.words[starts + _EPOCH]
        self.seqs = block.words[starts + _SEQ]
        self.schemas = block.words[starts + _SCHEMA]
        self.columns = (block.words[starts + _SHAPE] >> _U32).astype(np.int64)
        self.times = np.minimum(block.floats[starts + _TIMES] + block.skew[indices], self.received)
        self.at = starts + _TIMES + 1
        self.floats = block.floats


def frames(block: Block) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
    """Return the indices of the records that are frames, and the kind of each frame."""
    indices = np.flatnonzero(block.kinds == RecordKind.FRAME)
    return indices, (block.words[block.starts[indices]] >> _U32) & _KIND


def of_kind(block: Block, kind: int) -> NDArray[np.intp]:
    """Return the indices of the records that are frames of a kind."""
    indices, kinds = frames(block)
    wanted: NDArray[np.intp] = indices[kinds == kind]
    return wanted


def singles(block: Block) -> Singles:
    """Return the frames of a block that have a single row."""
    indices = of_kind(block, Kind.ROWS)
    indices = indices[block.lengths[indices] >= _LEAST]
    rows = block.words[block.starts[indices] + _SHAPE] & _LOW
    return Singles(block, indices[rows == 1])
