"""Writes a tree as PromQL, in one way for equal trees; shown in explanations, and the key by which nodes are shared."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any, Final

import promql_parser as pp

from rules.errors import PromQLError
from rules.promql.lexer import quoted
from rules.promql.source import Source

MATCH_OPS: Final = {"MatchOp.Equal": "=", "MatchOp.NotEqual": "!=", "MatchOp.Re": "=~", "MatchOp.NotRe": "!~"}
_LONGEST: Final = (2**63 - 1) // 1_000_000
_UNITS: Final = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))


def milliseconds(span: timedelta | None) -> int:
    """Return a duration in milliseconds; 0 for none.

    Raises:
        PromQLError: longer than Go's durations can be, 292 years.
    """
    found = 0 if span is None else span // timedelta(milliseconds=1)
    if abs(found) > _LONGEST:
        raise PromQLError("duration out of range")
    return found


def duration(ms: int) -> str:
    """Return a duration as PromQL writes it."""
    out = "-" if ms < 0 else ""
    ms = abs(ms)
    for unit, size in _UNITS:
        if ms >= size and (unit != "ms" or ms):
            out += f"{ms // size}{unit}"
            ms %= size
    return out or "0s"


def number(value: float) -> str:
    """Return a number as PromQL writes it."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Inf" if value > 0 else "-Inf"
    if not value:
        return "0" if math.copysign(1, value) > 0 else "-0"
    return repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def write(tree: Any, source: Source) -> str:
    """Return the text of a tree."""
    match tree:
        case pp.NumberLiteral():
            return number(tree.val)
        case pp.StringLiteral():
            return quoted(tree.val)
        case pp.ParenExpr():
            return f"({write(tree.expr, source)})"
        case pp.UnaryExpr():
            return "-" + write(tree.expr, source)
        case pp.BinaryExpr():
            return f"{write(tree.lhs, source)} {tree.op}{_matching(tree.modifier)} {write(tree.rhs, source)}"
        case pp.Call():
            return f"{tree.func.name}({', '.join(write(arg, source) for arg in tree.args)})"
        case pp.AggregateExpr():
            args = [tree.expr] if tree.param is None else [tree.param, tree.expr]
            return f"{tree.op}{_grouping(tree.modifier)}({', '.join(write(arg, source) for arg in args)})"
        case pp.MatrixSelector():
            inner = tree.vector_selector
            return _selector(inner, source) + f"[{duration(milliseconds(tree.range))}]" + _shift(inner, source)
        case pp.SubqueryExpr():
            step = duration(milliseconds(tree.step)) if tree.step is not None else ""
            return f"{write(tree.expr, source)}[{duration(milliseconds(tree.range))}:{step}]{_shift(tree, source)}"
        case _:
            return _selector(tree, source) + _shift(tree, source)


def _selector(tree: Any, source: Source) -> str:
    matchers = []
    for matcher in tree.matchers.matchers:
        op = MATCH_OPS[str(matcher.op)]
        value = source.pattern(matcher.value)[0] if op.endswith("~") else matcher.value
        name = matcher.name if matcher.name.isidentifier() and matcher.name.isascii() else quoted(matcher.name)
        matchers.append(f"{name}{op}{quoted(value)}")
    braces = "{" + ", ".join(matchers) + "}" if matchers or not tree.name else ""
    return (tree.name or "") + braces


def _shift(tree: Any, source: Source) -> str:
    out = ""
    if tree.at is not None:
        if tree.at.type == pp.AtModifierType.At:
            out += f" @ {number(source.times[round(tree.at.at.timestamp())])}"
        else:
            out += " @ start()" if tree.at.type == pp.AtModifierType.Start else " @ end()"
    if tree.offset:
        out += f" offset {duration(milliseconds(tree.offset))}"
    return out


def _matching(modifier: Any) -> str:
    if modifier is None:
        return ""
    out = " bool" if modifier.return_bool else ""
    if modifier.matching is not None:
        word = "on" if modifier.matching.type == pp.LabelModifierType.Include else "ignoring"
        out += f" {word} ({_labels(modifier.matching.labels)})"
    for card, word in (("ManyToOne", "group_left"), ("OneToMany", "group_right")):
        if modifier.card == getattr(pp.VectorMatchCardinality, card):
            out += f" {word} ({_labels(modifier.group_labels or ())})"
    return out


def _grouping(modifier: Any) -> str:
    if modifier is None:
        return ""
    word = "by" if modifier.type == pp.AggModifierType.By else "without"
    return f" {word} ({_labels(modifier.labels)}) "


def _labels(labels: Any) -> str:
    return ", ".join(label if label.isidentifier() and label.isascii() else quoted(label) for label in labels)
