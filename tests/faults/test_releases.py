"""What earlier releases sent, answered and kept (tests/faults/record.py): this one takes and understands it."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent import wire
from agent.connection import Connection
from agent.endpoint import context, endpoint
from agent.loop import complete
from agent.segment import Item
from agent.spool import Spool
from agent.transport import Sender, Timing
from agent.wire import Kind
from collector.log import Reader, RecordKind
from collector.state import State
from tests.agent.helpers import Lines
from tests.collector.ingest.conftest import Port, running
from tests.faults.record import FOLDER, SCHEMA, rows

RELEASES = sorted(FOLDER.iterdir())
each_release = pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)
TIMING = Timing(timeout=10.0, first_retry=0.01, last_retry=0.02, pace=0.0, unauthorized=300.0)


def pushes(release: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((release / "pushes.json").read_text())
    return found


@pytest.fixture
def port(tmp_path: Path) -> Iterator[tuple[Port, str]]:
    """A port that runs, and the token of a device."""
    made = Port(tmp_path)
    secret = made.enrolled()
    with running(made) as started:
        yield started, secret


@contextmanager
def sender(url: str, trust: str, secret: str, folder: Path) -> Iterator[Sender]:
    spool = Spool(str(folder), Lines(), time.time, limit_bytes=1 << 20, limit_age=1e12)
    spool.open()
    connection = Connection(endpoint(url), context(trust) if trust else None)
    yield Sender(connection, secret, spool, Lines(), timing=TIMING, random=lambda: 0.5)
    connection.close()
    spool.close()


@each_release
def test_an_old_agents_pushes_are_answered_as_they_were(release: Path, port: tuple[Port, str]) -> None:
    here, secret = port
    for push in pushes(release):
        headers = {name.replace("-", "_"): value for name, value in push["headers"].items()}
        known = secret if push["status"] != 401 else "x" * 43
        status, body, _ = here.request("/v1/push", base64.b64decode(push["body"]), known, **headers)
        assert status == push["status"], (push["name"], body)


@each_release
def test_an_old_agents_spool_is_sent(release: Path, port: tuple[Port, str], tmp_path: Path) -> None:
    here, secret = port
    shutil.copytree(release / "spool", tmp_path / "spool")
    trust = here.pki.ca.read_text()
    with sender(f"https://127.0.0.1:{here.number}", trust, secret, tmp_path / "spool") as agent:
        for _ in range(10):
            if agent.spool:
                complete(agent.send_next())
        assert not agent.spool, agent.last_error
    sent = [frame.seq for frame in here.frames() if frame.kind == Kind.ROWS]
    assert sent == list(range(1, 21))


@each_release
def test_an_old_collectors_answers_are_understood(release: Path, tmp_path: Path) -> None:
    for index, push in enumerate(pushes(release)):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            answering = threading.Thread(target=_answer, args=(listening, base64.b64decode(push["answer"])))
            answering.start()
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            with sender(url, "", "x" * 43, tmp_path / str(index)) as agent:
                frame = wire.encode(Kind.ROWS, agent.spool.epoch, agent.spool.number(), rows(SCHEMA, 1))
                agent.spool.append([Item(1, frame)], {})
                wait = complete(agent.send_next())
            answering.join(10)
        taken = push["status"] in (200, 204)
        assert bool(agent.last_error) != taken, (push["name"], agent.last_error)
        assert bool(agent.spool) == (push["status"] in (401, 409)), push["name"]
        assert (wait >= 300) == (push["status"] == 401), push["name"]


def _answer(listening: socket.socket, answer: bytes) -> None:
    connection, _ = listening.accept()
    listening.close()
    with connection:
        connection.settimeout(10)
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65_536)
        connection.sendall(answer)


@each_release
def test_an_old_collectors_log_and_snapshot_are_read(release: Path) -> None:
    state, reader, kinds = State(), Reader(release / "log"), set()
    while records := reader.read(1 << 62):
        for record in records:
            kinds.add(record.kind)
            state.apply(record)
    assert (reader.lost_bytes, reader.lost_records) == (0, 0)
    assert {RecordKind.FRAME, RecordKind.TICK, RecordKind.DEVICE, RecordKind.RULES, RecordKind.START} <= kinds
    assert [alert.state for alert in state.engine.active()] == ["firing"]
    restored = State()
    restored.restore((release / "state.snapshot").read_bytes())
    assert restored.position <= state.position
    assert [alert.state for alert in restored.engine.active()] == ["firing"]
    restored.dump()
