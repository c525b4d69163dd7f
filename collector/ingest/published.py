"""How far each ingest process has come, in memory that the processes share."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Final

from collector.log import Log

_SLOTS: Final = 64


class Heads:
    """The heads of the partitions: a number of 64 bits for each, in a file that processes map.

    A process publishes its head before it acknowledges what lies below.
    """

    def __init__(self, path: Path, *, make: bool) -> None:
        if make:
            path.write_bytes(bytes(8 * _SLOTS))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8 * _SLOTS)
        self._numbers = memoryview(self._map).cast("Q")

    def publish(self, partition: int, head: int) -> None:
        """Tell the head of a partition."""
        self._numbers[partition] = head

    def read(self) -> list[int]:
        """Return all heads as they were at one moment: read again until nothing has changed meanwhile."""
        while True:
            first = self._numbers.tolist()
            if first == self._numbers.tolist():
                return first

    def close(self) -> None:
        """Unmap the file."""
        self._numbers.release()
        self._map.close()


class PublishedLog(Log):
    """A partition whose head is published as soon as a group is durable."""

    def __init__(self, directory: Path, heads: Heads, partition: int, *, floor: int, segment_bytes: int) -> None:
        super().__init__(directory, floor=floor, segment_bytes=segment_bytes)
        self._heads, self._partition = heads, partition
        heads.publish(partition, self.head)

    def append(self, records: list[bytes]) -> int:
        """Make records durable, publish, and return the number of the first.

        Raises:
            LogError: as for any log.
        """
        first = super().append(records)
        self._heads.publish(self._partition, self.head)
        return first
