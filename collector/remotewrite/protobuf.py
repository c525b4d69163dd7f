"""The wire format of Protocol Buffers, as far as a remote write needs it.

https://protobuf.dev/programming-guides/encoding: a field is a varint tag (number << 3 | type) and a value: a varint
(type 0), 8 bytes (1), a length and so many bytes (2), or 4 bytes (5).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5
_MAX_VARINT: Final = 10


class ProtobufError(ValueError):
    """Bytes that are no message."""


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Return (value, place behind it).

    Raises:
        ProtobufError: it does not end in ten bytes, or not at all.
    """
    value = shift = 0
    for place in range(at, min(at + _MAX_VARINT, len(data))):
        byte = data[place]
        value |= (byte & 127) << shift
        if byte < 128:
            return value & 0xFFFF_FFFF_FFFF_FFFF, place + 1
        shift += 7
    raise ProtobufError(f"no varint at byte {at}")


def signed(value: int) -> int:
    """Return an int64 that was read as a varint."""
    return value - (1 << 64) if value >> 63 else value


def fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (number, type, start, stop) of each field of the message data[at:end]; stop is where the next one begins.

    For a varint, start is where it begins; for bytes, where they begin behind their length.

    Raises:
        ProtobufError: a field does not fit, or is of a type that is not known.
    """
    while at < end:
        tag, start = varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            stop = varint(data, start)[1]
        elif kind == BYTES:
            size, start = varint(data, start)
            stop = start + size
        elif kind in (FIXED64, FIXED32):
            stop = start + (8 if kind == FIXED64 else 4)
        else:
            raise ProtobufError(f"a field of type {kind} at byte {at}")
        if stop > end or not number:
            raise ProtobufError(f"a field that does not fit at byte {at}")
        yield number, kind, start, stop
        at = stop


def expect(kind: int, wanted: int, at: int) -> None:
    """Check that a field is of the type that the message gives it.

    Raises:
        ProtobufError: it is not.
    """
    if kind != wanted:
        raise ProtobufError(f"a field of type {kind} and not {wanted} at byte {at}")
