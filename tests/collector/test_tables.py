"""Thresholds and baselines in the state machine: records of the log, the same after a restart; and their files."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import msgspec
import pytest

from agent import wire
from agent.wire import Kind
from collector.config import RuleSources
from collector.log import Record, RecordKind
from collector.state import State
from collector.tablefiles import TableFiles
from rules import baseline, defaults
from rules.alerts import Transition

START = 1_767_571_200.0  # Monday, 5 January 2026, 0:00 UTC
WEEK = 604_800
RULES = """
groups:
- name: g
  rules:
  - alert: Above
    expr: cpu > on(instance) group_left() watchdesk_threshold{name="cpu"}
  - alert: Unusual
    expr: |
      cpu > on(instance) group_left()
        (watchdesk_baseline{metric="cpu",stat="mean"} + on(instance) 4 * (watchdesk_baseline{stat="stddev"} + 1))
"""
THRESHOLDS = "thresholds: {cpu: [{value: 90, customer: acme}, {value: 50, device: a.hq.acme}]}"
BASELINES = "interval: 10m\nbaselines: [{name: cpu, expr: cpu}]"
SERIES = wire.encode_schema(["cpu"])


class Log:
    """Records as the collector writes them, applied to a state at once."""

    def __init__(self) -> None:
        self.state = State()
        self.number = 0
        self.seq = 0
        self.changes: list[Transition] = []

    def put(self, kind: RecordKind, now: float, body: bytes = b"", device: int = 0) -> None:
        self.number += 1
        self.changes += self.state.apply(Record(self.number, kind, device, now, 0.0, body))

    def tables(self, now: float, thresholds: str = THRESHOLDS, baselines: str = BASELINES) -> None:
        self.put(RecordKind.TABLES, now, json.dumps({"thresholds": thresholds, "baselines": baselines}).encode())

    def device(self, number: int, name: str, now: float = START) -> None:
        labels = {"instance": f"{name}.hq.acme", "customer": "acme", "site": "hq", "class": "server", "job": "agent"}
        self.put(RecordKind.DEVICE, now, json.dumps(labels).encode(), number)
        self.put(RecordKind.FRAME, now, wire.encode(Kind.SCHEMA, 1, 0, SERIES), number)

    def push(self, device: int, now: float, value: float) -> None:
        self.seq += 1
        payload = wire.encode_rows(wire.schema_id(SERIES), [now], [[value]])
        self.put(RecordKind.FRAME, now, wire.encode(Kind.ROWS, 1, self.seq, payload), device)

    def restart(self) -> None:
        data = self.state.dump()
        self.state = State()
        self.state.restore(data)
        assert self.state.dump() == data

    def thresholds(self, now: float) -> dict[str, float]:
        text = b"".join(self.state.fleet.exposition()).decode()
        lines = [line for line in text.splitlines() if line.startswith("watchdesk_threshold{")]
        return {line.split('instance="')[1].split(".")[0]: float(line.split("} ")[1].split()[0]) for line in lines}


@pytest.fixture
def log() -> Log:
    made = Log()
    made.put(RecordKind.RULES, START, json.dumps({"r.yml": RULES}).encode())
    return made


def fired(log: Log) -> list[tuple[str, str, str]]:
    return [(t.alert, t.labels["instance"].split(".")[0], t.state) for t in log.changes]


def test_thresholds_are_records_of_the_log(log: Log) -> None:
    log.tables(START)
    log.device(1, "a")
    log.device(2, "b")
    for device in (1, 2):
        log.push(device, START, 70)
    log.put(RecordKind.TICK, START)
    assert log.thresholds(START) == {"a": 50, "b": 90}
    assert fired(log) == [("Above", "a", "firing")]
    log.tables(START + 1, THRESHOLDS.replace("50", "80"))
    log.put(RecordKind.TICK, START + 1)
    assert fired(log)[1:] == [("Above", "a", "resolved")]


def test_a_device_that_joins_has_its_thresholds_at_its_first_tick(log: Log) -> None:
    log.tables(START)
    log.put(RecordKind.TICK, START)
    log.device(1, "a", START + 1)
    log.push(1, START + 1, 70)
    log.put(RecordKind.TICK, START + 1)
    assert fired(log) == [("Above", "a", "firing")]


@pytest.mark.parametrize("every", [0, 7, 1])
def test_a_restart_changes_nothing(every: int) -> None:
    """The same records through one state, and through states that are dumped and restored in between."""
    straight, restarted = Log(), Log()
    for log in (straight, restarted):
        log.put(RecordKind.RULES, START, json.dumps({"r.yml": RULES}).encode())
        log.tables(START)
        log.device(1, "a")
        log.device(2, "b")
    step = 0
    for week in range(4):
        for minute in (0, 10, 20, 30, 70, 80):
            now = START + week * WEEK + minute * 60
            value = 99.0 if (week, minute) == (3, 20) else 30.0 + minute % 3
            for log in (straight, restarted):
                for device in (1, 2):
                    log.push(device, now, value)
                log.put(RecordKind.TICK, now)
            step += 1
            if every and step % every == 0:
                restarted.restart()
    assert ("Unusual", "b", "firing") in fired(straight)
    assert restarted.changes == straight.changes
    assert restarted.thresholds(now) == straight.thresholds(now)
    assert restarted.state.baselines.dump() == straight.state.baselines.dump()


def test_tables_that_did_not_change_go_on_undisturbed(log: Log) -> None:
    log.tables(START)
    log.device(1, "a")
    log.push(1, START, 10)
    log.put(RecordKind.TICK, START)
    before = log.state.baselines.dump()
    log.tables(START + 1, THRESHOLDS.replace("50", "60"))
    log.put(RecordKind.TICK, START + 1)
    assert log.state.baselines.dump() == before
    assert log.thresholds(START + 1) == {"a": 60}


def test_a_table_that_this_version_does_not_know_leaves_the_old_one(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    log.tables(START)
    log.device(1, "a")
    log.tables(START, "thresholds: {cpu: [{value: 5, planet: mars}]}")
    log.put(RecordKind.TICK, START)
    assert log.thresholds(START) == {"a": 50}
    assert "unknown key 'planet'" in caplog.text


def test_a_great_fleet_is_gone_through_some_at_a_time(log: Log) -> None:
    for number in range(1, 1201):
        log.device(number, f"d{number}")
    log.put(RecordKind.TICK, START)
    log.tables(START + 1)
    seen = []
    for second in range(1, 5):
        log.put(RecordKind.TICK, START + second)
        seen.append(len(log.thresholds(START + second)))
    assert seen == [500, 1000, 1200, 1200]
    for second in range(5, 400, 5):  # and stays current
        log.put(RecordKind.TICK, START + second)
    assert len(log.thresholds(START + 395)) == 1200


def test_the_snapshot_of_a_former_version_has_no_tables(log: Log) -> None:
    data = log.state.dump()
    fields = msgspec.msgpack.decode(data[4:])
    for name in ("tables", "thresholds", "baselines"):
        del fields[name]
    body = msgspec.msgpack.encode(fields)
    fresh = State()
    fresh.restore(zlib.crc32(body).to_bytes(4, "little") + body)
    assert fresh.tables == {}


# The files.


def files(folder: Path, current: dict[str, str] | None = None) -> TableFiles:
    return TableFiles(RuleSources(), folder, current or {})


def test_without_files_the_shipped_baselines_hold(tmp_path: Path) -> None:
    tables = files(tmp_path)
    assert tables.changed() == {"thresholds": "", "baselines": defaults.baselines()}
    assert tables.changed() is None
    assert [spec.name for spec in baseline.parse(defaults.baselines(), "b").specs] == ["cpu_used_percent"]
    # After a restart the log holds them already.
    assert files(tmp_path, tables.current).changed() is None


def test_a_bad_file_changes_nothing_and_is_told(tmp_path: Path) -> None:
    tables = files(tmp_path)
    tables.changed()
    (tmp_path / "thresholds.yml").write_text("thresholds: {cpu: [{value: much}]}")
    assert tables.changed() is None
    assert "thresholds.yml:1: value must be a number" in tables.problem
    (tmp_path / "thresholds.yml").write_text(THRESHOLDS)
    changed = tables.changed()
    assert changed is not None
    assert changed["thresholds"] == THRESHOLDS
    assert tables.problem == ""
    (tmp_path / "thresholds.yml").write_bytes(b"\xff")
    assert tables.changed() is None
    assert "cannot be read" in tables.problem
    (tmp_path / "thresholds.yml").unlink()
    assert tables.changed() == {"thresholds": "", "baselines": defaults.baselines()}
