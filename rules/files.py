"""Prometheus rule files: read strictly, with the line of every fault.

The format is Prometheus 3's (prometheus: model/rulefmt/rulefmt.go), names are checked as 2.42 checks them. A file that
Prometheus loads is loaded here, unless it asks for native histograms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from rules import document, fields
from rules.errors import PromQLError, RuleFileError, TemplateError
from rules.expressions import check as check_expression
from rules.fields import LABEL_NAME, METRIC_NAME, Faults
from rules.template import check as check_template

MAX_TEXT: Final = 1 << 20  # of one label, annotation or expression, in characters

_FILE: Final = frozenset({"groups"})
_GROUP: Final = frozenset({"name", "interval", "query_offset", "limit", "rules", "labels"})
_RULE: Final = frozenset({"record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"})
_ALERT_ONLY: Final = ("for", "keep_firing_for", "annotations")


@dataclass(frozen=True, slots=True)
class Rule:
    """A recording or an alerting rule; `labels` hold those of its group too; durations in seconds."""

    kind: Literal["alert", "record"]
    name: str
    expr: str
    hold: float = 0.0  # for
    keep: float = 0.0  # keep_firing_for
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after the other; `interval` None: at every tick."""

    file: str
    name: str
    rules: tuple[Rule, ...]
    interval: float | None = None
    limit: int = 0
    query_offset: float | None = None
    line: int = field(default=0, compare=False)


def parse(text: str, file: str) -> list[Group]:
    """The groups of a rule file; RuleFileError holds all that is wrong with it."""
    faults = Faults(file, RuleFileError)
    root = fields.document(text, faults)
    entries = fields.mapping(root, "a rule file", _FILE, faults)
    groups = [_group(node, file, faults) for node in fields.items(entries.get("groups"), "groups", faults)]
    seen: dict[str, int] = {}
    for group in groups:
        if group.name in seen:
            faults.add(group.line, f"the group {group.name!r} is already there at line {seen[group.name]}")
        seen.setdefault(group.name, group.line)
    faults.check()
    return groups


def _group(node: document.Node, file: str, faults: Faults) -> Group:
    entries = fields.mapping(node, "a group", _GROUP, faults)
    name = fields.string(entries.get("name"), "name", faults)
    if not name:
        faults.add(node.line, "a group must have a name")
    labels = _names(entries.get("labels"), "labels", faults)
    rules = [_rule(rule, labels, faults) for rule in fields.items(entries.get("rules"), "rules", faults)]
    interval = fields.duration(entries.get("interval"), "interval", faults)
    offset = entries.get("query_offset")
    return Group(
        file=file,
        name=name,
        rules=tuple(rules),
        interval=interval or None,
        limit=fields.integer(entries.get("limit"), "limit", faults),
        query_offset=None if offset is None else fields.duration(offset, "query_offset", faults),
        line=node.line,
    )


def _rule(node: document.Node, group_labels: Mapping[str, str], faults: Faults) -> Rule:
    entries = fields.mapping(node, "a rule", _RULE, faults)
    record = fields.string(entries.get("record"), "record", faults)
    alert = fields.string(entries.get("alert"), "alert", faults)
    if bool(record) == bool(alert):
        faults.add(node.line, ("only " if record else "") + "one of 'record' and 'alert' must be set")
    if record and not alert:
        _recording(entries, record, faults)
    return Rule(
        kind="alert" if alert else "record",
        name=alert or record,
        expr=_expression(node, entries.get("expr"), faults),
        hold=fields.duration(entries.get("for"), "for", faults),
        keep=fields.duration(entries.get("keep_firing_for"), "keep_firing_for", faults),
        labels={**group_labels, **_names(entries.get("labels"), "labels", faults, alert)},
        annotations=_names(entries.get("annotations"), "annotations", faults, alert),
        line=node.line,
    )


def _recording(entries: dict[str, document.Node], name: str, faults: Faults) -> None:
    line = entries["record"].line
    if not METRIC_NAME.fullmatch(name):
        faults.add(line, f"invalid recording rule name: {name[:200]}")
    for key in _ALERT_ONLY:
        node = entries.get(key)
        empty = node is None or (isinstance(node, document.Mapping) and not node.items)
        if not empty and not (isinstance(node, document.Scalar) and node.text == "0"):
            faults.add(entries[key].line, f"invalid field {key!r} in a recording rule")


def _expression(rule: document.Node, node: document.Node | None, faults: Faults) -> str:
    expr = fields.string(node, "expr", faults)
    if not expr and not isinstance(node, document.Mapping | document.Sequence):
        faults.add(rule.line if node is None else node.line, "the field 'expr' must be set in a rule")
        return ""
    if node is None or not expr:
        return ""
    if len(expr) > MAX_TEXT:
        faults.add(node.line, f"the expression is longer than {MAX_TEXT:,} characters")
        return ""
    try:
        check_expression(expr)
    except PromQLError as error:
        faults.add(*_located(expr, node, error))
    return expr


def _located(expr: str, node: document.Node, error: PromQLError) -> tuple[int, str]:
    """The line in the file, and the message with line and column in the expression, of an error in it."""
    block = isinstance(node, document.Scalar) and node.block
    if error.position < 0:
        return node.line + block, f"could not parse expression: {error.message}"
    before = expr[: error.position]
    row, column = before.count("\n"), len(before) - (before.rfind("\n") + 1)
    return node.line + block + row, f"could not parse expression: {row + 1}:{column + 1}: {error.message}"


def _names(node: document.Node | None, what: str, faults: Faults, alert: str = "") -> dict[str, str]:
    """Labels or annotations: names checked, and, of an alert, the templates in their values."""
    found = fields.strings(node, what, faults)
    for name, value in found.items():
        if not LABEL_NAME.fullmatch(name) or (name == "__name__" and what == "labels"):
            faults.add(value.line, f"invalid {what.removesuffix('s')} name: {name[:200]!r}")
        if len(value.text) > MAX_TEXT:
            faults.add(value.line, f"{name!r} in {what} is longer than {MAX_TEXT:,} characters")
        elif alert and "{{" in value.text:
            try:
                check_template(value.text, alert)
            except TemplateError as error:
                faults.add(value.line + value.block, f"{what.removesuffix('s')} {name!r}: {error}")
    return {name: value.text for name, value in found.items()}
