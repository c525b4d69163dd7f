"""What to draw for an incident: the quantity that its rule compares with a limit, around the fault."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import promql_parser

MAX_TITLE: Final = 90
_COMPARISONS: Final = {">", ">=", "<", "<="}
_DEPTH: Final = 4  # of recording rules that are made of recording rules


@dataclass(frozen=True, slots=True)
class Quantity:
    """An expression to draw, and the limit that its rule sets."""

    expr: str
    title: str  # as the rule says it, on one line
    threshold: float | None
    above: bool  # whether the fault is above the limit


def quantity(expr: str, records: Mapping[str, str]) -> Quantity | None:
    """Return what a rule's expression compares; None if it compares nothing.

    `records` are the recording rules by name: what they record is not kept, so their expressions take their place.
    """
    comparison = _first_comparison(promql_parser.parse(expr))
    if comparison is None:
        return None
    limit = comparison.rhs
    threshold = float(limit.val) if isinstance(limit, promql_parser.NumberLiteral) else None
    drawn = comparison.lhs.prettify()
    title = textwrap.shorten(drawn, MAX_TITLE, placeholder=" …")
    for _ in range(_DEPTH):
        drawn = _replaced(drawn, records)
    return Quantity(drawn, title, threshold, above=str(comparison.op).startswith(">"))


def _first_comparison(tree: promql_parser.Expr) -> promql_parser.BinaryExpr | None:
    """Return the comparison that stands leftmost: the condition itself comes before what qualifies it."""
    if isinstance(tree, promql_parser.ParenExpr):
        return _first_comparison(tree.expr)
    if isinstance(tree, promql_parser.BinaryExpr):
        if str(tree.op) in _COMPARISONS:
            return tree
        return _first_comparison(tree.lhs)
    return None


def _replaced(expr: str, records: Mapping[str, str]) -> str:
    for name in _recorded_in(expr, records):
        selector = rf"(?<![\w:]){re.escape(name)}(?![\w:])(\{{[^{{}}]*\}})?"
        expr = re.sub(selector, f"({records[name]})".replace("\\", "\\\\"), expr)
    return expr


def _recorded_in(expr: str, records: Mapping[str, str]) -> Iterable[str]:
    return {name for name in re.findall(r"[\w:]+", expr) if name in records}
