"""What each rule says, and that the documentation knows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.rules.packs.shipped import (
    DOCS,
    UNIT_TESTS,
    Check,
    Rule,
    alerts,
    checks,
    groups,
    needs_promtool,
    promtool,
    read,
    rules,
    selectors,
)
from ticketing.diagnosis.catalogue import load
from ticketing.diagnosis.wishes import wishes

CATALOGUE = load()
TEXTS = ("summary", "impact", "first_steps", "closes")
OPTIONAL = {"depends_on", "scope", "threshold", "threshold_name", "value_unit"}
UNITS = {"percent", "seconds", "hours", "days", "celsius", "ratio", "count", "per_second", "bits_per_second"}
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def name(rule: Rule) -> str:
    """What a parametrised test is called."""
    return f"{rule.pack}-{rule.alert}-{rule.severity}"


@pytest.mark.parametrize("rule", alerts(), ids=name)
def test_says_all_in_both_languages(rule: Rule) -> None:
    needed = {text + suffix for text in TEXTS for suffix in ("", "_zh")} | {"diagnosis"}
    assert needed <= set(rule.annotations) <= needed | OPTIONAL
    for text in TEXTS:
        assert not CHINESE.search(rule.annotations[text])
        assert CHINESE.search(rule.annotations[text + "_zh"])
        assert rule.annotations[text] == rule.annotations[text].strip() != ""
    assert "{{ $labels.instance }}" in rule.annotations["summary"]
    assert "{{ $labels.instance }}" in rule.annotations["summary_zh"]
    # The value and the labels of the two languages are the same.
    found = [re.findall(r"\$(?:labels\.\w+|value)", rule.annotations[key]) for key in ("summary", "summary_zh")]
    assert sorted(found[0]) == sorted(found[1])


@pytest.mark.parametrize("rule", alerts(), ids=name)
def test_small_fields(rule: Rule) -> None:
    assert set(rule.labels) == {"severity"}
    assert rule.severity in ("critical", "warning", "info")
    assert re.fullmatch(r"[A-Z][A-Za-z]+", rule.alert)
    assert rule.annotations.get("value_unit", "count") in UNITS
    assert rule.annotations.get("scope", "device") in ("device", "site")
    float(rule.annotations.get("threshold", "0"))
    known = {other.alert for other in alerts()}
    assert set(rule.annotations.get("depends_on", rule.alert).split(", ")) <= known


@pytest.mark.parametrize("rule", alerts(), ids=name)
def test_the_diagnoses_that_it_names_can_be_asked(rule: Rule) -> None:
    """Every name is in the catalogue, with arguments that it takes, filled in from labels."""
    labels = {"mountpoint": "/var", "device": "sda", "ifName": "Gi0/1", "name": "cron.service", "source": "443/tcp"}
    found = wishes(rule.annotations["diagnosis"])
    assert found
    for wish in found:
        arguments = wish.filled({**labels, "master": "bond0"})
        assert arguments is not None, f"{wish} names a label that no rule has"
        entry = CATALOGUE.find(wish.name)
        assert entry.privacy_of(entry.check(arguments)) != "content", "nobody could be asked each time"


def test_one_severity_of_a_name_in_a_pack_is_one_rule() -> None:
    named = [(rule.pack, rule.alert, rule.severity) for rule in alerts()]
    assert sorted(set(named)) == sorted(named)


def test_a_threshold_that_customers_may_set_is_named() -> None:
    for rule in alerts():
        read_names = set(re.findall(r'watchdesk_threshold\{name="(\w+)",severity="(\w+)"\}', rule.expr))
        assert rule.expr.count("watchdesk_threshold") == len(
            re.findall(r'watchdesk_threshold\{name="\w+",s', rule.expr)
        )
        wanted = (
            {(rule.annotations["threshold_name"], rule.severity)} if "threshold_name" in rule.annotations else set()
        )
        assert read_names == wanted, name(rule)
        assert not read_names or "threshold" in rule.annotations


def test_hysteresis_looks_at_its_own_rule() -> None:
    for rule in alerts():
        looks_at = re.findall(r'ALERTS\{alertname="(\w+)",severity="(\w+)"', rule.expr)
        severities = {severity for alert, severity in looks_at if alert == rule.alert}
        assert not severities or rule.severity in severities, name(rule)


def test_sparse_records_are_read_through_windows_only() -> None:
    """A record made less often than every two minutes has holes for an instant selector, which looks back five."""
    slow = {
        rule["record"]
        for _, group in groups()
        if group.get("interval", "1s") in ("5m", "15m", "1h")
        for rule in group["rules"]
    }
    assert slow
    for rule in rules():
        for metric in slow & set(selectors(rule.expr)):
            assert re.search(re.escape(metric) + r"(\{[^}]*\})?\[", rule.expr), (rule, metric)


def test_every_record_is_used() -> None:
    read_by = {metric for rule in rules() for metric in selectors(rule.expr)}
    assert {rule.record for rule in rules() if rule.record} <= read_by


def test_the_documentation_lists_each_metric() -> None:
    documented = set(re.findall(r"^\| `([\w:]+)`", DOCS.read_text(encoding="utf-8"), re.MULTILINE))
    used = {metric for rule in rules() for metric in (*selectors(rule.expr), rule.record)} - {"", "ALERTS"}
    assert used - documented == set()
    assert {metric for metric in documented if metric.startswith("watchdesk:")} <= used


def test_the_documentation_lists_each_alert_and_diagnosis() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for rule in alerts():
        rows = [row for row in text.splitlines() if re.match(rf"\| [\d, –]+ \| {rule.alert} \|", row)]
        assert rows, name(rule)
        assert any(rule.severity in row for row in rows), name(rule)
        for wish in wishes(rule.annotations["diagnosis"]):
            assert f"| `{wish.name}` |" in text
        assert rule.annotations.get("threshold_name", "") in text


def test_the_documentation_covers_the_sixty() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \| [A-Z]\w+ \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    numbers = {int(number) for row in rows for number in row.split(",")}
    assert numbers == set(range(1, 61))


def first_firing() -> dict[tuple[str, str], Check]:
    """Of each alert and severity, the first expectation in which it fires."""
    first: dict[tuple[str, str], Check] = {}
    for check in checks():
        for _, severity in sorted(check.firing):
            first.setdefault((check.alert, severity), check)
    return first


@needs_promtool
@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem)
def test_templates_expand(path: Path, tmp_path: Path) -> None:
    """Ask promtool for no alert where one is known to fire: what it got instead shows the expanded annotations."""
    wanted = {key: check for key, check in first_firing().items() if check.file == path}
    spec = read(path)
    spec["rule_files"] = [str((path.parent / file).resolve()) for file in spec["rule_files"]]
    for number, case in enumerate(spec["tests"]):
        case["promql_expr_test"] = []
        case["alert_rule_test"] = [
            {"eval_time": check.time, "alertname": check.alert, "exp_alerts": []}
            for check in set(wanted.values())
            if check.case == number
        ]
    spec["tests"] = [case for case in spec["tests"] if case["alert_rule_test"]]
    changed = tmp_path / path.name
    changed.write_text(yaml.dump(spec, Dumper=yaml.CSafeDumper, allow_unicode=True), encoding="utf-8")
    shown = promtool("test", "rules", changed).stderr
    for alert, severity in wanted:
        seen = re.findall(rf'alertname="{alert}".*severity="{severity}".*\n\s*Annotations:\{{(.*)\}}', shown)
        assert seen, (alert, severity)
        for text in seen:
            assert not re.search(r"error expanding|<no value>|%!|\{\{|NaN|Inf\b", text), text


def test_templates_of_every_alert_are_expanded() -> None:
    assert set(first_firing()) == {(rule.alert, rule.severity) for rule in alerts()}
