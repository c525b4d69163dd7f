"""Records of the log, and the groups in which they are made durable.

A group is a frame of the wire protocol (kind GROUP): its epoch is a random number of the log, which no device can
know and so none can forge a group inside its own data; its seq is the number of its first record. Its payload is
the number of its records (u64), the length of each (u32, all together padded to 8 bytes), and the records, each a
header and a body padded to 8 bytes. By the lengths a reader finds all records at once, without going through them.
"""

import struct
from array import array
from enum import IntEnum
from typing import Final, NamedTuple

from agent import wire

HEADER: Final = struct.Struct("<IB3xI4xdd")
COUNT: Final = struct.Struct("<Q")
MAX_GROUP: Final = 64 << 20
Buffer = bytes | bytearray
_PADDING: Final = [bytes(-n % 8) for n in range(8)]


class RecordKind(IntEnum):
    """What a record's body is."""

    FRAME = 1  # one frame of the wire protocol, from `device`
    TICK = 2  # empty: the rules are evaluated as of `received`
    DEVICE = 3  # JSON: the target labels of `device`; null when it was retired
    RULES = 4  # JSON: file name → text of the rule files that hold from here on
    START = 5  # empty: the collector began to listen
    FACTS = 8  # JSON: what the register knows around devices and sites, as `collector.facts.Facts`
    ALERTS = 9  # JSON: alerts that others raise, as `collector.foreign.message.Post`
    TABLES = 7  # JSON: "thresholds" and "baselines" → text of those files, which hold from here on


class Record(NamedTuple):
    """One entry of the log.

    `received` is the collector's clock; `skew` is what must be added to the sender's times to have them on that
    clock. `number` counts all records of the log from 1.
    """

    number: int
    kind: int
    device: int
    received: float
    skew: float
    body: bytes


def encode(kind: int, device: int, received: float, skew: float, body: bytes) -> bytes:
    """Return a record as it stands in a group."""
    return HEADER.pack(len(body), kind, device, received, skew) + body + _PADDING[len(body) & 7]


def encode_group(log_id: int, first: int, records: list[bytes]) -> bytearray:
    """Return the frame that makes `records` durable together; `first` is the number of the first."""
    lengths = array("I", map(len, records))
    if len(records) & 1:
        lengths.append(0)
    size = COUNT.size + 4 * len(lengths) + sum(lengths)
    head = wire.HEADER.pack(wire.MAGIC, wire.Kind.GROUP, size, 0, log_id, first)
    group = bytearray().join((head, COUNT.pack(len(records)), lengths.tobytes(), *records))
    wire.seal(group)
    return group


def records_in(buffer: Buffer, group: wire.Frame) -> int:
    """Return how many records a group has."""
    return int(COUNT.unpack_from(buffer, group.start)[0])
