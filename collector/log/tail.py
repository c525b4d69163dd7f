"""The groups that were written last, in memory: a consumer that keeps up need not read and check them again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import NamedTuple

from collector.log.segments import Segment

TAIL_BYTES = 48 << 20


class Written(NamedTuple):
    """A group as it was written: where it is in the log, and where in the files it ends."""

    group: bytearray
    following: int  # the number of the record after it
    segment: Segment
    end: int


class Tail:
    """The newest groups of a log, some megabytes of them. Writer and readers may be different threads."""

    def __init__(self, limit: int = TAIL_BYTES) -> None:
        self._limit = limit
        self._groups: OrderedDict[int, Written] = OrderedDict()  # by the number of the first record
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, first: int, written: Written) -> None:
        """Keep a group, and let the oldest go."""
        with self._lock:
            self._groups[first] = written
            self._bytes += len(written.group)
            while self._bytes > self._limit and len(self._groups) > 1:
                self._bytes -= len(self._groups.popitem(last=False)[1].group)

    def since(self, number: int, until: int, limit: int) -> list[Written]:
        """Return the groups from the one that begins with this record on, all below `until`, of about `limit` bytes;
        none if that group is not here (any more).
        """
        found: list[Written] = []
        with self._lock:
            while number < until and limit > 0 and (written := self._groups.get(number)) is not None:
                found.append(written)
                limit -= len(written.group)
                number = written.following
        return found
