"""Rule and configuration files that anything may be in: the old rules stay, and what is wrong is told with its line."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from collector.config import RuleSources, load
from collector.errors import ConfigError
from collector.rulefiles import RuleFiles
from collector.tablefiles import TableFiles
from tests.collector.test_fuzz import mutated
from tests.faults.seeds import new_seed

GOOD = """groups:
- name: own
  interval: 30s
  rules:
  - alert: High
    expr: avg by (instance) (rate(node_cpu_seconds_total{mode!="idle"}[5m])) > 0.9
    for: 5m
    keep_firing_for: 1m
    labels: {severity: warning}
    annotations: {summary: "{{ $labels.instance }} has {{ $value | humanize }}", diagnosis: memory.by_process}
  - record: own:load
    expr: sum(node_load1)
"""
THRESHOLDS = "thresholds:\n- metric: node_load1\n  value: 5\n  customer: acme\n"
CONFIG = """agents:
  listen: 127.0.0.1:8081
  limits: {device_values: 1000}
rules:
  packs: [linux]
log: {max_bytes: 1000000, days: 3}
notifications: {}
"""
WORDS = [
    "[",
    "}",
    "{{",
    "- ",
    "\t",
    "&a *a",
    "!!python/object:os.system",
    "1e999",
    "NaN",
    "\0",
    "é",
    "<<: ",
    "|",
    "\n  x: 1\n",
]


def spoiled(chance: random.Random, text: str) -> bytes:
    """A text with bytes, words or lines of it changed."""
    if chance.random() < 0.5:
        return mutated(chance, text.encode())
    lines = text.split("\n")
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(lines))
        match chance.randrange(4):
            case 0:
                del lines[at : at + 1]
                lines = lines or [""]
            case 1:
                lines[at] = " " * chance.randrange(6) + lines[at].strip()
            case 2:
                place = chance.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:place] + chance.choice(WORDS) + lines[at][place:]
            case _:
                lines.insert(at, chance.choice(lines))
    return "\n".join(lines).encode("utf-8", "replace")


def run(folder: Path, seed: int, count: int) -> None:
    """Put spoiled files in place of good ones, and look at what holds then."""
    chance = random.Random(seed)
    own = folder / "rules" / "own.yml"
    own.parent.mkdir()
    own.write_text(GOOD)
    files = RuleFiles(RuleSources(packs=[]), folder, {})
    assert files.changed() is not None
    refused = 0
    for case in range(count):
        told = f"seed {seed}, case {case}"
        before = files.current
        own.write_bytes(spoiled(chance, GOOD))
        files._seen = None  # two of one size within one tick of the disk's clock
        after = files.changed()
        assert bool(files.problem) <= (after is None), told
        if files.problem:
            refused += 1
            assert files.current is before, told
            assert "own.yml" in files.problem or "cannot be read" in files.problem, f"{told}: {files.problem}"
    assert 0 < refused < count
    own.write_text(GOOD)
    files.changed()
    assert not files.problem
    _tables(folder, chance, count // 5, f"seed {seed}")
    _configurations(folder, chance, count // 5, f"seed {seed}")


def _tables(folder: Path, chance: random.Random, count: int, told: str) -> None:
    tables = TableFiles(RuleSources(), folder, {})
    for case in range(count):
        (folder / "thresholds.yml").write_bytes(spoiled(chance, THRESHOLDS))
        tables._seen = None
        before = tables.current
        tables.changed()
        assert not tables.problem or tables.current is before, f"{told}, table {case}"


def _configurations(folder: Path, chance: random.Random, count: int, told: str) -> None:
    refused = 0
    for case in range(count):
        (folder / "watchdesk.yml").write_bytes(spoiled(chance, CONFIG))
        said = ""
        try:
            load(folder / "watchdesk.yml")
        except ConfigError as error:
            said = str(error)
        assert not said or "watchdesk.yml" in said, f"{told}, configuration {case}: {said}"
        refused += bool(said)
    assert refused


def test_a_thousand_spoiled_files(tmp_path: Path) -> None:
    run(tmp_path, new_seed(), 1000)


@pytest.mark.soak
def test_ten_thousand_spoiled_files(tmp_path: Path) -> None:
    run(tmp_path, new_seed(), 10_000)
