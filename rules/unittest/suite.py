"""Files of unit tests for rules, in promtool's format (prometheus: docs/configuration/unit_testing_rules.md)."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from rules import document, fields
from rules.errors import TestFileError
from rules.fields import Faults

_FILE: Final = frozenset({"rule_files", "evaluation_interval", "group_eval_order", "tests", "fuzzy_compare"})
_TEST: Final = frozenset(
    {
        *("interval", "input_series", "alert_rule_test", "promql_expr_test"),
        *("external_labels", "external_url", "name", "start_timestamp"),
    }
)
_SERIES: Final = frozenset({"series", "values"})
_ALERT_TEST: Final = frozenset({"eval_time", "alertname", "exp_alerts"})
_ALERT: Final = frozenset({"exp_labels", "exp_annotations"})
_EXPR_TEST: Final = frozenset({"expr", "eval_time", "exp_samples"})
_SAMPLE: Final = frozenset({"labels", "value", "histogram"})
_UNIX: Final = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class InputSeries:
    """A series and its values, as they are written."""

    series: str
    values: str
    line: int


@dataclass(frozen=True, slots=True)
class ExpectedAlert:
    """An alert that must fire."""

    labels: dict[str, str]
    annotations: dict[str, str]


@dataclass(frozen=True, slots=True)
class AlertTest:
    """Which alerts of a name fire at a time."""

    at: float
    alert: str
    expected: tuple[ExpectedAlert, ...]
    line: int


@dataclass(frozen=True, slots=True)
class ExpectedSample:
    """An element that an expression must yield."""

    labels: str
    value: float


@dataclass(frozen=True, slots=True)
class ExprTest:
    """What an expression yields at a time."""

    expr: str
    at: float
    expected: tuple[ExpectedSample, ...]
    line: int


@dataclass(frozen=True, slots=True)
class TestGroup:
    """Series and what rules make of them; times in seconds since `start`."""

    __test__ = False

    name: str
    interval: float
    start: float
    series: tuple[InputSeries, ...]
    alerts: tuple[AlertTest, ...]
    exprs: tuple[ExprTest, ...]
    external_labels: dict[str, str]
    external_url: str
    line: int

    @property
    def last(self) -> float:
        """The latest time that a test asks for."""
        return max([0.0, *(t.at for t in self.alerts), *(t.at for t in self.exprs)])


@dataclass(frozen=True, slots=True)
class Suite:
    """A whole file of tests."""

    file: str
    rule_files: tuple[str, ...]
    interval: float
    order: tuple[str, ...]
    fuzzy: bool
    groups: tuple[TestGroup, ...]


def parse(text: str, file: str) -> Suite:
    """The tests of a file; TestFileError holds all that is wrong with it."""
    faults = Faults(file, TestFileError)
    entries = fields.mapping(fields.document(text, faults), "a test file", _FILE, faults)
    order = [
        fields.string(n, "group_eval_order", faults)
        for n in fields.items(entries.get("group_eval_order"), "group_eval_order", faults)
    ]
    for name in order:
        if order.count(name) > 1:
            faults.stop(entries["group_eval_order"].line, f"group name repeated in evaluation order: {name}")
    interval = fields.duration(entries.get("evaluation_interval"), "evaluation_interval", faults) or 60.0
    suite = Suite(
        file=file,
        rule_files=tuple(_each(entries.get("rule_files"), "rule_files", fields.string, faults)),
        interval=interval,
        order=tuple(order),
        fuzzy=fields.boolean(entries.get("fuzzy_compare"), "fuzzy_compare", faults),
        groups=tuple(_group(node, interval, faults) for node in fields.items(entries.get("tests"), "tests", faults)),
    )
    faults.check()
    return suite


def _each(
    node: document.Node | None, what: str, read: Callable[[document.Node, str, Faults], T], faults: Faults
) -> list[T]:
    return [read(item, what, faults) for item in fields.items(node, what, faults)]


def _group(node: document.Node, interval: float, faults: Faults) -> TestGroup:
    entries = fields.mapping(node, "a test", _TEST, faults)
    return TestGroup(
        name=fields.string(entries.get("name"), "name", faults),
        interval=fields.duration(entries.get("interval"), "interval", faults) or interval,
        start=_start(entries.get("start_timestamp"), faults),
        series=tuple(_each(entries.get("input_series"), "input_series", _series, faults)),
        alerts=tuple(_each(entries.get("alert_rule_test"), "alert_rule_test", _alert_test, faults)),
        exprs=tuple(_each(entries.get("promql_expr_test"), "promql_expr_test", _expr_test, faults)),
        external_labels=_strings(entries.get("external_labels"), "external_labels", faults),
        external_url=fields.string(entries.get("external_url"), "external_url", faults),
        line=node.line,
    )


def _start(node: document.Node | None, faults: Faults) -> float:
    """Unix seconds of a start_timestamp, written as a number or by RFC 3339."""
    text = fields.string(node, "start_timestamp", faults)
    if not text or node is None:
        return 0.0
    if _UNIX.fullmatch(text):
        return float(text)
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        faults.add(node.line, "start_timestamp must be Unix seconds or a time by RFC 3339")
        return 0.0
    return moment.timestamp()


def _series(node: document.Node, what: str, faults: Faults) -> InputSeries:
    entries = fields.mapping(node, what, _SERIES, faults)
    series, values = (fields.string(entries.get(key), key, faults) for key in ("series", "values"))
    return InputSeries(series, values, node.line)


def _alert_test(node: document.Node, what: str, faults: Faults) -> AlertTest:
    entries = fields.mapping(node, what, _ALERT_TEST, faults)
    name = fields.string(entries.get("alertname"), "alertname", faults)
    if not name:
        faults.add(node.line, "alertname is missing in a test of alerts")
    return AlertTest(
        at=fields.duration(entries.get("eval_time"), "eval_time", faults),
        alert=name,
        expected=tuple(_each(entries.get("exp_alerts"), "exp_alerts", _expected, faults)),
        line=node.line,
    )


def _expected(node: document.Node, what: str, faults: Faults) -> ExpectedAlert:
    if isinstance(node, document.Scalar) and node.null:
        return ExpectedAlert({}, {})
    entries = fields.mapping(node, what, _ALERT, faults)
    return ExpectedAlert(
        _strings(entries.get("exp_labels"), "exp_labels", faults),
        _strings(entries.get("exp_annotations"), "exp_annotations", faults),
    )


def _expr_test(node: document.Node, what: str, faults: Faults) -> ExprTest:
    entries = fields.mapping(node, what, _EXPR_TEST, faults)
    return ExprTest(
        expr=fields.string(entries.get("expr"), "expr", faults),
        at=fields.duration(entries.get("eval_time"), "eval_time", faults),
        expected=tuple(_each(entries.get("exp_samples"), "exp_samples", _sample, faults)),
        line=node.line,
    )


def _sample(node: document.Node, what: str, faults: Faults) -> ExpectedSample:
    entries = fields.mapping(node, what, _SAMPLE, faults)
    if "histogram" in entries:
        faults.add(entries["histogram"].line, "native histograms are not taken")
    return ExpectedSample(
        fields.string(entries.get("labels"), "labels", faults),
        fields.number(entries.get("value"), "value", faults),
    )


def _strings(node: document.Node | None, what: str, faults: Faults) -> dict[str, str]:
    return {name: value.text for name, value in fields.strings(node, what, faults).items()}
