"""At what pace something counts up, over the last minute: what agents send comes in bursts seconds apart."""

from __future__ import annotations

from collections import deque
from typing import Final

SPAN: Final = 60.0


class RecentRate:
    """A counter's rate. `note` is called every few seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque()

    def note(self, now: float, total: float) -> None:
        """Take a reading of the counter."""
        if self._seen and now < self._seen[-1][0]:
            self._seen.clear()  # the clock was put back
        self._seen.append((now, total))
        while len(self._seen) > 2 and self._seen[1][0] <= now - SPAN:
            self._seen.popleft()

    def rate(self) -> float:
        """Return the counts a second between the oldest reading of the last minute and the newest."""
        if len(self._seen) < 2:
            return 0.0
        (since, before), (until, after) = self._seen[0], self._seen[-1]
        return max(0.0, after - before) / (until - since) if until > since else 0.0
