"""How far the history has come in the log, so that a replay after a restart neither repeats a row nor loses one.

The log gives each device's rows in the same order at every replay. So it is enough to count them: a *mark* is a
position of the log with the number of rows that each device had sent by then. The history replays from the latest mark
whose rows are all in chunks; of what comes after it, the rows of a device that are in chunks already are the first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple


class Mark(NamedTuple):
    """A position of the log, and how many rows each device had sent before it."""

    position: int
    rows: Mapping[int, int]


class Progress:
    """Counts the rows of each device: seen, and written in chunks, from the first of all."""

    def __init__(self, base: Mark | None = None, written: Mapping[int, int] | None = None) -> None:
        """Start a replay at `base`, when the first `written[device]` rows are in chunks."""
        self.base = base or Mark(0, {})
        self.written: dict[int, int] = dict(written or {})
        self.seen: dict[int, int] = dict(self.base.rows)
        self._marks: deque[tuple[Mark, dict[int, int]]] = deque()

    def take(self, device: int, rows: int) -> int:
        """Count rows that the log gives; return how many of them, the first ones, are in chunks already."""
        before = self.seen.get(device, 0)
        self.seen[device] = before + rows
        written = self.written.get(device, 0)
        return min(rows, written - before) if written > before else 0

    def wrote(self, device: int, rows: int) -> None:
        """Count a device's first `rows` rows as written, which they may have been before."""
        self.written[device] = max(rows, self.written.get(device, 0))

    def mark(self, position: int) -> None:
        """Remember that all that was seen by now lies before `position`."""
        waiting = {device: rows for device, rows in self.seen.items() if self.written.get(device, 0) < rows}
        self._marks.append((Mark(position, dict(self.seen)), waiting))

    def advance(self) -> bool:
        """Move the base to the latest mark before which every row is written; return whether it moved."""
        moved = False
        while self._marks and not self._waits(self._marks[0][1]):
            self.base, _ = self._marks.popleft()
            moved = True
        return moved

    def _waits(self, waiting: dict[int, int]) -> bool:
        while waiting:
            device, rows = next(iter(waiting.items()))
            if self.written.get(device, 0) < rows:
                return True
            del waiting[device]
        return False
