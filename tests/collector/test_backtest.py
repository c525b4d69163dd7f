"""`watchdesk backtest`: stories in OpenMetrics text, and the incidents that they would have made."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from collector.cli.backtest import backtest
from collector.cli.context import Context
from collector.errors import BacktestError, CollectorError
from rules.errors import RuleFileError, SampleError, TableError

T0 = 1_767_225_600  # 2026-01-01 00:00 UTC
HOUR = 3600

CPU = """
groups:
- name: g
  rules:
  - alert: CpuHigh
    expr: cpu > 90
    for: 45s
    labels: {severity: warning}
    annotations: {summary: '{{ $labels.instance }}: {{ $value }}%'}
  - alert: CpuHigh
    expr: cpu > 97
    labels: {severity: critical}
    annotations: {summary: '{{ $labels.instance }}: {{ $value }}%'}
"""


def series(name: str, labels: str, values: Iterable[float | None], step: int = 30, start: int = T0) -> list[str]:
    """Lines of one series; None leaves a sample out."""
    return [f"{name}{{{labels}}} {v} {start + i * step}" for i, v in enumerate(values) if v is not None]


def cpu(values: Iterable[float | None], instance: str = "pc.hq.acme", step: int = 30, start: int = T0) -> list[str]:
    return series("cpu", f'instance="{instance}"', values, step, start)


class Desk:
    """A folder with rules in it, and the command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rules = self.write("rules.yml", CPU)

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text, encoding="utf-8")
        return str(self.folder / name)

    def binary(self) -> Path:
        """A file that is no text."""
        path = self.folder / "binary.yml"
        path.write_bytes(b"\xff\xfe")
        return path

    def command(self, *arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(backtest, arguments, input=stdin, obj=Context(self.folder), catch_exceptions=False)

    def run(self, lines: Iterable[str], *arguments: str, rules: bool = True) -> list[dict[str, Any]]:
        """The JSON lines for a recording through the rules."""
        chosen = ["--rules", self.rules] if rules else []
        text = "\n".join([*lines, "# EOF", ""])
        done = self.command(*chosen, "--samples", "-", "--json", *arguments, stdin=text)
        assert done.exit_code == 0, done.output
        return [json.loads(line) for line in done.stdout.splitlines()]

    def events(self, lines: Iterable[str], *arguments: str, rules: bool = True) -> list[tuple[int, str, str]]:
        """(seconds since the start, event, severity) in order."""
        found = self.run(lines, "--events", *arguments, rules=rules)
        return [(seconds(event["at"]), event["event"], event["severity"]) for event in found]


def one_rule(expr: str) -> str:
    return f"groups: [{{name: g, rules: [{{alert: A, expr: '{expr}'}}]}}]"


def seconds(text: str | None) -> int:
    assert text is not None
    return round(datetime.fromisoformat(text).timestamp()) - T0


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_it_opens_gets_worse_and_resolves(desk: Desk) -> None:
    lines = cpu([10, 95, 95, 95, 99, 99, 50, 50])
    assert desk.events(lines) == [
        (75, "opened", "warning"),  # `for` is over between two samples
        (120, "severity_changed", "critical"),
        (180, "resolved", "critical"),
    ]
    (incident,) = desk.run(lines)
    assert (incident["state"], incident["severity"], incident["count"]) == ("resolved", "critical", 2)
    assert (incident["customer"], incident["site"], incident["device"]) == ("acme", "hq", "pc")
    assert (incident["key"], incident["alertname"]) == ("acme/hq/pc/CpuHigh", "CpuHigh")
    assert seconds(incident["opened_at"]) == 75
    assert seconds(incident["recovered_at"]) == seconds(incident["resolved_at"]) == 180
    assert (incident["parent"], incident["members"]) == (None, [])
    assert incident["labels"]["instance"] == "pc.hq.acme"
    assert incident["summary"] == "pc.hq.acme: 99%"


def test_no_data_is_no_recovery(desk: Desk) -> None:
    up = series("other", 'instance="pc2.hq.acme"', [1] * 60)
    lines = [*cpu([95] * 5 + [None] * 40 + [95] * 5 + [20]), *up]
    (incident,) = desk.run(lines)
    assert incident["count"] == 1
    assert desk.events(lines)[-1] == (50 * 30, "resolved", "warning")
    # While nothing is heard, it says so.
    (incident,) = desk.run([*cpu([95] * 5), *up])
    assert (incident["state"], incident["no_data"]) == ("open", True)


def test_it_is_opened_again_within_a_day_and_closed_after_it(desk: Desk) -> None:
    low = [10.0] * 4
    again = cpu([*low, 95, 95, 95, *low, *([10] * 100), 95, 95, 95, *low])
    assert [event for _, event, _ in desk.events(again)] == ["opened", "resolved", "reopened", "resolved"]
    (incident,) = desk.run(again)
    assert incident["count"] == 2
    # A day of good samples later it is closed, and what comes then is a new incident.
    later = [*again, *cpu([10] * 27, step=HOUR, start=T0 + 2 * HOUR), *cpu([95] * 4, start=T0 + 30 * HOUR)]
    assert [event for _, event, _ in desk.events(later)] == [
        *("opened", "resolved", "reopened", "resolved", "closed", "opened")
    ]
    first, second = desk.run(later)
    assert (first["state"], second["state"]) == ("closed", "open")
    assert (second["previous"], second["repeat"]) == (first["id"], True)


def test_flapping_is_one_incident_and_ends_by_time_alone(desk: Desk) -> None:
    storm = [99.0, 10.0] * 6
    lines = cpu([*storm, *([10] * 80)], step=60)
    found = desk.events(lines)
    assert [event for _, event, _ in found].count("opened") == 1
    assert "flapping" in [event for _, event, _ in found]
    last = found[-1]
    assert last == (11 * 60 + 1800, "resolved", "critical")  # half an hour of quiet
    (incident,) = desk.run(lines)
    assert (incident["state"], incident["flapping"]) == ("resolved", False)


def test_several_devices_are_in_the_order_of_time(desk: Desk) -> None:
    lines = [
        *cpu([99] * 3, "b.hq.acme", start=T0 + 5),
        *cpu([99] * 3, "a.hq.acme"),
        *cpu([99], "c.x.other", start=T0 + 61),
    ]
    found = desk.run(lines)
    assert [(i["device"], seconds(i["opened_at"])) for i in found] == [("a", 0), ("b", 5), ("c", 61)]
    assert [i["customer"] for i in found] == ["acme", "acme", "other"]


@pytest.mark.parametrize(
    ("labels", "place"),
    [
        ('instance="10.0.0.5:9100"', ("", "", "10.0.0.5:9100")),
        ('instance="10.0.0.5:9100",customer="acme",site="hq"', ("acme", "hq", "10.0.0.5:9100")),
        ('instance="pc.hq.acme",customer="acme",site="hq"', ("acme", "hq", "pc")),
        ('instance="localhost"', ("", "", "localhost")),
        ('host="x"', ("", "", "")),
        ("", ("", "", "")),
    ],
)
def test_samples_of_any_origin_make_incidents(desk: Desk, labels: str, place: tuple[str, str, str]) -> None:
    (incident,) = desk.run(series("cpu", labels, [99, 99]))
    assert (incident["customer"], incident["site"], incident["device"]) == place


def test_a_register_gives_labels(desk: Desk) -> None:
    rules = desk.write("r.yml", 'groups: [{name: g, rules: [{alert: A, expr: \'cpu{class="server",role="db"} > 1\'}]}]')
    book = desk.write(
        "register.yml",
        "devices:\n  pc.hq.acme: {class: server, role: db}\n"
        "  10.0.0.5:9100: {customer: acme, site: lab, class: server, role: db}\n",
    )
    lines = [*cpu([5, 5]), *cpu([5, 5], "10.0.0.5:9100"), *cpu([5, 5], "pc2.hq.acme")]
    found = desk.run(lines, "--rules", rules, "--register", book, rules=False)
    assert sorted((i["device"], i["site"], i["class"]) for i in found) == [
        ("10.0.0.5:9100", "lab", "server"),
        ("pc", "hq", "server"),
    ]


def test_thresholds_hold_for_whom_they_are(desk: Desk) -> None:
    rules = desk.write("r.yml", one_rule('cpu > on(instance) group_left() watchdesk_threshold{name="cpu"}'))
    table = desk.write(
        "thresholds.yml",
        "thresholds: {cpu: [{value: 50, customer: acme}, {value: 95, customer: acme, site: lab}]}\n",
    )
    lines = [*cpu([80] * 3), *cpu([80] * 3, "pc.lab.acme"), *cpu([80] * 3, "pc.hq.other")]
    found = desk.run(lines, "--rules", rules, "--thresholds", table, rules=False)
    assert [i["key"] for i in found] == ["acme/hq/pc/A"]
    bad = desk.write("t.yml", "thresholds: 1")
    with pytest.raises(TableError, match=r"/t\.yml:1: "):
        desk.command("--rules", rules, "--thresholds", bad, "--samples", "-", stdin="a 1 1\n# EOF\n")


def test_the_shipped_rules_see_that_a_server_falls_silent(desk: Desk) -> None:
    book = desk.write("register.yml", "devices:\n  srv.hq.acme: {class: server}\n  pc.hq.acme: {class: desktop}\n")
    lines = [
        line
        for instance in ("srv.hq.acme", "pc.hq.acme")
        for line in series("node_load1", f'instance="{instance}"', [1] * 20 + [None] * 60 + [1] * 20)
    ]
    lines += series("node_load1", 'instance="other.hq.acme"', [1] * 100)
    found = desk.run(lines, "--register", book, rules=False)
    assert [(i["device"], i["alertname"], i["state"]) for i in found] == [("srv", "HostDown", "resolved")]
    # 19 × 30 s is the last sign of life, silent after three intervals, five minutes more until it fires.
    assert 570 + 90 < seconds(found[0]["opened_at"]) - 300 <= 570 + 90 + 30
    assert seconds(found[0]["resolved_at"]) == 80 * 30
    assert desk.run(lines, "--register", book, "--no-liveness", rules=False) == []


def test_rules_come_from_files_and_folders_without_the_unit_tests_in_them(desk: Desk) -> None:
    folder = desk.folder / "more"
    folder.mkdir()
    (folder / "a.yml").write_text(CPU)
    (folder / "a_test.yml").write_text("rule_files: [a.yml]\ntests: []\n")
    (folder / "notes.txt").write_text("no rules")
    other = desk.write("b.yml", "groups: [{name: h, rules: [{alert: B, expr: cpu > 98}]}]")
    found = desk.run(cpu([99] * 2), "--rules", str(folder), other, rules=False)
    assert sorted(i["alertname"] for i in found) == ["B", "CpuHigh"]


def test_prometheus_text_and_stdin(desk: Desk) -> None:
    text = "".join(f'cpu{{instance="pc.hq.acme"}} 99 {(T0 + 30 * i) * 1000}\n' for i in range(4))
    done = desk.command("--rules", desk.rules, "--samples", "-", "--json", stdin=text)
    assert seconds(json.loads(done.stdout)["opened_at"]) == 0
    assert "without # EOF" in done.stderr


def test_people_read_a_table(desk: Desk) -> None:
    path = desk.write("s.om", "\n".join([*cpu([99] * 3), "# EOF", ""]))
    done = desk.command("--rules", desk.rules, "--samples", path)
    head, row = done.stdout.splitlines()
    assert head.split()[:4] == ["NUMBER", "PRIO", "SEVERITY", "STATE"]
    assert "pc.hq.acme" in row
    assert "critical" in row
    done = desk.command("--rules", desk.rules, "--samples", path, "--events")
    assert "opened" in done.stdout


def test_a_rule_that_fails_is_told_and_harms_no_other(desk: Desk) -> None:
    other = desk.write("b.yml", "groups: [{name: h, rules: [{alert: B, expr: cpu * on() cpu}]}]")
    lines = [*cpu([99] * 3), *cpu([99] * 3, "pc2.hq.acme")]
    done = desk.command("--rules", desk.rules, other, "--samples", "-", "--json", stdin="\n".join([*lines, "# EOF"]))
    assert len(done.stdout.splitlines()) == 2
    assert "b.yml:1: B: " in done.stderr


def test_what_hangs_on_a_dead_switch_is_its_member(desk: Desk) -> None:
    rules = desk.write(
        "r.yml",
        "groups: [{name: g, rules: [{alert: DeviceDown, expr: up == 0, for: 1m, labels: {severity: critical}}]}]",
    )
    book = desk.write(
        "register.yml",
        "sites: {hq.acme: {people: 40}}\ndevices:\n  sw1.hq.acme: {class: network}\n"
        "  fs01.hq.acme: {class: server, parent: sw1}\n  fs02.hq.acme: {class: server, parent: sw1}\n",
    )
    down = [1.0] * 4 + [0.0] * 20 + [1.0] * 40
    lines = [
        line for name in ("sw1", "fs01", "fs02") for line in series("up", f'instance="{name}.hq.acme"', down, step=30)
    ]
    options = ("--rules", rules, "--register", book)
    (switch,) = desk.run(lines, *options, rules=False)
    assert (switch["device"], switch["state"], len(switch["members"])) == ("sw1", "resolved", 2)
    found = desk.run(lines, *options, "--hidden", rules=False)
    assert sorted((i["device"], i["parent"]) for i in found) == [
        ("fs01", switch["id"]),
        ("fs02", switch["id"]),
        ("sw1", None),
    ]
    events = [event for _, event, _ in desk.events(lines, *options, rules=False)]
    assert sorted(events) == ["held_back", "held_back", "opened", "resolved", "resolved", "resolved"]


Fault = Callable[[Desk], tuple[str, ...]]

FAULTS: dict[str, tuple[Fault, type[Exception], str]] = {
    "sample": (lambda d: ("--samples", d.write("s", "a 1 1\nb\n")), SampleError, r"/s:2: not a sample"),
    "rule": (
        lambda d: ("--rules", d.write("r", one_rule("1 +")), "--samples", d.write("s", "a 1 1\n")),
        RuleFileError,
        r"/r:1: could not parse",
    ),
    "no rules": (
        lambda d: ("--rules", str(d.folder / "nowhere"), "--samples", d.rules),
        BacktestError,
        r"nowhere: No such file",
    ),
    "no samples": (lambda d: ("--samples", str(d.folder / "no.om")), BacktestError, r"no\.om: No such file"),
    "not text": (lambda d: ("--rules", str(d.binary()), "--samples", d.rules), BacktestError, r"not UTF-8"),
    "register": (
        lambda d: ("--samples", d.write("s", "a 1 1\n"), "--register", d.write("b", "devices: [")),
        CollectorError,
        r"/b:1: ",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_read_is_named(desk: Desk, fault: str) -> None:
    arguments, error, message = FAULTS[fault]
    with pytest.raises(error, match=message):
        desk.command(*arguments(desk))


@pytest.mark.parametrize("arguments", [(), ("--samples", "-", "--since", "1d"), ("--samples", "-", "--step", "x")])
def test_a_wrong_use_is_told(desk: Desk, arguments: tuple[str, ...]) -> None:
    assert desk.command(*arguments).exit_code == 2
