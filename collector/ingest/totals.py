"""What came in by all processes of a collector, for its metrics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collector.ingest.server import IngestServer


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts since the start, of the main process and of all ingest processes; by HTTP status and by reason."""

    requests: Counter[str]
    refused: Counter[str]
    pushes: int
    values: int
    bytes: int
    duplicates: int
    connections: int
    waiting_bytes: int
    errors: int
    size: int
    syncs: int
    sync_seconds: float
    processes: int
    restarts: int

    @staticmethod
    def of(server: IngestServer) -> Totals:
        """Return them as they are now."""
        counters, workers = server.counters, server.workers
        requests = Counter({str(status): count for status, count in counters.requests.items()})
        refused = Counter(counters.refused)

        def total(name: str) -> int:
            return int(workers.total(name)) if workers else 0

        if workers:
            requests.update(workers.by("requests"))
            refused.update(workers.by("refused"))
        return Totals(
            requests,
            refused,
            pushes=counters.pushes + total("pushes"),
            values=counters.values + total("values"),
            bytes=counters.bytes + total("bytes"),
            duplicates=counters.duplicates + total("duplicates"),
            connections=len(server.connections) + total("connections"),
            waiting_bytes=server.committer.waiting_bytes + total("waiting_bytes"),
            errors=server.committer.errors + total("errors"),
            size=total("size"),
            syncs=total("syncs"),
            sync_seconds=workers.total("sync_seconds") if workers else 0.0,
            processes=len(workers.stats) if workers else 0,
            restarts=workers.restarts if workers else 0,
        )
