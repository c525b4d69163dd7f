"""A chunk: some rows of one schema as bytes, exact, a small fraction of their size, and readable by the column.

All integers are little-endian; `planes` means all first bytes, then all second bytes and so on, so that the zeros of
small numbers lie together.

    magic "WDC1", u32 rows, u32 columns, 3 × u32 length of each block, u32 crc32 of all the rest
    block 0    lz4: kinds u8[columns]; first integers, planes [8][columns]; divisors, planes [8][columns];
               the differences of column 0, planes [bytes][rows - 1]
    block 1    zstd: differences of the other columns, those of 1 byte first, then those of 2, 4 and 8:
               planes [bytes][such columns][rows - 1]
    block 2    lz4: gaps: u32 count, u32 columns[count], then for each a bit a row

Column 0 is the times, 1 the first series. A kind is code | order << 4 | width << 5: the code of `integers`, order 1 for
second differences, width 0 for a column that never changes and 1 to 4 for differences of 1, 2, 4 and 8 bytes.

zstd makes the differences a tenth smaller than lz4 does, but it takes many times as long to begin: so what every reader
needs at once is lz4, and the zstd blocks of many chunks are inflated in one call.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, NamedTuple, TypeAlias

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
_HEAD: Final = struct.Struct("<4sII3I")
_CRC: Final = struct.Struct("<I")
_COUNT: Final = struct.Struct("<I")
_TWO: Final = struct.Struct("<qq")
_BODY: Final = _HEAD.size + _CRC.size
_SIZES: Final = (0, 1, 2, 4, 8)  # bytes of a difference, by width
_LIMITS: Final = np.array([1 << 8, 1 << 16, 1 << 32], np.uint64)
_GAP: Final = np.array([np.nan]).view(np.int64)[0]  # the bits of the NaN that means "no value"

Bytes: TypeAlias = NDArray[np.uint8]
_NONE: Final = np.empty(0, np.uint8)


def encode(tables: Sequence[Floats]) -> list[bytes]:
    """Return the chunk of each table [rows, times and series]; tables of one number of rows, which is not 0.

    What is the same work for every column is done for all tables at once: on small ones that is many times faster.
    """
    ends = list(accumulate(table.shape[1] for table in tables))
    columns = np.ascontiguousarray(np.concatenate([table.T for table in tables]))
    holes = _fill_gaps(columns)
    bits = columns.view(np.int64)
    first = bits[:, 0].copy()
    changing = np.flatnonzero((bits != first[:, None]).any(axis=1))
    codes, integers = to_integers(columns[changing])
    steps, divided, steady = differences(codes, integers)
    small = zigzag(steps)
    widths = np.searchsorted(_LIMITS, small.max(axis=1, initial=0), "right").astype(np.uint8) + 1
    kinds = np.full(len(columns), BITS, np.uint8)
    kinds[changing] = codes | (steady.astype(np.uint8) << 4) | (widths << 5)
    first[changing] = integers[:, 0]
    divisors = np.ones(len(columns), np.int64)
    divisors[changing] = divided
    chunks, start, used = [], 0, 0
    for end in ends:
        until = int(changing.searchsorted(end))
        head = kinds[start:end].tobytes() + _planes(first[start:end], 8) + _planes(divisors[start:end], 8)
        if used < until and changing[used] == start:
            head += _planes(small[used], _SIZES[widths[used]])
            used += 1
        gaps = _gap_block(holes, start, end)
        chunks.append(_join((columns.shape[1], end - start), head, small[used:until], widths[used:until], gaps))
        start, used = end, until
    return chunks


def _join(shape: tuple[int, int], head: bytes, small: NDArray[np.uint64], widths: Bytes, gaps: bytes) -> bytes:
    steps = b"".join([_planes(small[widths == width], _SIZES[width]) for width in (1, 2, 3, 4)])
    packed = [
        bytes(cramjam.lz4.compress_block(head)),
        bytes(cramjam.zstd.compress(steps, LEVEL)) if steps else b"",
        bytes(cramjam.lz4.compress_block(gaps)) if gaps else b"",
    ]
    body = b"".join(packed)
    start = _HEAD.pack(MAGIC, *shape, *map(len, packed))
    return start + _CRC.pack(zlib.crc32(body, zlib.crc32(start))) + body


def _planes(numbers: NDArray[np.uint64] | Ints, size: int) -> bytes:
    return np.ascontiguousarray(numbers).view(np.uint8).reshape(-1, 8).T[:size].tobytes()


Holes: TypeAlias = tuple[NDArray[np.intp], NDArray[np.bool_]]  # columns with gaps, and in which rows


def _fill_gaps(columns: Floats) -> Holes:
    """Put the value before it (at the start: after it) into each gap of a column that has values; return the gaps."""
    with np.errstate(invalid="ignore", over="ignore"):
        if not np.isnan(columns.sum()):  # a sum keeps the trace of a NaN, and needs no array of its own
            return np.empty(0, np.intp), np.empty((0, 0), np.bool_)
    missing = columns.view(np.int64) == _GAP
    holed = np.flatnonzero(missing.any(axis=1) & ~missing.all(axis=1))
    holes = missing[holed]
    latest = np.maximum.accumulate(np.where(holes, -1, np.arange(holes.shape[1])), axis=1)
    source = np.where(latest < 0, holes.argmin(axis=1)[:, None], latest)
    columns[holed] = np.take_along_axis(columns[holed], source, axis=1)
    return holed, holes


def _gap_block(holes: Holes, start: int, end: int) -> bytes:
    if not len(holes[0]):
        return b""
    inside = slice(*holes[0].searchsorted([start, end]).tolist())
    columns = holes[0][inside] - start
    if not len(columns):
        return b""
    return _COUNT.pack(len(columns)) + columns.astype("<u4").tobytes() + np.packbits(holes[1][inside], axis=1).tobytes()


class Block:
    """The differences of a chunk's columns, inflated when they are needed."""

    __slots__ = ("bytes", "packed", "size")

    def __init__(self, packed: bytes | memoryview, size: int, bytes_: Bytes = _NONE) -> None:
        self.packed = packed
        self.size = size
        self.bytes = bytes_  # as long as `size` once it is inflated


class Column(NamedTuple):
    """A column of a chunk, not decoded yet: its planes are number `rank` of `members` in `block`, from `start` on."""

    kind: int
    first: int
    divisor: int
    block: Block
    start: int
    members: int
    rank: int
    gaps: NDArray[np.bool_] | None


class Chunk:
    """A chunk's bytes, opened: its head is read, and it gives columns to `decode`."""

    __slots__ = ("_block", "_gaps", "_head", "_starts", "_widths", "columns", "rows")

    def __init__(self, data: bytes) -> None:
        """Open a chunk; it has `columns` series with `rows` values each.

        Raises:
            CorruptChunkError: these bytes are no chunk, or not all of it.
        """
        if len(data) < _BODY:
            raise CorruptChunkError("too short")
        magic, self.rows, width, *lengths = _HEAD.unpack_from(data)
        (crc,) = _CRC.unpack_from(data, _HEAD.size)
        view = memoryview(data)
        if magic != MAGIC or zlib.crc32(view[_BODY:], zlib.crc32(view[: _HEAD.size])) != crc:
            raise CorruptChunkError("the checksum does not fit")
        self.columns: int = width - 1
        head, steps, gaps, _ = accumulate(lengths, initial=_BODY)
        self._head = np.frombuffer(bytes(cramjam.lz4.decompress_block(view[head:steps])), np.uint8)
        self._widths = self._head[1:width] >> 5
        members = np.bincount(self._widths, minlength=5).tolist()
        sizes = [members[number] * _SIZES[number] * (self.rows - 1) for number in range(5)]
        self._starts = [(start, count) for start, count in zip(accumulate(sizes, initial=0), members, strict=False)]
        self._block = Block(view[steps:gaps], sum(sizes))
        self._gaps = _read_gaps(view[gaps:], self.rows) if len(view) > gaps else {}

    def times(self) -> Column:
        """Return the column of the times."""
        steps = self._head[17 * (self.columns + 1) :]
        return self._column(0, Block(b"", len(steps), steps), 0, 1, 0)

    def series(self, place: int) -> Column:
        """Return the column of a series, by its place in the schema."""
        width = int(self._widths[place])
        start, members = self._starts[width]
        rank = int(np.count_nonzero(self._widths[:place] == width)) if width else 0
        return self._column(place + 1, self._block, start, members, rank)

    def _column(self, column: int, block: Block, start: int, members: int, rank: int) -> Column:
        width = self.columns + 1
        first, divisor = _TWO.unpack(self._head[width + column :: width][:16].tobytes())
        return Column(int(self._head[column]), first, divisor, block, start, members, rank, self._gaps.get(column))


def _read_gaps(packed: memoryview, rows: int) -> dict[int, NDArray[np.bool_]]:
    """Return which rows of a column have no value, for the columns that have such rows."""
    block = bytes(cramjam.lz4.decompress_block(packed))
    (count,) = _COUNT.unpack_from(block)
    holed = np.frombuffer(block, "<u4", count, _COUNT.size)
    bits = np.frombuffer(block, np.uint8, -1, _COUNT.size + 4 * count).reshape(count, -1)
    return dict(zip(holed.tolist(), np.unpackbits(bits, axis=1, count=rows).astype(np.bool_), strict=True))


def decode(columns: Sequence[Column], rows: Sequence[int]) -> list[Floats]:
    """Return the floats of columns of any chunks, each with its number of rows: all at once, which is much faster."""
    _inflate(columns)
    steps = max(rows, default=1) - 1
    planes = np.zeros((len(columns), steps, 8), np.uint8)
    for place, column in enumerate(columns):
        size = _SIZES[column.kind >> 5]
        if size:
            count = rows[place] - 1
            block = column.block.bytes[column.start : column.start + size * column.members * count]
            planes[place, :count, :size] = block.reshape(size, column.members, count)[:, column.rank].T
    kinds = np.array([column.kind for column in columns], np.uint8)
    first = np.array([column.first for column in columns], np.int64)
    divisors = np.array([column.divisor for column in columns], np.int64)
    integers = integrate(first, unzigzag(planes.view(np.int64)[..., 0]), divisors, (kinds & 16).astype(np.bool_))
    floats = np.empty(integers.shape)
    codes = kinds & 15
    for code in set(codes.tolist()):
        same = np.flatnonzero(codes == code)
        floats[same] = from_integers(code, integers[same])
    for place, column in enumerate(columns):
        if column.gaps is not None:
            floats[place, : rows[place]][column.gaps] = np.nan
    return [floats[place, :count] for place, count in enumerate(rows)]


def _inflate(columns: Sequence[Column]) -> None:
    """Inflate the blocks that the columns need in one call: zstd takes frames one after another as one stream."""
    needed = {id(column.block): column.block for column in columns if column.kind >> 5}
    blocks = [block for block in needed.values() if len(block.bytes) < block.size]
    if not blocks:
        return
    size = sum(block.size for block in blocks)
    inflated = np.frombuffer(bytes(cramjam.zstd.decompress(b"".join([b.packed for b in blocks]), size)), np.uint8)
    end = 0
    for block in blocks:
        block.bytes = inflated[end : end + block.size]
        end += block.size
