"""The shipped packs and their unit tests, read for the tests of both."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

ROOT = Path(__file__).parents[3]
PACKS = sorted((ROOT / "rules" / "packs").glob("*.yml"))
UNIT_TESTS = sorted(Path(__file__).parent.glob("*.yml"))
DOCS = ROOT / "docs" / "rules.md"
ALERT_OF_QUERY = re.compile(r'ALERTS\{alertname="(\w+)"')

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a pack as YAML gives it; `alert` is empty for a recording rule, `record` for an alert."""

    pack: str
    expr: str
    alert: str = ""
    record: str = ""
    hold: str = ""
    keep_firing_for: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)

    @property
    def severity(self) -> str:
        """The label severity, empty where it is missing."""
        return self.labels.get("severity", "")


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation of a unit test: at `time`, `alert` fires for these (instance, severity)."""

    file: Path
    case: int
    time: str
    alert: str
    firing: frozenset[tuple[str, str]]


def read(path: Path) -> Any:
    """The YAML of a file."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)


def groups() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each group of each pack, with the name of its pack."""
    for path in PACKS:
        for group in read(path)["groups"]:
            yield path.stem, group


def rules() -> list[Rule]:
    """Every rule of every pack in order."""
    return [Rule(pack, hold=entry.pop("for", ""), **entry) for pack, group in groups() for entry in group["rules"]]


def alerts() -> list[Rule]:
    """Every alerting rule."""
    return [rule for rule in rules() if rule.alert]


@cache
def checks() -> list[Check]:
    """Every expectation of every unit test that asks for the firing alerts of one name."""
    return [
        Check(path, number, check["eval_time"], match[1], _firing(check["exp_samples"]))
        for path in UNIT_TESTS
        for number, case in enumerate(read(path)["tests"])
        for check in case.get("promql_expr_test", [])
        if (match := ALERT_OF_QUERY.search(check["expr"]))
    ]


def _firing(samples: Sequence[dict[str, Any]]) -> frozenset[tuple[str, str]]:
    pairs = (dict(re.findall(r'(\w+)="([^"]*)"', sample["labels"])) for sample in samples)
    return frozenset((labels["instance"], labels["severity"]) for labels in pairs)


def selectors(expr: str) -> Iterator[str]:
    """The metric names that an expression reads."""
    stack: list[Any] = [promql_parser.parse(expr)]
    while stack:
        node = stack.pop()
        if isinstance(node, promql_parser.VectorSelector):
            yield node.name or ""
        for name in ("lhs", "rhs", "expr", "args", "param", "vector_selector"):
            child = getattr(node, name, None)
            stack.extend(child if isinstance(child, list) else [] if child is None else [child])


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool."""
    return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=100, check=False)
