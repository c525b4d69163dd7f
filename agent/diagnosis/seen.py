"""Which requests were taken already, so that none is carried out twice, not after a restart either.

The file has its whole length from the start and is written in place, so that a full disk, which is what a diagnosis
may be about, does not matter. A record is the nonce (16 bytes), the id (16 bytes) and when the request expires.
"""

from __future__ import annotations

import os
import struct

from agent.diagnosis.errors import Refusal
from agent.diagnosis.request import MAX_LIFE

RECORD = struct.Struct("<16s16sq")
ROOM = 1_024  # records; so many at once that none of them may be forgotten cannot come honestly
KEPT = 3_600  # seconds beyond its end for which a request is remembered, for clocks are set back


class Seen:
    """The memory in a file; held by one process at a time (see State in frame.py)."""

    def __init__(self, path: str) -> None:
        self._path = path

    def take(self, nonce: str, identity: str, expires: float, now: float) -> bool:
        """Remember a request; return False if its id was taken before, under another nonce.

        Raises:
            Refusal: the nonce was taken before, or nothing may be forgotten to make room.
            OSError: it cannot be written, so nothing may be carried out.
        """
        own, name = bytes.fromhex(nonce), bytes.fromhex(identity.replace("-", ""))
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
        try:
            records = list(RECORD.iter_unpack(_whole(file)))
            if any(record[0] == own for record in records):
                raise Refusal("replayed", "a request that was here before")
            free = min(range(ROOM), key=lambda number: records[number][2])
            if records[free][2] + KEPT > now:
                raise Refusal("flood", f"more than {ROOM} requests within an hour")
            os.lseek(file, free * RECORD.size, os.SEEK_SET)
            os.write(file, RECORD.pack(own, name, int(expires)))
            os.fsync(file)
            return all(record[1] != name for record in records)
        finally:
            os.close(file)

    def within(self, seconds: float, now: float) -> int:
        """Return how many requests were taken within the last seconds, as near as their ends tell."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
        try:
            return sum(record[2] > now - seconds + MAX_LIFE for record in RECORD.iter_unpack(_whole(file)))
        finally:
            os.close(file)


def _whole(file: int) -> bytes:
    """Return the file's content; what is missing of its length is made."""
    size = RECORD.size * ROOM
    data = os.read(file, size)
    if len(data) < size:
        os.lseek(file, 0, os.SEEK_SET)
        data = data.ljust(size, b"\0")
        left = memoryview(data)
        while left:
            left = left[os.write(file, left) :]
        os.fsync(file)
    return data
