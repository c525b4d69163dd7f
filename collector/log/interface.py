"""What the collector asks of a log: small, so that a log on several machines (NATS JetStream) can take its place.

`Log` and `Reader` are the ones of one machine, `MergedReader` that of several processes on it.
"""

from __future__ import annotations

from typing import Protocol

from collector.log.block import Block


class Writing(Protocol):
    """The writing end. It has one writer.

    Attributes:
        head: the number that the next record will have; numbers go up by one.
    """

    head: int

    def append(self, records: list[bytes]) -> int:
        """Make records durable, all or none of them, and return the number of the first.

        When this returns, a power failure does not take them. (Of JetStream that asks for `sync_interval: always`.)

        Raises:
            LogError: none of them is in the log, and the next append tries anew.
        """

    def drop(self, *, before: int, keep_bytes: int, written_before: float = 0.0) -> int:
        """Remove what is oldest, but nothing from record `before` on; return how many files it was."""

    def close(self) -> None:
        """Let go of files and connections."""


class Reading(Protocol):
    """A reading end, of which each consumer has its own. It keeps no state in the log: its place is the consumer's.

    Attributes:
        position: the number of the next record that will be read.
        lost_bytes: what was passed over because it is damaged.
    """

    @property
    def position(self) -> int:
        """The number of the next record that will be read."""

    @property
    def lost_bytes(self) -> int:
        """Bytes that were no sound records."""

    def read_block(self, until: int) -> Block | None:
        """Return the next records whose number is below `until`, some megabytes of them; None at the end.

        Every reader sees the same records in the same order, at whatever time, in blocks of whatever size.
        """
