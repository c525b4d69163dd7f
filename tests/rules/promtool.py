"""The real promtool, as the reference that ours is compared with; tests that need it are skipped where it is not."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from rules.template.constants import unquote
from rules.unittest import notation, show

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")

_GOT = re.compile(r"\n\s+got:\[(.*)\n\s+\]", re.DOTALL)
_PAIR = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)=("(?:[^"\\]|\\.)*")')


def run(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run promtool in a directory."""
    assert PROMTOOL is not None
    return subprocess.run([PROMTOOL, *args], cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def expand(templates: Sequence[str], series: str, value: str, directory: Path) -> list[str]:
    """What promtool makes of annotations with these texts, for an alert on one series with one value."""
    annotations = {f"a{i:04d}": text for i, text in enumerate(templates)}
    rule = {"alert": "X", "expr": series.partition("{")[0], "annotations": annotations}
    (directory / "rules.yml").write_text(json.dumps({"groups": [{"name": "g", "rules": [rule]}]}))
    test = {
        "interval": "1m",
        "input_series": [{"series": series, "values": f"{value} {value} {value}"}],
        "alert_rule_test": [{"eval_time": "1m", "alertname": "X"}],
        "external_labels": {"region": "north"},
        "external_url": "https://prom.example/prefix/",
    }
    (directory / "test.yml").write_text(json.dumps({"rule_files": ["rules.yml"], "tests": [test]}))
    ran = run("test", "rules", "test.yml", cwd=directory)
    got = _GOT.search(ran.stderr)
    assert got is not None, ran.stderr + ran.stdout
    found = dict(_PAIR.findall(got[1].partition("Annotations:")[2]))
    return [unquote(found[name]) if name in found else "" for name in annotations]


def template_errors(templates: Sequence[str], directory: Path) -> list[str]:
    """What promtool says of annotations that do not parse; empty for those that do."""
    annotations = {f"a{i:04d}": text for i, text in enumerate(templates)}
    rule = {"alert": "X", "expr": "x", "annotations": annotations}
    (directory / "rules.yml").write_text(json.dumps({"groups": [{"name": "g", "rules": [rule]}]}))
    ran = run("check", "rules", "rules.yml", cwd=directory)
    said = re.findall(r'annotation "(a\d{4})": (.*?)(?=\n\S+: |\n*\Z)', ran.stderr, re.DOTALL)
    found = {name: message.rstrip() for name, message in said}
    return [found.get(name, "") for name in annotations]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What promtool says of a test file: its exit code, and what it got where that was not what was expected."""

    code: int
    got: dict[tuple[str, str], frozenset[str]]
    errors: str


_ALERT_FAILURE = re.compile(
    r"alertname: (\w+), time: (\w+), *\n\s+exp:(.*?)\n\s+got:(.*?)"
    r"(?=\n\s+alertname: |\n\s+name: |\n\s+expr: |\n*\Z)",
    re.DOTALL,
)
_EXPR_FAILURE = re.compile(r'expr: ("(?:[^"\\]|\\.)*"), time: (\w+),\n\s+exp: .*?\n\s+got: (.*?)(?=\n)', re.DOTALL)
_ALERT = re.compile(r"Labels:(\{.*?\})\n\s*Annotations:(\{.*\})(?=,?\n)")
_SAMPLE = re.compile(r'(\{(?:[^"{}]|"(?:[^"\\]|\\.)*")*\}) ([-+0-9.EeNaInf]+)')


def judge(file: Path) -> Verdict:
    """Run promtool's unit tests of a file."""
    ran = run("test", "rules", file.name, cwd=file.parent)
    got: dict[tuple[str, str], frozenset[str]] = {}
    text = ran.stderr + "\n"
    for name, time, _, alerts in _ALERT_FAILURE.findall(text):
        got[name, time] = frozenset(f"{labels} {annotations}" for labels, annotations in _ALERT.findall(alerts + "\n"))
    for expr, time, samples in _EXPR_FAILURE.findall(text):
        got[unquote(expr), time] = frozenset(_sample(*each) for each in _SAMPLE.findall(samples))
    return Verdict(ran.returncode, got, ran.stderr)


def _sample(labels: str, value: str) -> str:
    return str(show.Sample(notation.series(labels), float(value)))
