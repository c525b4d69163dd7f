"""A chunk: some rows of one schema as bytes, exact, a small fraction of their size, and readable by the column.

All integers are little-endian; `planes` means all first bytes, then all second bytes and so on, so that the zeros of
small numbers lie together.

    magic "WDC1", u32 rows, u32 columns, 6 × u32 length of each block, u32 crc32 of all before it, less the magic, and after it
    block 0    lz4: kinds u8[columns]; first integers, planes [8][columns]; divisors, planes [8][changing columns]
    block 1-4  zstd: differences of the columns of 1, 2, 4 and 8 bytes, planes [bytes][columns][rows - 1]
    block 5    zstd: gaps: u32 count, u32 columns[count], one bit a row for each

Column 0 is the times. A kind is code | order << 4 | width << 5, with the code of `integers`, order 1 for second
differences, and width 0 for a column that never changes, 1-4 for the block that has it.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final, TypeAlias

import cramjam
import numpy as np
from numpy.typing import NDArray

from collector.history.errors import CorruptChunkError
from collector.history.integers import (
    BITS,
    Floats,
    Ints,
    differences,
    from_integers,
    integrate,
    to_integers,
    unzigzag,
    zigzag,
)

MAGIC: Final = b"WDC1"
LEVEL: Final = 3
_HEAD: Final = struct.Struct("<4sII6II")
_BLOCKS: Final = 6
_GAPS: Final = 5
_WIDTHS: Final = (0, 1, 2, 4, 8)
_GAP: Final = np.array([np.nan]).view(np.int64)[0]  # the bits of the NaN that means "no value"

Bytes: TypeAlias = NDArray[np.uint8]
Indices: TypeAlias = NDArray[np.intp]


def encode(times: Floats, values: Floats) -> bytes:
    """Return the chunk of `times[rows]` and `values[rows, columns]`."""
    columns = np.empty((values.shape[1] + 1, len(times)))
    columns[0] = times
    columns[1:] = values.T
    gaps = _fill_gaps(columns)
    bits = columns.view(np.int64)
    kinds = np.full(len(columns), BITS, np.uint8)
    first = bits[:, 0].copy()
    changing = np.flatnonzero((bits != first[:, None]).any(axis=1))
    codes, integers = to_integers(columns[changing])
    steps, divisors, steady = differences(codes, integers)
    small = zigzag(steps)
    width = np.searchsorted([1 << 8, 1 << 16, 1 << 32], small.max(axis=1, initial=0).astype(np.float64), "right") + 1
    kinds[changing] = codes | (steady.astype(np.uint8) << 4) | (width << 5).astype(np.uint8)
    first[changing] = integers[:, 0]
    blocks = [kinds.tobytes() + _planes(first, 8) + _planes(divisors, 8)]
    blocks += [_planes(small[width == number], _WIDTHS[number]) for number in (1, 2, 3, 4)]
    return _join(columns.shape, [*blocks, gaps])


def _join(shape: tuple[int, ...], blocks: list[bytes]) -> bytes:
    packed = [bytes(cramjam.zstd.compress(block, LEVEL)) if block else b"" for block in blocks]
    body = b"".join(packed)
    return _HEAD.pack(MAGIC, shape[1], shape[0], *map(len, packed), zlib.crc32(body)) + body


def _planes(numbers: NDArray[np.uint64] | Ints, width: int) -> bytes:
    bytes_ = np.ascontiguousarray(numbers).view(np.uint8).reshape(*numbers.shape, 8)[..., :width]
    return np.moveaxis(bytes_, -1, 0).tobytes()


def _fill_gaps(columns: Floats) -> bytes:
    """Put the value before it (at the start: after it) into each gap of a column that has values; return the block."""
    missing = columns.view(np.int64) == _GAP
    holed = np.flatnonzero(missing.any(axis=1) & ~missing.all(axis=1))
    if not len(holed):
        return b""
    holes = missing[holed]
    latest = np.maximum.accumulate(np.where(holes, -1, np.arange(holes.shape[1])), axis=1)
    source = np.where(latest < 0, holes.argmin(axis=1)[:, None], latest)
    columns[holed] = np.take_along_axis(columns[holed], source, axis=1)
    return struct.pack("<I", len(holed)) + holed.astype("<u4").tobytes() + np.packbits(holes, axis=1).tobytes()


class Chunk:
    """A chunk's bytes, opened: its head is read, columns are decoded when they are asked for."""

    __slots__ = ("_data", "_divisors", "_first", "_kinds", "_offsets", "columns", "rows")

    def __init__(self, data: bytes) -> None:
        """Open a chunk.

        Raises:
            CorruptChunkError: these bytes are no chunk, or not all of it.
        """
        if len(data) < _HEAD.size:
            raise CorruptChunkError("too short")
        magic, self.rows, self.columns, *lengths, crc = _HEAD.unpack_from(data)
        if magic != MAGIC or zlib.crc32(memoryview(data)[_HEAD.size :]) != crc:
            raise CorruptChunkError("the checksum does not fit")
        self._data = data
        self._offsets = [_HEAD.size]
        for length in lengths:
            self._offsets.append(self._offsets[-1] + length)
        head = np.frombuffer(self._block(0), np.uint8)
        self._kinds = head[: self.columns]
        self._first = _unplane(head[self.columns : 9 * self.columns], 8)
        self._divisors = _unplane(head[9 * self.columns :], 8)

    def _block(self, number: int) -> bytes:
        start, end = self._offsets[number], self._offsets[number + 1]
        return bytes(cramjam.zstd.decompress(self._data[start:end])) if end > start else b""

    def read(self, wanted: Indices) -> Floats:
        """Return float64 [wanted columns, rows]; column 0 is the times."""
        kinds = self._kinds[wanted]
        floats = np.empty((len(wanted), self.rows))
        floats[:] = self._first[wanted].view(np.float64)[:, None]
        widths = kinds >> 5
        for width in set(widths.tolist()) - {0}:
            places = np.flatnonzero(widths == width)
            self._read_block(width, wanted, places, floats)
        self._restore_gaps(wanted, floats)
        return floats

    def _read_block(self, width: int, wanted: Indices, places: Indices, floats: Floats) -> None:
        all_widths = self._kinds >> 5
        members = np.flatnonzero(all_widths == width)
        changing = np.flatnonzero(all_widths)
        size = _WIDTHS[width]
        columns = wanted[places]
        planes = np.frombuffer(self._block(width), np.uint8).reshape(size, len(members), self.rows - 1)
        small = _unplane(planes[:, np.searchsorted(members, columns)], size)
        kinds = self._kinds[columns]
        divisors = self._divisors[np.searchsorted(changing, columns)]
        steady = (kinds & 16).astype(np.bool_)
        integers = integrate(self._first[columns], unzigzag(small.view(np.uint64)), divisors, steady)
        codes = kinds & 15
        for code in set(codes.tolist()):
            same = codes == code
            floats[places[same]] = from_integers(code, integers[same])

    def _restore_gaps(self, wanted: Indices, floats: Floats) -> None:
        block = self._block(_GAPS)
        if not block:
            return
        (count,) = struct.unpack_from("<I", block)
        holed = np.frombuffer(block, "<u4", count, 4)
        bits = np.frombuffer(block, np.uint8, -1, 4 + 4 * count).reshape(count, -1)
        for place, column in enumerate(wanted.tolist()):
            at = int(np.searchsorted(holed, column))
            if at < count and holed[at] == column:
                missing = np.unpackbits(bits[at], count=self.rows).astype(np.bool_)
                floats[place, missing] = np.nan


def _unplane(planes: Bytes, width: int) -> Ints:
    """Return the integers of planes: [width, …] or flat; the bytes above `width` are zero."""
    split = planes.reshape(width, -1) if planes.ndim == 1 else planes
    numbers = np.zeros((*split.shape[1:], 8), np.uint8)
    numbers[..., :width] = np.moveaxis(split, 0, -1)
    return numbers.view(np.int64)[..., 0]
