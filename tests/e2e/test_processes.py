"""Several ingest processes: each device's frames are taken once and in order, whichever process they come to."""

from __future__ import annotations

import http.client
import os
import signal
import ssl
import time
from pathlib import Path

import psutil
import pytest

from agent import wire
from collector.bulk import Bulk
from collector.log import MergedReader
from collector.log.partitions import partitions
from collector.state import State
from tests.e2e.desk import Desk, desk, eventually

pytestmark = pytest.mark.e2e

SCHEMA = wire.encode_schema(["bench_value"])
RULE = "groups: [{name: t, rules: [{alert: Breach, expr: bench_value > 90, labels: {severity: warning}}]}]\n"


class Device:
    """Sends numbered frames, each on a connection of its own, so that any process may get it."""

    def __init__(self, made: Desk, name: str) -> None:
        self.token = (made.agent(name).state / "token").read_text().strip()
        self.context = ssl.create_default_context(cafile=str(made.data / "pki" / "ca.pem"))
        self.port = made.port + 1
        self.seq = 0
        self.now = time.time() - 100

    def frame(self, value: float, seq: int) -> bytes:
        rows = wire.encode_rows(wire.schema_id(SCHEMA), [self.now + seq / 100], [[value]])
        return wire.encode(wire.Kind.ROWS, 5, seq, rows)

    def backlog(self, value: float, count: int) -> bytes:
        """Return the next frame, with so many rows."""
        self.seq += 1
        times = [self.now + self.seq / 100 + row / 1e6 for row in range(count)]
        rows = wire.encode_rows(wire.schema_id(SCHEMA), times, [[value]] * count)
        return wire.encode(wire.Kind.SCHEMA, 5, 0, SCHEMA) + wire.encode(wire.Kind.ROWS, 5, self.seq, rows)

    def push(self, value: float) -> None:
        """Send the next frame until it is acknowledged."""
        self.seq += 1
        body = wire.encode(wire.Kind.SCHEMA, 5, 0, SCHEMA) + self.frame(value, self.seq)
        eventually(lambda: self.send(body) == 204 or None, seconds=60)

    def send(self, body: bytes) -> int:
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=10)
        try:
            connection.request("POST", "/v1/push", body, {"Authorization": f"Bearer {self.token}"})
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()


def workers(made: Desk) -> list[int]:
    assert made.collector is not None
    children = psutil.Process(made.collector.pid).children()
    return [child.pid for child in children if "collector.ingest.worker" in " ".join(child.cmdline())]


def rows_of(data: Path) -> tuple[State, int]:
    """Return the state after the whole log, and how many frames came to the state machine twice or more."""
    state, frames = State(), 0
    reader = MergedReader(data / "log")
    while (block := reader.read_block(1 << 62)) is not None:
        Bulk(block).apply(state, 0, len(block))
        frames += int((block.lengths > 40).sum())
    return state, frames


def metric(made: Desk, name: str) -> float:
    lines = made.scrape("/metrics").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(name + " "))


def test_a_device_may_come_to_any_process_and_one_that_dies_is_started_again(tmp_path: Path) -> None:
    with desk(tmp_path) as made:
        made.configure("agents: {processes: 2, limits: {customer_values: 20}}\nrules: {packs: []}\n")
        (made.data / "rules").mkdir()
        (made.data / "rules" / "t.yml").write_text(RULE)
        made.serve()
        eventually(lambda: len(workers(made)) == 2)
        device = Device(made, "pc1")
        for value in range(30):
            device.push(float(value))
        assert device.send(device.frame(29.0, 30)) in (204, 409)  # again, perhaps to the other one
        os.kill(workers(made)[0], signal.SIGKILL)
        for value in range(30, 60):
            device.push(float(value))
        eventually(lambda: metric(made, "watchdesk_ingest_restarts_total") == 1 or None)
        eventually(lambda: len(workers(made)) == 2 or None)
        assert made.incidents() == []
        device.push(95.0)
        made.wait_incident(alertname="Breach", state="open")
        assert device.send(device.backlog(95.0, 1000)) == 204
        eventually(lambda: {device.send(device.frame(95.0, 63)) for _ in range(8)} == {429} or None)  # both know
        assert made.collector is not None
        assert made.collector.stop(60) == 0
        assert workers_left(made) == []
        state, _ = rows_of(made.data)
        [marks] = [marks for marks in state.marks.values() if 5 in marks]
        assert marks[5] == 62
        assert partitions(made.data / "log") == [0, 1]
        assert state.fleet.late == 0
        # One process again: what the others left is read, what they took is not taken again.
        made.configure("rules: {packs: []}\n")
        made.serve()
        device.push(10.0)
        made.wait_incident(alertname="Breach", state="resolved")


def workers_left(made: Desk) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter()
        if process.status() != psutil.STATUS_ZOMBIE and str(made.data) in " ".join(_words(process))
    ]


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
