"""The reading end of the log: a consumer's place in it."""

from __future__ import annotations

from pathlib import Path

from agent import wire
from collector.log.block import Block, block_of
from collector.log.record import MAX_GROUP, Buffer, Record, records_in
from collector.log.segments import Segment, group_after, group_at, segments
from collector.log.tail import Tail

CHUNK = 4 << 20


class Reader:
    """Reads the log's records in order from a position on, while it grows.

    Attributes:
        position: the number of the next record that will be read.
        lost_bytes: bytes passed over because they are no sound group: damage, and the torn tails of crashes.
        lost_records: records that are missing before the one that was read last.
    """

    def __init__(self, directory: Path, position: int = 1, tail: Tail | None = None, chunk: int = CHUNK) -> None:
        """`tail` is what the log's writer in this process keeps; about `chunk` bytes are read at a time."""
        self.position = max(position, 1)
        self.lost_bytes = 0
        self.lost_records = 0
        self._directory = directory
        self._tail = tail
        self._chunk = chunk
        self._segment: Segment | None = None
        self._offset = 0

    def read(self, until: int) -> list[Record]:
        """Return the next records whose number is below `until`, some megabytes of them; none at the end.

        Records below `until` must be durable: what is not sound there is damage, not a group in the making.
        """
        block = self.read_block(until)
        return [] if block is None else list(block.records())

    def read_block(self, until: int) -> Block | None:
        """Return the same as columns; None at the end."""
        while self.position < until:
            block = self._read_tail(until)
            if block is not None:
                return block
            if self._segment is None:
                self._segment = self._holding()
            if self._segment is None:
                return None
            block = self._read_segment(self._segment, until)
            if block is not None:
                return block
            if not self._go_to_next(self._segment):
                return None
        return None

    def _read_tail(self, until: int) -> Block | None:
        """Return the next groups as they were written, if they are still in memory."""
        written = self._tail.since(self.position, until, self._chunk) if self._tail else []
        if not written:
            return None
        groups = []
        at = 0
        for one in written:
            _, kind, _, _, epoch, seq = wire.HEADER.unpack_from(one.group)
            groups.append(wire.Frame(kind, epoch, seq, at + wire.HEADER.size, at + len(one.group)))
            at += len(one.group)
        self._segment, self._offset = written[-1].segment, written[-1].end
        self.position = written[-1].following
        return block_of(b"".join([one.group for one in written]), groups)

    def _holding(self) -> Segment | None:
        """Return the segment in which the next record is: the last that does not begin after it, else the first."""
        found = segments(self._directory)
        earlier = [segment for segment in found if segment.first <= self.position]
        return earlier[-1] if earlier else next(iter(found), None)

    def _read_segment(self, segment: Segment, until: int) -> Block | None:
        """Return the records of the next groups of this segment; None at its end."""
        chunk = self._chunk
        with segment.path.open("rb") as file:
            while True:
                file.seek(self._offset)
                buffer = file.read(chunk)
                block, used = self._decode(buffer, segment.log_id, until)
                self._offset += used
                if block is not None or (len(buffer) < chunk and not used):
                    return block
                if not used and chunk <= MAX_GROUP:
                    chunk *= 4  # the group is larger than the buffer
                elif not used:
                    self._pass_over(len(buffer) - len(wire.MAGIC))

    def _decode(self, buffer: Buffer, log_id: int, until: int) -> tuple[Block | None, int]:
        """Return the records of the groups in the buffer, and how many of its bytes were used."""
        groups: list[wire.Frame] = []
        used = 0
        wanted = self.position
        while used < len(buffer) and self.position < until:
            group = group_at(buffer, used, log_id)
            if group is None:
                group = group_after(buffer, used, log_id)
                if group is None:
                    break
                if groups and (group.start - groups[0].start) % 8:
                    break  # what follows damage may be at an odd place: a block of its own
                self.lost_bytes += group.start - wire.HEADER.size - used
            used = group.end
            self._take(buffer, group, groups)
        if not groups:
            return None, used
        return block_of(buffer, groups).since(wanted), used

    def _take(self, buffer: Buffer, group: wire.Frame, groups: list[wire.Frame]) -> None:
        """Go behind a group, if it has records from the position on."""
        following = group.seq + records_in(buffer, group)
        if following <= self.position:
            return  # read before
        if group.seq > self.position:
            self.lost_records += group.seq - self.position
        groups.append(group)
        self.position = following

    def _pass_over(self, size: int) -> None:
        self._offset += size
        self.lost_bytes += size

    def _go_to_next(self, segment: Segment) -> bool:
        """Go to the segment after this one, if there is one; what is left of this one is damage."""
        following = [other for other in segments(self._directory) if other.first > segment.first]
        if not following:
            return False
        if segment.path.exists():
            self._pass_over(segment.path.stat().st_size - self._offset)
        self._segment, self._offset = following[0], 0
        return True
