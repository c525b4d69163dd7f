"""The numbers in a record of the log."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agent import wire
from collector.log import Record

# In rows of a PART: no sample of this series at this time. Every other NaN there is a value, or the stale marker.
ABSENT_BITS: Final = 0x7FF8_0000_5744_0001
ABSENT: Final = np.array([ABSENT_BITS], np.int64).view(np.float64)[0]


def is_absent(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return where there is no sample."""
    absent: NDArray[np.bool_] = values.view(np.int64) == ABSENT_BITS
    return absent


class Samples(NamedTuple):
    """A ROWS frame on the collector's clock: `values[row, column]` at `times[row]`."""

    schema: int
    times: NDArray[np.float64]
    values: NDArray[np.float64]


def frame_of(record: Record) -> wire.Frame:
    """Return the frame that a FRAME record holds; its checksum is that of the log, checked already."""
    _, kind, _, _, epoch, seq = wire.HEADER.unpack_from(record.body)
    return wire.Frame(kind, epoch, seq, wire.HEADER.size, len(record.body))


def samples_of(record: Record, frame: wire.Frame) -> Samples:
    """Return the rows of a ROWS frame, their times corrected by the skew of their sender.

    Nothing is newer than its arrival: what a clock that was ahead recorded would hide all later values.
    """
    rows = wire.read_rows(record.body, frame)
    times = np.frombuffer(record.body, "<f8", rows.rows, rows.times) + record.skew
    np.minimum(times, record.received, out=times)
    values = np.frombuffer(record.body, "<f8", rows.rows * rows.columns, rows.values)
    return Samples(rows.schema, times, values.reshape(rows.rows, rows.columns))
