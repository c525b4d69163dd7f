"""Rows that come late or out of order: the history has them, windows where they fit, and no incident opens again."""

from __future__ import annotations

import json
from pathlib import Path

from agent import wire
from agent.wire import Kind
from collector.config import HistoryLimits
from collector.log import Log, Reader, RecordKind
from collector.log.record import encode
from collector.recorder import Recorder
from collector.state import State
from rules.alerts import Transition

START = 1_760_000_000.0
SCHEMA = wire.encode_schema(["load"])
RULES = """
groups:
- name: test
  rules:
  - {alert: High, expr: load > 90}
  - {alert: Busy, expr: "avg_over_time(load[60s]) > 50"}
"""


class Told:
    """A log that a test tells, and what the state machine makes of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = Log(folder / "log")
        self.state = State()
        self.reader = Reader(self.log.directory)
        self.seq = 0
        self.write(RecordKind.RULES, 0, START, json.dumps({"test.yml": RULES}).encode())
        self.write(RecordKind.DEVICE, 1, START, json.dumps({"instance": "pc1", "customer": "acme"}).encode())
        self.write(RecordKind.FRAME, 1, START, wire.encode(Kind.SCHEMA, 7, 0, SCHEMA))

    def write(self, kind: RecordKind, device: int, at: float, body: bytes) -> list[Transition]:
        self.log.append([encode(kind, device, at, 0.0, body)])
        return [change for record in self.reader.read(self.log.head) for change in self.state.apply(record)]

    def push(self, arrived: float, *rows: tuple[float, float]) -> None:
        """Let rows (seconds after the start, value) come at a time."""
        self.seq += 1
        payload = wire.encode_rows(wire.schema_id(SCHEMA), [START + t for t, _ in rows], [[v] for _, v in rows])
        self.write(RecordKind.FRAME, 1, START + arrived, wire.encode(Kind.ROWS, 7, self.seq, payload))

    def tick(self, at: float) -> list[tuple[str, str]]:
        changes = self.write(RecordKind.TICK, 0, START + at, b"")
        return [(change.alert, change.state) for change in changes]

    def history(self) -> list[tuple[float, float]]:
        recorder = Recorder(
            self.log.directory, self.log.head, self.folder / "history", HistoryLimits(), self.state.schemas.get
        )
        recorder.start()
        recorder.stop()
        found = recorder.history.read(1, ["load"], START, START + 1000)
        times, values = found["load"]
        return list(zip((times - START).tolist(), values.tolist(), strict=True))


def test_a_late_row_never_opens_an_incident_that_is_over(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.push(10, (10, 95))
    assert ("High", "firing") in told.tick(11)
    told.push(20, (20, 5))
    assert ("High", "resolved") in told.tick(21)
    told.push(22, (15, 99))
    assert [change for change in told.tick(23) if change[0] == "High"] == []
    assert told.state.fleet.late == 1
    assert told.history() == [(10, 95), (15, 99), (20, 5)]


def test_a_late_row_does_not_resolve_what_holds(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.push(20, (20, 95))
    told.tick(21)
    told.push(22, (15, 1))
    assert [change for change in told.tick(23) if change[0] == "High"] == []


def test_rows_of_one_push_are_put_in_order_and_windows_have_those_that_fit(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.push(10, (10, 1))
    told.tick(11)
    told.push(40, (40, 80), (20, 90), (30, 85), (5, 1000))  # the last is older than what was there
    assert ("Busy", "firing") in told.tick(41)
    assert told.state.fleet.late == 1
    assert told.history() == [(5, 1000), (10, 1), (20, 90), (30, 85), (40, 80)]


def test_a_row_from_the_future_is_taken_as_of_its_arrival(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.push(10, (5000, 95))
    assert ("High", "firing") in told.tick(11)
    told.push(20, (20, 5))
    assert ("High", "resolved") in told.tick(21)
