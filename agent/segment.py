"""A segment of the spool: what its file says, as far as the disk has kept it."""

from __future__ import annotations

from agent import wire

SUFFIX = ".wds"


class Item:
    """A frame in the sequence, and the schema that it needs (0: none)."""

    __slots__ = ("frame", "schema", "seq")

    def __init__(self, seq: int, frame: bytes, schema: int = 0) -> None:
        self.seq = seq
        self.frame = frame
        self.schema = schema


class Segment:
    """What is still to be sent of a segment."""

    __slots__ = ("epoch", "items", "name", "schemas")

    def __init__(self, name: str, epoch: int, items: list[Item], schemas: dict[int, bytes]) -> None:
        self.name = name
        self.epoch = epoch
        self.items = items
        self.schemas = schemas


def segment_name(epoch: int, seq: int) -> str:
    """Return the name of the segment that begins with this number; names sort by age."""
    return f"{epoch:014d}-{seq:012d}{SUFFIX}"


def epoch_of(name: str) -> int:
    """Return the epoch in a segment's name, 0 if there is none."""
    epoch = name.partition("-")[0]
    return int(epoch) if epoch.isdigit() else 0


def _first_of(name: str) -> int:
    seq = name.partition("-")[2].removesuffix(SUFFIX)
    return int(seq) if seq.isdigit() else 1


def read_segment(name: str, data: bytes) -> tuple[Segment, int, int]:
    """Return (the sound frames, damaged places, frames that are known to be lost).

    Numbers within a segment follow each other, so a gap tells what was lost; behind a torn tail none comes that would.
    """
    segment = Segment(name, 0, [], {})
    last = _first_of(name) - 1
    damaged = dropped = 0
    for found in wire.salvage(data):
        if isinstance(found, int):
            damaged += 1
        elif found.kind == wire.Kind.SCHEMA:
            payload = data[found.start : found.end]
            segment.schemas[wire.schema_id(payload)] = payload
        elif found.seq > last:
            dropped += found.seq - last - 1
            last = found.seq
            segment.epoch = found.epoch
            item = _item(data, found)
            if item is None:
                dropped += 1
            else:
                segment.items.append(item)
    return segment, damaged, dropped


def _item(data: bytes, found: wire.Frame) -> Item | None:
    schema = 0
    if found.kind == wire.Kind.ROWS:
        try:
            schema = wire.read_rows(data, found).schema
        except wire.WireError:
            return None
    return Item(found.seq, data[found.start - wire.HEADER.size : found.end], schema)
