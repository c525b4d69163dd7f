"""The pages with a million incidents behind them: how long a browser on this machine waits for each."""

import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import sqlalchemy

from tests.bench.figure import Figure
from tests.ticketing.web.world import Visitor, World, served
from ticketing.incident import UNRESOLVED
from ticketing.scope import EVERYTHING

INCIDENTS: Final = 1_000_000
OPEN_EVERY: Final = 200  # every so manieth is unresolved: 5,000
ROUNDS: Final = 20
PAGES: Final = (
    "/",
    "/?show=mine",
    "/?show=resolved",
    "/?show=all",
    "/?priority=2",
    "/?customer=c7",
    "/?site=s1",
    "/?q=h200",
    f"/incidents/{OPEN_EVERY}",
    "/devices",
    "/devices/1",
)
_TEXTS: Final = {
    "summary": "A disk is 96% full",
    "impact": "When this disk is full, programs that write to it fail.",
    "first_steps": "See what has grown.",
    "closes": "Less than 90% is used.",
    "value_unit": "percent",
    "threshold": "90",
}
# Made by the database itself: a million alerts through the store would take longer than all that is measured here.
_FILL: Final = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
INSERT INTO incidents (id, customer, site, device, klass, alertname, key, labels, annotations, state, severity, impact,
  urgency, priority, value, count, active_at, opened_at, updated_at, version, comments, changes, repeat, quiet,
  resolved_at)
SELECT i, 'c' || (i % 301), 's' || (i % 3), 'h' || (i % 5003), 'server', 'DiskFull',
  'c' || (i % 301) || '/s' || (i % 3) || '/h' || (i % 5003) || '/DiskFull/' || i, '{"mountpoint": "/var"}', :texts,
  CASE WHEN i % :every = 0 THEN 'open' ELSE 'resolved' END, 'critical', 2, 2, 1 + (i / :every) % 4, 96.0, 1,
  :start + i, :start + i, :start + i, 1, 0, '[]', 0, 0, CASE WHEN i % :every = 0 THEN NULL ELSE :start + i + 600 END
FROM n
"""
_STORY: Final = """
INSERT INTO timeline (incident, version, customer, at, actor, action, reason, quiet, internal, data)
SELECT id, 1, customer, opened_at, 'watchdesk', 'open', 'new_fault', 0, 0, '{}' FROM incidents
"""


def run() -> Iterator[Figure]:
    """Yield the 95th percentile over all pages, and the median of the queue."""
    with tempfile.TemporaryDirectory() as directory, served(Path(directory)) as world:
        fill(world, Path(directory))
        times = {path: waits(world.person("nora"), path) for path in PAGES}
    every = [wait for waited in times.values() for wait in waited]
    yield Figure("surfaces.page_p95_ms", statistics.quantiles(every, n=20)[-1], "ms", n=len(every))
    yield Figure("incidents.queue_page_ms_at_1m", statistics.median(times["/"]), "ms", n=len(times["/"]))


def fill(world: World, directory: Path) -> None:
    """Put INCIDENTS incidents with their first entries into the world's database."""
    engine = sqlalchemy.create_engine(f"sqlite:///{directory / 'watchdesk.db'}")
    values = {
        "count": INCIDENTS,
        "every": OPEN_EVERY,
        "texts": json.dumps(_TEXTS),
        "start": time.time() - 2 * INCIDENTS,
    }
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(_FILL), values)
        connection.execute(sqlalchemy.text(_STORY))
    engine.dispose()
    found = world.store.counts(EVERYTHING)
    if found.total != INCIDENTS // OPEN_EVERY or not set(found.states) <= UNRESOLVED:
        raise ValueError(f"the database holds {found.total} open incidents, not {INCIDENTS // OPEN_EVERY}")


def waits(visitor: Visitor, path: str) -> list[float]:
    """Return how long each of ROUNDS requests took, in milliseconds; the first of all is not counted."""
    taken = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        answer = visitor.get(path)
        taken.append((time.perf_counter() - began) * 1000)
        if answer.status_code != 200:
            raise ValueError(f"{path} answered {answer.status_code}")
    return taken[1:]
