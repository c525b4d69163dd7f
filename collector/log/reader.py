"""The reading end of the log: a consumer's place in it."""

from pathlib import Path

from agent import wire
from collector.log.record import MAX_GROUP, Record, decode_group
from collector.log.segments import Segment, group_after, group_at, segments

_CHUNK = 4 << 20


class Reader:
    """Reads the log's records in order from a position on, while it grows.

    Attributes:
        position: the number of the next record that will be read.
        lost_bytes: bytes passed over because they are no sound group: damage, and the torn tails of crashes.
        lost_records: records that are missing before the one that was read last.
    """

    def __init__(self, directory: Path, position: int = 1) -> None:
        self.position = max(position, 1)
        self.lost_bytes = 0
        self.lost_records = 0
        self._directory = directory
        self._segment: Segment | None = None
        self._offset = 0

    def read(self, until: int) -> list[Record]:
        """Return the next records whose number is below `until`, some megabytes of them; none at the end.

        Records below `until` must be durable: what is not sound there is damage, not a group in the making.
        """
        while self.position < until:
            if self._segment is None:
                self._segment = self._holding()
            if self._segment is None:
                return []
            records = self._read_segment(self._segment, until)
            if records or not self._go_to_next(self._segment):
                return records
        return []

    def _holding(self) -> Segment | None:
        """Return the segment in which the next record is: the last that does not begin after it, else the first."""
        found = segments(self._directory)
        earlier = [segment for segment in found if segment.first <= self.position]
        return earlier[-1] if earlier else next(iter(found), None)

    def _read_segment(self, segment: Segment, until: int) -> list[Record]:
        """Return the records of the next groups of this segment; none at its end."""
        chunk = _CHUNK
        with segment.path.open("rb") as file:
            while True:
                file.seek(self._offset)
                buffer = file.read(chunk)
                records, used = self._decode(buffer, segment.log_id, until)
                self._offset += used
                if records or len(buffer) < chunk:
                    return records
                if not used and chunk <= MAX_GROUP:
                    chunk *= 4  # the group is larger than the buffer
                elif not used:
                    self._pass_over(len(buffer) - len(wire.MAGIC))

    def _decode(self, buffer: bytes, log_id: int, until: int) -> tuple[list[Record], int]:
        """Return the records of the groups in the buffer, and how many of its bytes they take."""
        records: list[Record] = []
        used = 0
        while used < len(buffer) and self.position < until:
            frame = group_at(buffer, used, log_id)
            if frame is None:
                frame = group_after(buffer, used, log_id)
                if frame is None:
                    break
                self.lost_bytes += frame.start - wire.HEADER.size - used
            used = frame.end
            records += self._wanted(decode_group(buffer, frame))
        return records, used

    def _wanted(self, group: list[Record]) -> list[Record]:
        """Return a group's records from the position on, and go behind them."""
        first = group[0].number
        if first > self.position:
            self.lost_records += first - self.position
        wanted = group[max(self.position - first, 0) :]
        self.position = max(self.position, first + len(group))
        return wanted

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
