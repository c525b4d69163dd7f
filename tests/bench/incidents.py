"""Incidents in a database: a storm of 100,000 distinct alerts opened, updated, resolved; one alert after the other."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal

import sqlalchemy

from collector.tuning import calm_collector
from tests import postgres
from tests.bench.figure import Figure
from tests.scenarios.story import Story
from tests.scenarios.test_stories import STORIES
from ticketing.alert import Alert, fingerprint
from ticketing.database import connect
from ticketing.models import Base
from ticketing.scope import EVERYTHING
from ticketing.store import Store

STORM: Final = 100_000
SINGLES: Final = 500
BEHIND: Final = 20_000  # open incidents beside the single alerts
T: Final = 1_760_000_000.0
_TEXTS: Final = {
    "summary": "/data is 96% full",
    "impact": "When this disk is full, programs that write to it fail.",
    "first_steps": "See what has grown.",
    "closes": "Less than 90% is used.",
    "value_unit": "percent",
    "threshold": "90",
}


def run() -> Iterator[Figure]:
    """Yield the storm's three parts and the single alerts, for each database."""
    calm_collector()  # as the collector does
    yield from causes()
    for name, engines in (("sqlite", _sqlite), ("postgresql", _postgresql)):
        with engines() as engine:
            yield from storm(engine, name)
            yield from singles(engine, name)


def causes() -> Iterator[Figure]:
    """Play all stories of tests/scenarios: tickets for each cause, causes without a ticket, tickets without a cause."""
    Story.scores.clear()
    for story in STORIES:
        with suppress(AssertionError):  # what is wrong is in the score
            story(None)
    scores = Story.scores
    told = sum(score.causes for score in scores)
    per_cause = sum(score.tickets for score in scores) / told
    yield Figure("incidents.tickets_per_cause", per_cause, "tickets", n=told)
    yield Figure("incidents.missed", sum(score.missed for score in scores), "causes", n=told)
    yield Figure("incidents.false", sum(score.false for score in scores), "tickets", n=told)


def storm(engine: sqlalchemy.Engine, name: str) -> Iterator[Figure]:
    """Open, update and resolve STORM incidents, each in one transaction."""
    store = _empty(engine)
    parts: tuple[tuple[str, Literal["firing", "resolved"], float], ...] = (
        ("open", "firing", 91.0),
        ("update", "firing", 95.0),
        ("resolve", "resolved", 95.0),
    )
    for number, (what, state, value) in enumerate(parts, 1):
        at = T + 600.0 * number
        alerts = [alert(device, state, value, at) for device in range(STORM)]
        took = _timed(store, alerts, number, at)
        yield Figure(f"incidents.{what}_100k_seconds_{name}", took, "s", n=STORM)
    with engine.connect() as connection:
        told = connection.scalar(sqlalchemy.text("SELECT count(*) FROM timeline"))
    if told < 3 * STORM or store.counts(EVERYTHING).total:  # correlation adds incidents of its own
        raise ValueError(f"the timeline has {told} entries of {3 * STORM}, or something is still open")


def singles(engine: sqlalchemy.Engine, name: str) -> Iterator[Figure]:
    """Open one incident at a time beside many that are open."""
    store = _empty(engine)
    store.apply([alert(device, "firing", 91.0, T) for device in range(BEHIND)], consumer="bench", position=1, now=T)
    taken = []
    for number in range(SINGLES):
        one = [alert(BEHIND + number, "firing", 91.0, T + number)]
        taken.append(_timed(store, one, number + 2, T + number))
    cuts = statistics.quantiles(taken, n=100)
    yield Figure(f"incidents.commit_p50_ms_{name}", cuts[49] * 1000, "ms", n=SINGLES)
    yield Figure(f"incidents.commit_p99_ms_{name}", cuts[98] * 1000, "ms", n=SINGLES)


def alert(device: int, state: Literal["firing", "resolved"], value: float, at: float) -> Alert:
    """Return an alert of a device of its own, and of a rule that fires nowhere else at this customer.

    The same rule on many devices would be one cause, which correlation makes one incident with members of.
    """
    customer, host, rule = f"c{device % 300}", f"h{device}", f"Fault{device // 300}"
    labels = {
        "alertname": rule,
        "customer": customer,
        "site": "hq",
        "class": "server",
        "instance": f"{host}.hq.{customer}",
        "severity": "warning",
        "mountpoint": "/data",
    }
    began = min(at, T + 600)
    place = (customer, "hq", host, rule, "warning")
    return Alert(*place, labels, _TEXTS, state, value, at, began, fingerprint(labels))


def _timed(store: Store, alerts: list[Alert], position: int, now: float) -> float:
    began = time.perf_counter()
    store.apply(alerts, consumer="bench", position=position, now=now)
    return time.perf_counter() - began


def _empty(engine: sqlalchemy.Engine) -> Store:
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    return Store(engine)


@contextmanager
def _sqlite() -> Iterator[sqlalchemy.Engine]:
    with tempfile.TemporaryDirectory() as folder:
        engine = connect(f"sqlite:///{Path(folder) / 'watchdesk.db'}")
        yield engine
        engine.dispose()


@contextmanager
def _postgresql() -> Iterator[sqlalchemy.Engine]:
    with postgres.running() as server:
        engine = connect(server.database())
        yield engine
        engine.dispose()
