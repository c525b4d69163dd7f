"""The files of the log, and how to find the sound groups in them.

A segment is named `FIRST-ID.log`: the number of its first record, and the random number of the log that wrote it.
"""

import re
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from agent import wire
from collector.log.record import MAX_GROUP, Buffer

_GROUP = bytes([wire.Kind.GROUP])
_NAME = re.compile(r"(\d{20})-([0-9a-f]{16})\.log")


class Segment(NamedTuple):
    """A file of the log: the number of its first record, the random number that its groups bear."""

    first: int
    log_id: int
    path: Path


def segments(directory: Path) -> list[Segment]:
    """Return the segments in order of their records."""
    named = [(_NAME.fullmatch(path.name), path) for path in directory.iterdir()]
    return sorted(Segment(int(match[1]), int(match[2], 16), path) for match, path in named if match)


def path_of(directory: Path, first: int, log_id: int) -> Path:
    """Return the name of a segment."""
    return directory / f"{first:020d}-{log_id:016x}.log"


def group_at(buffer: Buffer, at: int, log_id: int) -> wire.Frame | None:
    """Return the group that starts at `at`, or None if there is no whole and sound one of this log."""
    frame = wire.read_frame(buffer, at, MAX_GROUP)
    if frame is not None and frame.kind == wire.Kind.GROUP and frame.epoch == log_id:
        return frame
    return None


def group_after(buffer: Buffer, at: int, log_id: int) -> wire.Frame | None:
    """Return the first sound group that starts behind `at`, past damage.

    Devices' frames inside a group bear the same magic: only a group with this log's number is taken.
    """
    while (at := buffer.find(wire.MAGIC, at + 1)) >= 0:
        if buffer[at + 4 : at + 5] == _GROUP and (frame := group_at(buffer, at, log_id)) is not None:
            return frame
    return None


def drop_segments(directory: Path, before: int, keep_bytes: int, written_before: float) -> list[int]:
    """Remove the oldest segments while all hold more than `keep_bytes`, and those that were last written to before
    that time; return their sizes.

    A segment with records that are still needed (`before` and later) stays, as does the newest.
    """
    found = segments(directory)
    stats = [segment.path.stat() for segment in found]
    size = sum(stat.st_size for stat in stats)
    dropped: list[int] = []
    for (segment, following), stat in zip(pairwise(found), stats, strict=False):
        if (size <= keep_bytes and stat.st_mtime >= written_before) or following.first > before:
            break
        segment.path.unlink()
        size -= stat.st_size
        dropped.append(stat.st_size)
    return dropped
