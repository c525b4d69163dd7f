"""The writing end of the log."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from collector.errors import LogError
from collector.log.record import encode_group, records_in
from collector.log.segments import Segment, drop_segments, group_after, group_at, path_of, segments
from collector.log.tail import Tail, Written

SEGMENT_BYTES = 256 << 20


class Log:
    """Appends groups of records, each durable when `append` returns.

    Each start begins a segment of its own, so that nothing is ever written behind a torn tail. A group that could
    not be written whole is cut off again, so that a consumer never sees records that were not acknowledged.

    Attributes:
        head: the number that the next record will have.
        size: bytes in all segments.
        tail: the groups that were written last, for readers in this process.
    """

    def __init__(self, directory: Path, *, floor: int = 1, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Open the log of a directory; `floor` is a number that no record may be below: consumers have been there."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.directory = directory
        self.head = max(_next_number(directory), floor)
        self.size = sum(segment.path.stat().st_size for segment in segments(directory))
        self._segment_bytes = segment_bytes
        self._id = secrets.randbits(64)
        self._file = -1
        self._offset = 0
        self._begun = self.head  # the first record of the file
        self.tail = Tail()

    def append(self, records: list[bytes]) -> int:
        """Make records (see record.encode) durable, and return the number of the first.

        Raises:
            LogError: the disk is full or failing; none of the records is in the log, and the next append tries anew.
        """
        group = encode_group(self._id, self.head, records)
        try:
            if self._file < 0 or self._offset > self._segment_bytes:
                self._begin_segment()
            self._write(group)
            os.fdatasync(self._file)
        except OSError as error:
            self._undo()
            raise LogError(f"The log in {self.directory} takes no records: {error.strerror}.") from error
        first = self.head
        self.head += len(records)
        self.size += len(group)
        self._offset += len(group)
        segment = Segment(self._begun, self._id, path_of(self.directory, self._begun, self._id))
        self.tail.add(first, Written(group, self.head, segment, self._offset))
        return first

    def _write(self, group: bytearray) -> None:
        rest = memoryview(group)
        while rest:  # a full disk shows as a short write first, and as an error on the next one only
            rest = rest[os.write(self._file, rest) :]

    def _begin_segment(self) -> None:
        self._close_file()
        flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(path_of(self.directory, self.head, self._id), flags, 0o600)
        self._offset = 0
        self._begun = self.head
        directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _undo(self) -> None:
        """Cut what was not acknowledged, and leave the file: after a failed sync its pages cannot be trusted."""
        if self._file >= 0:
            with suppress(OSError):
                os.ftruncate(self._file, self._offset)
            self._close_file()

    def _close_file(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def drop(self, *, before: int, keep_bytes: int, written_before: float = 0.0) -> int:
        """Remove the oldest segments while all holds more than `keep_bytes`, and those that were written to before
        that time (Unix seconds) last; return how many.

        A segment with records that some consumer still needs (`before` and later) stays, as does the newest.
        """
        dropped = drop_segments(self.directory, before, keep_bytes, written_before)
        self.size -= sum(dropped)
        return len(dropped)

    def close(self) -> None:
        """Close the file; everything in it is durable already."""
        self._close_file()


def _next_number(directory: Path) -> int:
    """Return the number after the last sound record of the log."""
    for segment in reversed(segments(directory)):
        buffer = segment.path.read_bytes()
        number = segment.first
        at = 0
        while (frame := group_at(buffer, at, segment.log_id) or group_after(buffer, at, segment.log_id)) is not None:
            number = frame.seq + records_in(buffer, frame)
            at = frame.end
        if number > segment.first:
            return int(number)
        if buffer:
            return segment.first + 1
        segment.path.unlink()  # nothing was acknowledged from here, and its number is the next one's
    return 1
