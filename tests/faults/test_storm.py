"""A storm of alerts through the collector: each is recorded once, and another customer is served meanwhile."""

from __future__ import annotations

import http.client
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from agent import wire
from agent.wire import Kind
from tests.e2e.desk import Desk, eventually
from tests.e2e.desk import desk as run_desk
from tests.faults.checking import prepare, registered
from tests.faults.model import SERIES


def push(desk: Desk, secret: str, level: float, series: int, seq: int) -> None:
    """Let a device say that so many of its series have this level."""
    schema = wire.encode_schema([SERIES % number for number in range(series)])
    rows = wire.encode_rows(wire.schema_id(schema), [time.time()], [[level] * series])
    body = wire.encode(Kind.SCHEMA, 5, 0, schema) + wire.encode(Kind.ROWS, 5, seq, rows)
    with closing(http.client.HTTPConnection("127.0.0.1", desk.port + 1, timeout=60)) as connection:
        connection.request("POST", "/v1/push", body, {"Authorization": f"Bearer {secret}"})
        assert connection.getresponse().status == 204


def count(desk: Desk, where: str) -> int:
    """How many incidents there are with this."""
    with closing(sqlite3.connect(desk.data / "watchdesk.db", timeout=30)) as database:
        query = (
            f"SELECT count(*), count(DISTINCT key) FROM incidents WHERE alertname = 'High' AND kind = '' AND {where}"
        )
        found, distinct = database.execute(query).fetchone()
    assert found == distinct
    return int(found)


def run(desk: Desk, devices: int, series: int) -> None:
    """Let the devices of one customer break out all at once, and one of another."""
    prepare(desk)
    now = time.time()
    with registered(desk) as register:
        secret = register.create_enrol_token("globex", "hq", now=now, uses=devices)
        storm = [register.enrol(secret, f"pc{n}", os="linux", kind="server", now=now).token for n in range(devices)]
        secret = register.create_enrol_token("acme", "hq", now=now)
        calm = register.enrol(secret, "pc1", os="linux", kind="server", now=now).token
    desk.serve()
    for one in storm:
        push(desk, one, 95.0, series, 1)
    push(desk, calm, 95.0, 1, 1)
    eventually(lambda: count(desk, "customer = 'acme'") == 1, seconds=300)
    eventually(lambda: count(desk, "customer = 'globex'") == devices * series, seconds=900)
    for one in storm:
        push(desk, one, 5.0, series, 2)
    eventually(lambda: count(desk, "recovered_at IS NULL AND customer = 'globex'") == 0, seconds=900)
    assert count(desk, "1") == devices * series + 1
    assert count(desk, "resolved_at IS NULL AND customer = 'acme'") == 1
    assert desk.collector is not None
    assert desk.collector.stop(60) == 0


@pytest.mark.soak
def test_a_storm(tmp_path: Path) -> None:
    with run_desk(tmp_path) as desk:
        run(desk, devices=10, series=200)


@pytest.mark.soak
def test_a_hundred_thousand_alerts(tmp_path: Path) -> None:
    with run_desk(tmp_path) as desk:
        run(desk, devices=100, series=1000)
