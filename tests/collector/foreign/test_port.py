"""`POST /api/v2/alerts` at the agents' port: what is taken, what is refused, and whose it is."""

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from collector.foreign.message import Post
from collector.log import RecordKind
from collector.register.writers import Writers
from tests.collector.ingest.conftest import START, Port, running
from tests.e2e.desk import eventually

JSON = "application/json"
EARLIER, LATER = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
DISK = {"alertname": "DiskFull", "instance": "fs01:9100", "mountpoint": "/", "severity": "critical"}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Port]:
    with running(Port(Path(tmp_path_factory.mktemp("port")))) as started:
        yield started


@pytest.fixture(scope="module")
def token(port: Port) -> str:
    made = Writers(port.register.engine).create("acme", "hq", name="prom", now=START)
    eventually(lambda: port.server.ports.writes.find(made.encode()))
    return made


def post(port: Port, token: str, body: object, content_type: str = JSON) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, content, _ = port.request("/api/v2/alerts", data, token, Content_Type=content_type)
    return status, json.loads(content) if content else None


def recorded(port: Port) -> list[Post]:
    found = [record for record in port.records() if record.kind == RecordKind.ALERTS]
    return [msgspec.json.decode(record.body, type=Post) for record in found]


def test_alerts_are_in_the_log_before_the_answer_and_of_the_tokens_customer(port: Port, token: str) -> None:
    ends = datetime.datetime.fromtimestamp(START + 60, datetime.UTC).isoformat()
    first = {"labels": {**DISK, "customer": "other"}, "endsAt": ends, "generatorURL": "http://prom/graph"}
    zero = {"labels": DISK, "startsAt": "0001-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "x"}
    assert post(port, token, [first, zero]) == (200, None)
    [said] = recorded(port)
    assert (said.customer, said.site) == ("acme", "hq")
    assert [one.ends for one in said.alerts] == [START + 60, START + 300]
    assert said.alerts[0].annotations == {"generator_url": "http://prom/graph"}


def test_no_alerts_are_no_record(port: Port, token: str) -> None:
    before = len(recorded(port))
    assert post(port, token, []) == (200, None)
    assert len(recorded(port)) == before


@pytest.mark.parametrize(
    ("name", "body", "path"),
    [
        ("no list", {}, "$"),
        ("no json", b"[", "$"),
        ("not a number", b'[{"labels": {"a": NaN}}]', "$"),
        ("no labels", [{}], "$[0]"),
        ("empty labels", [{"labels": {"a": "b"}}, {"labels": {}}], "$[1].labels"),
        ("only empty labels", [{"labels": {"a": ""}}], "$[0].labels"),
        ("a number", [{"labels": {"a": 1}}], "$[0].labels[...]"),
        ("no time", [{"labels": {"a": "b"}, "startsAt": "yesterday"}], "$[0].startsAt"),
        ("no zone", [{"labels": {"a": "b"}, "startsAt": "2026-01-01T00:00:00"}], "$[0].startsAt"),
        ("the end first", [{"labels": {"a": "b"}, "startsAt": LATER, "endsAt": EARLIER}], "$[0].endsAt"),
        ("long", [{"labels": {"a": "b" * 5000}}], "$[0].labels[...]"),
        ("many labels", [{"labels": {f"l{n}": "x" for n in range(65)}}], "$[0].labels"),
        ("deep", b"[" * 100_000, "$[0]"),
        ("deep in it", b'[{"labels": ' + b'{"a":' * 100_000, "$[0].labels[...]"),
    ],
    ids=lambda value: value.replace(" ", "_") if isinstance(value, str) and "$" not in value else "",
)  # fmt: skip
def test_what_is_no_alert_is_refused_with_its_place(port: Port, token: str, name: str, body: object, path: str) -> None:
    before = len(recorded(port))
    status, told = post(port, token, body)
    assert status == 400, name
    assert told["path"] == path
    assert len(recorded(port)) == before


def test_who_has_no_token_and_who_asks_otherwise(port: Port, token: str) -> None:
    assert post(port, "wdw_nobody", [{"labels": DISK}])[0] == 401
    assert post(port, token, b"a=b", "application/x-www-form-urlencoded")[0] == 415
    assert port.request("/api/v2/alerts", b"", token, "GET")[0] == 405
