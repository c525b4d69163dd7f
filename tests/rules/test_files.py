"""Rule files: what is read, and what is refused with which line."""

from __future__ import annotations

import textwrap

import pytest

from rules.errors import RuleFileError
from rules.files import Group, Rule, parse

WHOLE = """\
groups:
  - name: disks
    interval: 1m30s
    limit: 10
    query_offset: 30s
    labels: {team: noc, severity: info}
    rules:
      - record: instance:used:ratio
        expr: 1 - avail / size
        labels:
          level: instance
      - alert: DiskFull
        expr: |
          instance:used:ratio
            > 0.9
        for: 5m
        keep_firing_for: 1h
        labels:
          severity: critical
        annotations:
          summary: 'Disk {{ $labels.device }} is {{ $value | humanizePercentage }} full'
"""


def read(text: str) -> list[Group]:
    return parse(textwrap.dedent(text), "rules.yml")


def refused(text: str) -> list[tuple[int, str]]:
    """The faults of a file, as (line, message)."""
    with pytest.raises(RuleFileError) as caught:
        read(text)
    return [(e.line, e.message) for e in (caught.value, *caught.value.others)]


def rules_of(rule: str) -> str:
    return "groups:\n- name: g\n  rules:\n" + textwrap.indent(textwrap.dedent(rule), "  ")


def test_a_whole_file() -> None:
    [group] = read(WHOLE)
    record, alert = group.rules
    assert (group.name, group.interval, group.limit, group.query_offset) == ("disks", 90.0, 10, 30.0)
    assert record == Rule(
        kind="record",
        name="instance:used:ratio",
        expr="1 - avail / size",
        labels={"team": "noc", "severity": "info", "level": "instance"},
    )
    assert (alert.kind, alert.name, alert.hold, alert.keep) == ("alert", "DiskFull", 300.0, 3600.0)
    assert alert.labels == {"team": "noc", "severity": "critical"}
    assert alert.expr == "instance:used:ratio\n  > 0.9\n"
    assert (record.line, alert.line) == (8, 12)


@pytest.mark.parametrize(
    "text",
    ["", "groups:\n", "groups: []\n", "# nothing\n", "---\n", "groups:\n- name: g\n", "groups:\n- name: g\n  rules:\n"],
)
def test_nothing_is_no_fault(text: str) -> None:
    assert all(not group.rules for group in read(text))


def test_scalars_are_taken_as_they_were_written() -> None:
    [group] = read(rules_of("- {alert: A, expr: 1, for: , labels: {severity: 1, page: yes, empty: }}"))
    assert group.rules[0].expr == "1"
    assert group.rules[0].hold == 0.0
    assert group.rules[0].labels == {"severity": "1", "page": "yes", "empty": ""}


def test_anchors_and_merges() -> None:
    text = """\
        groups:
        - name: g
          rules:
          - &base
            alert: A
            expr: up == 0
            labels: &l {severity: warning, team: x}
          - <<: *base
            alert: B
            labels: {<<: *l, severity: critical}
        """
    first, second = read(text)[0].rules
    assert (first.name, second.name, second.expr) == ("A", "B", "up == 0")
    assert second.labels == {"severity": "critical", "team": "x"}


def test_only_the_first_document_counts() -> None:
    assert [g.name for g in read("groups: [{name: a}]\n---\ngroups: [{name: b}]\n")] == ["a"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("groups: [\n", 2, "not YAML"),
        ("groups:\n- name: a\n\trules: []\n", 3, "not YAML"),
        ("groups:\n- name: a\n  b: &x [*x]\n", 3, "the alias *x contains itself"),
        ("groups: *nowhere\n", 1, "the alias *nowhere has no anchor"),
        ("x\0y", 1, "not YAML"),
        ("groups:\n- name: a\n  name: b\n", 3, "the key 'name' is already there at line 2"),
        ("- a\n", 1, "expected a mapping, found a list"),
        ("just text\n", 1, "expected a mapping, found a scalar"),
        ("groups: {}\n", 1, "groups must be a list, not a mapping"),
        ("groups:\n- name: a\n\n- name: b\n- name: a\n", 5, "the group 'a' is already there at line 2"),
        ("groups:\n- rules: []\n", 2, "a group must have a name"),
        ("group: []\n", 1, "unknown key 'group' in a rule file; known are groups"),
        ("groups:\n- name: a\n  intervall: 1m\n", 3, "unknown key 'intervall' in a group"),
        ("groups:\n- name: a\n  interval: 1 minute\n", 3, 'interval: not a valid duration string: "1 minute"'),
        ("groups:\n- name: a\n  interval: 60\n", 3, 'interval: not a valid duration string: "60"'),
        ("groups:\n- name: a\n  interval: 300y\n", 3, "interval: duration out of range"),
        ("groups:\n- name: a\n  limit: many\n", 3, "limit must be a whole number"),
        ("groups:\n- name: a\n  limit: 99999999999999999999\n", 3, "limit is out of range"),
        ("groups:\n- name: a\n  labels: {__name__: x}\n", 3, "invalid label name: '__name__'"),
        (rules_of("- expr: up\n"), 4, "one of 'record' and 'alert' must be set"),
        (rules_of("- {alert: A, record: b, expr: up}\n"), 4, "only one of 'record' and 'alert' must be set"),
        (rules_of("- alert: A\n"), 4, "the field 'expr' must be set in a rule"),
        (rules_of("- alert: A\n  expr: ''\n"), 5, "the field 'expr' must be set in a rule"),
        (rules_of("- alert: A\n  expr: [up]\n"), 5, "expr must be a string, not a list"),
        (rules_of("- alert: A\n  expr: up\n  severity: x\n"), 6, "unknown key 'severity' in a rule"),
        (rules_of("- alert: A\n  expr: up\n  for: 5x\n"), 6, 'for: not a valid duration string: "5x"'),
        (rules_of("- alert: A\n  expr: up\n  labels: [a]\n"), 6, "labels must be a mapping, not a list"),
        (rules_of("- alert: A\n  expr: up\n  labels: {a: [b]}\n"), 6, "'a' in labels must be a string, not a list"),
        (rules_of("- alert: A\n  expr: up\n  labels:\n    a-b: c\n"), 7, "invalid label name: 'a-b'"),
        (rules_of("- alert: A\n  expr: up\n  annotations: {1a: c}\n"), 6, "invalid annotation name: '1a'"),
        (rules_of("- record: a b\n  expr: up\n"), 4, "invalid recording rule name: a b"),
        (rules_of("- record: a\n  expr: up\n  for: 5m\n"), 6, "invalid field 'for' in a recording rule"),
        (rules_of("- record: a\n  expr: up\n  annotations: {a: b}\n"), 6, "invalid field 'annotations' in a recording"),
        (rules_of("- alert: A\n  expr: nosuch(up)\n"), 5, "unknown function"),
        (rules_of("- alert: A\n  expr: 'up{a=~\"(\"}'\n"), 5, "could not parse expression"),
        (rules_of("- alert: A\n  expr: sum(\n"), 5, "could not parse expression"),
        (rules_of("- alert: A\n  expr: up\n  annotations:\n    a: '{{ $x }}'\n"), 7, 'undefined variable "$x"'),
        (rules_of("- alert: A\n  expr: up\n  labels:\n    a: '{{ nosuch 1 }}'\n"), 7, 'function "nosuch" not defined'),
    ],
)
def test_faults_have_their_line(text: str, line: int, message: str) -> None:
    [(found_line, found)] = refused(text)
    assert message in found
    assert found_line == line


def test_all_faults_of_a_file_are_told_at_once() -> None:
    text = """\
        groups:
        - name: a
          interval: 1
          rules:
          - alert: A
            expr: sum(
            for: x
        - name: a
        """
    assert [line for line, _ in refused(text)] == [3, 6, 7, 8]


def test_an_error_names_its_file() -> None:
    with pytest.raises(RuleFileError, match=r"^rules\.yml:1: unknown key 'x'"):
        read("x: 1\n")


def test_a_flood_of_faults_ends() -> None:
    assert len(refused("".join(f"k{i}: 1\n" for i in range(10_000)))) == 50


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"{b}: &{b} [{', '.join(['*' + a] * 10)}]" for a, b in zip("abcdef", "bcdefg", strict=True)]
    [(line, message)] = refused("\n".join(lines))
    assert line == 6
    assert message == "more than 1,000,000 nodes, counting what aliases repeat"


@pytest.mark.parametrize("bracket", ["[", "{a: ", "- "])
def test_depth_is_bounded(bracket: str) -> None:
    [(_, message)] = refused(bracket * 100_000)
    assert "nested deeper than 60 levels" in message or "not YAML" in message


def test_size_is_bounded() -> None:
    [(line, message)] = refused("#" * (17 << 20))
    assert (line, message) == (0, "the file is larger than 16 MiB")


def test_a_value_of_a_megabyte_is_taken_and_a_larger_one_is_not() -> None:
    one = "x" * (1 << 20)
    [group] = read(rules_of(f"- alert: A\n  expr: up\n  labels:\n    a: {one}\n"))
    assert group.rules[0].labels["a"] == one
    [(line, message)] = refused(rules_of(f"- alert: A\n  expr: up\n  labels:\n    a: {one}x\n"))
    assert (line, message) == (7, "'a' in labels is longer than 1,048,576 characters")


def test_a_template_in_a_recording_rule_is_plain_text() -> None:
    [group] = read(rules_of("- record: a\n  expr: up\n  labels: {a: '{{ nosuch }}'}\n"))
    assert group.rules[0].labels == {"a": "{{ nosuch }}"}
