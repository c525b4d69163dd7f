"""A database that is locked, slow, or crashes under load: what was acknowledged is in the log and becomes incidents,
once; who asks for what needs the database is told to come again.
"""

from __future__ import annotations

import http.client
import json
import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from tests import postgres
from tests.e2e.desk import Desk, eventually
from tests.e2e.desk import desk as run_desk
from tests.faults.checking import judge, prepare, records, registered, token
from tests.faults.model import Model
from tests.faults.seeds import new_seed
from tests.faults.sender import Sender
from ticketing.database import connect
from ticketing.store import Store

FAILED_BEFORE: tuple[int, ...] = ()  # seeds that once failed stay here
GROWTH = 64 << 20  # bytes that the collector may take beyond what it has


@contextmanager
def locked(desk: Desk) -> Iterator[None]:
    """Nobody else writes to the database meanwhile."""
    with closing(sqlite3.connect(desk.data / "watchdesk.db", isolation_level=None, timeout=30)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def enrol(desk: Desk, secret: str) -> tuple[int, str | None]:
    """Ask to be let in, as an agent does; return the status, and when to come again."""
    connection = http.client.HTTPConnection("127.0.0.1", desk.port + 1, timeout=60)
    connection.request("POST", "/v1/enrol", json.dumps({"token": secret, "hostname": "new", "os": "linux"}))
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, answer.getheader("Retry-After")


def push_for(sender: Sender, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sender.read()
        sender.push()
        time.sleep(0.05)


def run_locked(desk: Desk, seed: int, seconds: float) -> None:
    """Lock the database for a time, under load."""
    chance = random.Random(seed)
    prepare(desk)
    sender = Sender(desk.port + 1, token(desk), chance)
    with registered(desk) as register:
        secret = register.create_enrol_token("acme", "hq", now=time.time())
    desk.serve()
    told: list[tuple[int, str | None]] = []
    asking = threading.Thread(target=lambda: told.append(enrol(desk, secret)))
    with locked(desk):
        asking.start()
        before = len(sender.acknowledged)
        push_for(sender, seconds)
        assert len(sender.acknowledged) > before
        asking.join(30)
        [(status, again)] = told
        assert (status, bool(again)) == (503, True), f"seed {seed}"
    assert enrol(desk, secret)[0] == 201
    judge(desk, sender, f"seed {seed}")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("failed", [None, *FAILED_BEFORE])
def test_sqlite_locked(tmp_path: Path, failed: int | None) -> None:
    with run_desk(tmp_path) as desk:
        run_locked(desk, failed or new_seed(), 12.0)  # SQLite itself waits for ten


@pytest.mark.soak
def test_sqlite_locked_for_a_minute(tmp_path: Path) -> None:
    with run_desk(tmp_path) as desk:
        run_locked(desk, new_seed(), 60.0)


def run_crashes(desk: Desk, server: postgres.Postgres, seed: int, crashes: int) -> None:
    """Crash the server under load, again and again."""
    chance = random.Random(seed)
    url = server.database()
    prepare(desk, f"database: {url}\n")
    sender = Sender(desk.port + 1, token(desk, url=url), chance)
    desk.serve()
    engine = connect(url)
    desk._store = Store(engine)
    for _ in range(crashes):
        push_for(sender, chance.uniform(0.2, 1.0))
        server.crash()
        push_for(sender, chance.uniform(0.0, 0.5))
        server.start()
    push_for(sender, 0.5)
    judge(desk, sender, f"seed {seed}")
    engine.dispose()


@pytest.mark.soak
@pytest.mark.parametrize("failed", [None, *FAILED_BEFORE])
def test_postgresql_crashes_five_times(tmp_path: Path, failed: int | None) -> None:
    with postgres.running() as server, run_desk(tmp_path) as desk:
        run_crashes(desk, server, failed or new_seed(), crashes=5)


@pytest.mark.soak
def test_postgresql_crashes_fifty_times(tmp_path: Path) -> None:
    seed = new_seed()
    with postgres.running() as server:
        for part in range(5):
            (tmp_path / str(part)).mkdir()
            with run_desk(tmp_path / str(part)) as desk:
                run_crashes(desk, server, seed + part, crashes=10)


def run_slow(desk: Desk, seed: int, agents: int, seconds: float) -> None:
    """Let the database take a write a second at most, while many agents push."""
    chance = random.Random(seed)
    prepare(desk)
    now = time.time()
    with registered(desk) as register:
        secret = register.create_enrol_token("acme", "hq", now=now, uses=agents)
        tokens = [register.enrol(secret, f"pc{n}", os="linux", kind="desktop", now=now).token for n in range(agents)]
    collector = desk.serve()
    senders = [Sender(desk.port + 1, own, chance) for own in tokens]
    memory = psutil.Process(collector.pid).memory_info
    stop = threading.Event()

    def slow() -> None:
        while not stop.is_set():
            with locked(desk):
                stop.wait(1.0)

    slowing = threading.Thread(target=slow)
    slowing.start()
    before, end = memory().rss, time.monotonic() + seconds
    while time.monotonic() < end:
        for sender in senders:
            sender.read()
            sender.push()
    grown = memory().rss - before
    stop.set()
    slowing.join()
    assert grown < GROWTH, f"seed {seed}: {grown} bytes"
    for sender in senders:
        sender.drain()
    wanted = sum(len(sender.acknowledged) for sender in senders)
    eventually(lambda: 'consumer="incidents"} 0.0' in desk.scrape("/metrics") or None, seconds=60)
    assert collector.stop(60) == 0
    model = Model().run(records(desk))
    mine = {key for key in model.frames if key[1] == senders[0].epoch}
    assert (len(mine), max(model.frames.values())) == (wanted, 1), f"seed {seed}"
    with closing(sqlite3.connect(desk.data / "watchdesk.db")) as database:
        (incidents,) = database.execute(
            "SELECT count(*) FROM incidents WHERE alertname = 'High' AND kind = ''"
        ).fetchone()
    assert incidents == len(model.conditions), f"seed {seed}"


@pytest.mark.timeout(240)
def test_a_slow_database(tmp_path: Path) -> None:
    with run_desk(tmp_path) as desk:
        run_slow(desk, new_seed(), agents=50, seconds=6.0)


@pytest.mark.soak
def test_a_slow_database_for_ten_minutes(tmp_path: Path) -> None:
    with run_desk(tmp_path) as desk:
        run_slow(desk, new_seed(), agents=500, seconds=600.0)
