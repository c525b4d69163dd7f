"""Several writers at once, and writers that are killed in the middle, for real: processes, signals, both databases."""

import multiprocessing
import os
import random
import signal
from multiprocessing.synchronize import Barrier

import pytest
import sqlalchemy
from sqlalchemy import event, func, select

from tests.ticketing.alerts import T, alert
from ticketing.database import connect
from ticketing.incident import State
from ticketing.models import CursorRow, FeedRow, IncidentRow, TimelineRow
from ticketing.rebuild import rebuild
from ticketing.scope import EVERYTHING
from ticketing.store import Filter, Store

WORKERS, CONDITIONS, BATCH = 8, 1_000, 50  # a tenth of the 10,000 conditions of a whole run
FORK = multiprocessing.get_context("fork")
ANY = Filter(states=frozenset(State))


def _raise_all(url: str, worker: int, barrier: Barrier, conditions: int) -> None:
    engine = connect(url, busy_seconds=100.0)
    store = Store(engine)
    order = list(range(conditions))
    random.Random(worker).shuffle(order)  # so that they meet everywhere, not one after the other
    barrier.wait()
    for start in range(0, conditions, BATCH):
        batch = [alert(at=1 + worker / 10, mount=f"/{number}") for number in order[start : start + BATCH]]
        store.apply(batch, consumer=f"worker{worker}", position=start + 1, now=T + 9)
    engine.dispose()


def _race(url: str, conditions: int) -> None:
    barrier = FORK.Barrier(WORKERS)
    workers = [FORK.Process(target=_raise_all, args=(url, number, barrier, conditions)) for number in range(WORKERS)]
    for process in workers:
        process.start()
    for process in workers:
        process.join(1000)
    assert [process.exitcode for process in workers] == [0] * WORKERS


def _check(engine: sqlalchemy.Engine, conditions: int) -> None:
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(IncidentRow)) == conditions
        keys = select(func.count(IncidentRow.key.distinct())).where(IncidentRow.resolved_at.is_(None))
        assert connection.scalar(keys) == conditions
    store = Store(engine)
    for number in (1, conditions // 2, conditions - 1):
        [found] = store.incidents(EVERYTHING, Filter(text=f"DiskFull//{number}")).incidents[:1]
        whole = store.incident(EVERYTHING, found.id)
        assert whole is not None
        assert rebuild(store.timeline(EVERYTHING, found.id) or []) == whole


def test_eight_workers_open_one_incident_for_each_condition(engine: sqlalchemy.Engine) -> None:
    _race(engine.url.render_as_string(hide_password=False), CONDITIONS)
    _check(engine, CONDITIONS)


@pytest.mark.soak
def test_eight_workers_and_ten_thousand_conditions(engine: sqlalchemy.Engine) -> None:
    _race(engine.url.render_as_string(hide_password=False), 10 * CONDITIONS)
    _check(engine, 10 * CONDITIONS)


def _apply_until_killed(url: str, statement: int) -> None:
    """Take alerts in, killed by SIGKILL just before a statement or, past the last, before the commit."""
    engine = connect(url)
    seen = 0

    def kill(*_anything: object) -> None:
        nonlocal seen
        seen += 1
        if seen == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(engine, "before_cursor_execute", kill)
    event.listen(engine, "commit", kill)
    mixed = [alert("resolved", 60, mount="/first"), alert(at=60, mount="/second"), alert(at=61, mount="/second")]
    Store(engine).apply(mixed, consumer="test", position=2, now=T + 61)
    os._exit(0)  # not the exit handlers of the tests


def test_killed_before_any_statement_nothing_or_everything_is_there(engine: sqlalchemy.Engine) -> None:
    store = Store(engine)
    store.apply([alert(mount="/first")], consumer="test", position=1, now=T)
    engine.dispose()
    for statement in range(1, 100):
        child = FORK.Process(
            target=_apply_until_killed, args=(engine.url.render_as_string(hide_password=False), statement)
        )
        child.start()
        child.join(60)
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL
        assert _counts(engine) == (1, 1, 1, 1)
    assert statement > 5
    assert _counts(engine) == (2, 2, 2, 4)
    states = {one.key.rpartition("/")[2]: one.state for one in store.incidents(EVERYTHING, ANY).incidents}
    assert states == {"first": State.RESOLVED, "second": State.OPEN}


def _counts(engine: sqlalchemy.Engine) -> tuple[int | None, ...]:
    """Return the position, and how many incidents, alerts and entries there are."""
    with engine.connect() as connection:
        position = connection.scalar(select(CursorRow.position))
        tables = (IncidentRow, FeedRow, TimelineRow)
        return (position, *(connection.scalar(select(func.count()).select_from(table)) for table in tables))
