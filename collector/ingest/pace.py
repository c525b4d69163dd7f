"""At what pace backlogs come back after an outage: set by the collector, so that all together are what it can take."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from collector.ingest.intake import Taken

MAX_PACE: Final = 60.0
LEAST_PACE: Final = 0.1  # seconds between two pieces of a backlog when nothing stands in its way


class Pace:
    """Shares a rate of bytes among all who send backlogs: whoever comes while it is used up is told to wait longer."""

    def __init__(self, rate: float, chance: Callable[[], float] = random.random) -> None:
        """`rate` is in bytes a second; 0: no bound."""
        self._rate = rate
        self._random = chance
        self._debt = 0.0  # bytes that came beyond the rate
        self._at = 0.0

    def take(self, size: int, now: float) -> float:
        """Count a piece of a backlog; return after how many seconds its sender is to send the next."""
        if not self._rate:
            return 0.0
        self._debt = max(0.0, self._debt - max(0.0, now - self._at) * self._rate) + size
        self._at = now
        late = self._debt / self._rate - 1.0  # a second's worth may come at once
        return min(late * (1 + self._random()), MAX_PACE) if late > 0 else 0.0

    def advice(self, taken: Taken, size: int, now: float) -> float | None:
        """Return the pace to tell the sender of a backlog, None for nothing: one that was told holds until another."""
        if taken.rows < 2:
            return None
        pace = self.take(size, now)
        told, taken.sender.paced = taken.sender.paced, pace > 0
        return max(pace, LEAST_PACE) if told or pace else None

    def retry_after(self) -> int:
        """Return the seconds after which one may try again who was refused because too much waits."""
        return 1 + int(4 * self._random())
