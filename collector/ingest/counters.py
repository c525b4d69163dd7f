"""What an agents' port did."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """What the port did since its start."""

    requests: dict[int, int] = field(default_factory=dict)  # by HTTP status
    refused: dict[str, int] = field(default_factory=dict)  # pushes, by reason
    pushes: int = 0
    values: int = 0
    bytes: int = 0
    duplicates: int = 0  # pushes of which nothing was new

    def count(self, status: int, number: int = 1) -> None:
        """Count answers."""
        self.requests[status] = self.requests.get(status, 0) + number
