"""The engine's dump: a header with a checksum, the alerts as msgpack, the fleet as it dumps itself."""

from __future__ import annotations

import struct
import zlib
from typing import Final

import msgspec

from rules.errors import StateError
from rules.roster import SavedRule

__all__ = ["Saved", "SavedRule", "decode", "encode"]

VERSION: Final = 1
_HEADER: Final = struct.Struct("<4sHHIQQ")  # magic, version, zero, crc32 of what follows, two lengths
_MAGIC: Final = b"WDEN"


class Saved(msgspec.Struct, frozen=True):
    """The engine's own part: the last tick, the last number given to a rule, the slots of the groups, the rules."""

    now: float
    owners: int
    slots: dict[str, int]
    rules: list[SavedRule]


def encode(saved: Saved, fleet: bytes) -> bytes:
    """The dump of an engine and its fleet."""
    own = msgspec.msgpack.encode(saved)
    crc = zlib.crc32(fleet, zlib.crc32(own))
    return b"".join((_HEADER.pack(_MAGIC, VERSION, 0, crc, len(own), len(fleet)), own, fleet))


def decode(data: bytes) -> tuple[Saved, bytes]:
    """What `encode` was given; StateError if this is not it."""
    if len(data) < _HEADER.size:
        raise StateError("the dump is too short")
    magic, version, _, crc, own, fleet = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise StateError("this is not a dump of the rule engine")
    if version != VERSION:
        raise StateError(f"the dump is of version {version}, this engine reads {VERSION}")
    start = _HEADER.size
    if len(data) != start + own + fleet or zlib.crc32(memoryview(data)[start:]) != crc:
        raise StateError("the dump is damaged")
    try:
        saved = msgspec.msgpack.decode(memoryview(data)[start : start + own], type=Saved)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StateError(f"the dump cannot be read: {error}") from None
    return saved, bytes(data[start + own :])
