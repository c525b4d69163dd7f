"""A schema as the history keeps it: small, for there may be one for each of ten thousand devices."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import cramjam

from collector.history.errors import CorruptChunkError

_CRC: Final = struct.Struct("<I")


@dataclass(frozen=True, slots=True, weakref_slot=True)
class SchemaRef:
    """The number by which rows name a schema (64 bits, unsigned), how many series it has, and their texts, packed."""

    id: int
    columns: int
    packed: bytes = field(repr=False)

    @property
    def series(self) -> list[str]:
        """The texts of the series, in the order of the columns."""
        return unpack(self.packed)


def pack(series: Sequence[str]) -> bytes:
    """Return the texts of series as few bytes, with their checksum in front."""
    packed = bytes(cramjam.zstd.compress("\n".join(series).encode(), 6))
    return _CRC.pack(zlib.crc32(packed)) + packed


def unpack(packed: bytes) -> list[str]:
    """Return what `pack` was given.

    Raises:
        CorruptChunkError: these are other bytes.
    """
    if len(packed) < _CRC.size or _CRC.unpack_from(packed)[0] != zlib.crc32(packed[_CRC.size :]):
        raise CorruptChunkError("the series of a schema are damaged")
    return bytes(cramjam.zstd.decompress(packed[_CRC.size :])).decode().split("\n")
