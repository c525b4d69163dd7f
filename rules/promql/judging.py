"""Which metrics an expression needs, to tell whether there is data to judge by.

ALERTS and ALERTS_FOR_STATE are there only while an alert is, so they say nothing about data. A rule with a hysteresis
(`level > 80 or level > 78 and ALERTS{…}`) is judged without them; so is one that another alert holds back.
"""

from __future__ import annotations

from typing import Any, Final

import promql_parser as pp

from rules.labels import NAME

OF_ALERTS: Final = frozenset({"ALERTS", "ALERTS_FOR_STATE"})


def of_alerts(tree: Any) -> bool:
    """Whether an expression reads series of alerts and nothing else."""
    names: list[frozenset[str]] = []

    def visit(node: Any) -> None:
        if isinstance(node, pp.VectorSelector):
            names.append(frozenset(names_of(node)))

    pp.walk(tree, visit)
    return bool(names) and all(each and each <= OF_ALERTS for each in names)


def judged_by(tree: Any) -> frozenset[str]:
    """Return the names of the metrics whose presence the expression's own presence depends on."""
    if isinstance(tree, pp.VectorSelector):
        return frozenset(names_of(tree))
    if isinstance(tree, pp.MatrixSelector):
        return judged_by(tree.vector_selector)
    if isinstance(tree, pp.BinaryExpr):
        kept = needed(tree)
        return frozenset().union(*(judged_by(side) for side in kept))
    if isinstance(tree, pp.Call):
        return frozenset().union(*(judged_by(each) for each in tree.args))
    if isinstance(tree, pp.ParenExpr | pp.UnaryExpr | pp.SubqueryExpr | pp.AggregateExpr):
        return judged_by(tree.expr)
    return frozenset()


def needed(tree: pp.BinaryExpr) -> list[Any]:
    """Return the sides of an operator that tell whether there is data: one or both."""
    operator = str(tree.op)
    if operator == "unless" or (operator in ("and", "or") and of_alerts(tree.rhs)):
        return [tree.lhs]
    if operator == "or" and of_alerts(tree.lhs):
        return [tree.rhs]
    return [tree.lhs, tree.rhs]


def names_of(selector: pp.VectorSelector) -> list[str]:
    """Return the metric names that a selector asks for; empty where it names none."""
    named = [m.value for m in selector.matchers.matchers if m.name == NAME and m.op == pp.MatchOp.Equal]
    return [selector.name, *named] if selector.name else named
