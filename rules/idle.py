"""Which rules cannot yield anything as long as only certain metrics exist: a recording names all that it has."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import promql_parser as pp

from rules.files import Rule
from rules.promql.judging import OF_ALERTS, names_of
from rules.promql.source import parse

_SPEAK_OF_NOTHING: Final = frozenset({"absent", "absent_over_time", "scalar", "vector"})
_OR, _UNLESS = "or", "unless"


def idle(rules: Sequence[Rule], metrics: Collection[str]) -> list[bool]:
    """Tell of each rule whether it is certain to yield nothing while these metrics are all that is sent.

    What a rule records counts as a metric only if that rule yields something itself.
    """
    there = {*metrics, *OF_ALERTS}
    trees = [parse(rule.expr).tree for rule in rules]
    while True:
        idle = [empty(tree, there) for tree in trees]
        recorded = {r.name for r, nothing in zip(rules, idle, strict=True) if r.kind == "record" and not nothing}
        if recorded <= there:
            return idle
        there |= recorded


def empty(tree: Any, metrics: Collection[str]) -> bool:
    """Tell whether an expression is certain to be an empty vector, whatever the values of these metrics are."""
    if isinstance(tree, pp.VectorSelector):
        return any(name not in metrics for name in names_of(tree))
    if isinstance(tree, pp.MatrixSelector):
        return empty(tree.vector_selector, metrics)
    if isinstance(tree, pp.BinaryExpr):
        return _binary(tree, metrics)
    if isinstance(tree, pp.Call):
        return tree.func.name not in _SPEAK_OF_NOTHING and any(empty(each, metrics) for each in tree.args)
    if isinstance(tree, pp.ParenExpr | pp.UnaryExpr | pp.SubqueryExpr | pp.AggregateExpr):
        return empty(tree.expr, metrics)
    return False


def _binary(tree: pp.BinaryExpr, metrics: Collection[str]) -> bool:
    left = empty(tree.lhs, metrics)
    operator = str(tree.op)
    if operator == _UNLESS:
        return left
    right = empty(tree.rhs, metrics)
    return left and right if operator == _OR else left or right
