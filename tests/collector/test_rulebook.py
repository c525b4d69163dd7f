"""`watchdesk rules` and `watchdesk thresholds`, as commands: what they print, and how they exit."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from collector.cli.context import Context
from collector.cli.rulebook import rules
from collector.cli.thresholds import thresholds
from collector.errors import CollectorError, NotRunningError
from collector.knownmetrics import Known
from rules import packs
from rules.errors import TableError
from rules.thresholds import changed, dump, parse

GOOD = "groups: [{name: g, rules: [{alert: A, expr: node_load1 > 1, labels: {severity: warning}}]}]\n"
TWICE = GOOD.replace("}]}]", "}, {alert: A, expr: node_load1 > 2, labels: {severity: warning}}]}]")


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(rules, arguments, obj=Context(folder), catch_exceptions=False)


def write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


# rules check


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (GOOD, 0, "1 rules in 1 groups"),
        ("", 0, "0 rules in 0 groups"),
        (GOOD.replace("node_load1", "nobody_sends_this"), 0, ":1: warning: A reads nobody_sends_this, which nobody"),
        (TWICE, 0, "has the name and the labels of the rule at"),
        (GOOD.replace("> 1", "> > 1"), 1, ":1: error: could not parse expression"),
        ("groups: [", 1, ":2: error: not YAML"),
        ("groups: 5", 1, ":1: error: groups must be a list"),
        ("groups:\n- name: g\n  rules:\n  - alert: A\n    exp: x\n", 1, ":5: error: unknown key 'exp'"),
    ],
)
def test_check_tells_what_is_wrong_and_where(tmp_path: Path, text: str, code: int, message: str) -> None:
    done = run(tmp_path, "check", write(tmp_path, "r.yml", text))
    assert done.exit_code == code
    assert message in done.output


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize("fatal", [False, True])
@pytest.mark.parametrize("text", [GOOD, TWICE, GOOD.replace("> 1", "> > 1"), "groups: ["], ids="abcd")
def test_check_exits_as_promtool_does(tmp_path: Path, text: str, fatal: bool) -> None:
    path = write(tmp_path, "r.yml", text)
    theirs = subprocess.run(
        ["promtool", "check", "rules", *(["--lint-fatal"] if fatal else []), path], capture_output=True, check=False
    )
    ours = run(tmp_path, "check", *(["--lint-fatal"] if fatal else []), path)
    assert ours.exit_code == theirs.returncode, (ours.output, theirs.stderr)


def test_check_takes_folders_and_tells_what_cannot_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    write(folder, "a.yml", GOOD)
    (folder / "b.yaml").write_bytes(b"\xff")
    done = run(tmp_path, "check", str(folder), str(tmp_path / "nowhere.yml"))
    assert done.exit_code == 1
    assert "b.yaml: error: not UTF-8" in done.output
    assert "nowhere.yml: error: No such file or directory" in done.output


def test_check_as_json_and_its_costs(tmp_path: Path) -> None:
    path = write(tmp_path, "r.yml", GOOD.replace("node_load1 > 1", "'max_over_time(node_load1[1h]) > 1'"))
    told = json.loads(run(tmp_path, "check", "--json", path).stdout)
    assert (told["ok"], told["rules"], told["findings"]) == (True, 1, [])
    assert told["costs"][0]["window"] == 3600
    assert "windows of 1h" in run(tmp_path, "check", "--cost", path).output


def test_the_shipped_rules_are_all_right(tmp_path: Path) -> None:
    done = run(tmp_path, "check", str(packs.FOLDER))
    assert done.exit_code == 0
    assert "warning" not in done.output


def test_what_somebody_sends_is_known() -> None:
    known = Known({"acme_licences": 7})
    for name in (
        "up",
        "node_cpu_seconds_total",
        "ifHCInOctets",
        "upsOutputSource",
        "watchdesk_threshold",
        "acme_licences",
    ):
        assert name in known, name
    assert "node_exporter_build_info" not in known
    assert (known["acme_licences"], known["up"]) == (7, 0)
    with pytest.raises(KeyError):
        known["nothing"]


# rules test, rules explain


def test_unit_tests_exit_as_they_end(tmp_path: Path) -> None:
    write(tmp_path, "r.yml", GOOD)
    test = """
rule_files: [r.yml]
tests:
- input_series: [{series: 'node_load1{instance="a"}', values: '2x5'}]
  alert_rule_test:
  - {eval_time: 2m, alertname: A, exp_alerts: [{exp_labels: {severity: warning, instance: a}}]}
"""
    assert run(tmp_path, "test", write(tmp_path, "t.yml", test)).exit_code == 0
    failed = run(tmp_path, "test", write(tmp_path, "f.yml", test.replace("instance: a", "instance: b")))
    assert failed.exit_code == 1
    assert '- missing: {alertname="A", instance="b", severity="warning"}' in failed.output
    assert '+ surplus: {alertname="A", instance="a", severity="warning"}' in failed.output


def test_explain_is_clear_where_nothing_runs(tmp_path: Path) -> None:
    with pytest.raises(NotRunningError, match="No collector runs on"):
        run(tmp_path, "explain", "A", "--device", "a")
    (tmp_path / "collector.json").write_text('{"pid": 1, "web": "http://127.0.0.1:9", "agents": ""}')
    (tmp_path / "metrics.token").write_text("x")
    with pytest.raises(NotRunningError, match="does not answer"):
        run(tmp_path, "explain", "A", "--device", "a")


# thresholds


def table(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(thresholds, arguments, obj=Context(folder), catch_exceptions=False)


def test_thresholds_are_set_and_unset(tmp_path: Path) -> None:
    disk = ("disk_used_percent", "--severity", "warning", "--customer", "acme")
    assert table(tmp_path, "set", disk[0], "85", *disk[1:]).exit_code == 0
    assert table(tmp_path, "set", disk[0], "70.5", *disk[1:], "--class", "server").exit_code == 0
    assert table(tmp_path, "set", disk[0], "86", *disk[1:]).exit_code == 0  # instead of 85
    assert table(tmp_path, "set", "cpu", "5").exit_code == 0
    lines = [json.loads(line) for line in table(tmp_path, "list", "--json").stdout.splitlines()]
    assert lines == [
        {"name": "disk_used_percent", "severity": "warning", "value": 70.5, "customer": "acme", "class": "server"},
        {"name": "disk_used_percent", "severity": "warning", "value": 86, "customer": "acme"},
        {"name": "cpu", "severity": "", "value": 5},
    ]
    assert "70.5" in table(tmp_path, "list").stdout
    assert table(tmp_path, "unset", *disk, "--class", "server").exit_code == 0
    assert len(table(tmp_path, "list", "--json").stdout.splitlines()) == 2
    with pytest.raises(CollectorError, match="no such line"):
        table(tmp_path, "unset", *disk, "--class", "server")


@pytest.mark.parametrize("arguments", [("a-b", "5"), ("a", "nan"), ("a", "much"), ("a",)])
def test_what_is_no_threshold_is_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert table(tmp_path, "set", *arguments).exit_code == 2
    assert not (tmp_path / "thresholds.yml").exists()


def test_a_broken_table_is_not_written_over(tmp_path: Path) -> None:
    write(tmp_path, "thresholds.yml", "thresholds: 5")
    with pytest.raises(TableError, match="must be a mapping"):
        table(tmp_path, "set", "cpu", "5")
    assert (tmp_path / "thresholds.yml").read_text() == "thresholds: 5"


def test_a_table_that_is_written_reads_the_same() -> None:
    text = (
        'thresholds: {a: [{value: .inf, customer: "x: \\"y\\""}, {value: -1.5e-7, device: ü.b.c}, {value: 3}], b: []}'
    )
    lines = list(parse(text, "t"))
    again = list(parse(dump(lines), "t"))
    assert [(x.name, x.severity, x.value, x.fits) for x in again] == [
        (x.name, x.severity, x.value, x.fits) for x in lines
    ]
    nothing = changed(changed(changed(lines, None, lines[0]), None, lines[1]), None, lines[2])
    assert list(parse(dump(nothing), "t")) == []
