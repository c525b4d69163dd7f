"""An expression bound to the fleet, as rules see it: always a vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import promql_parser
from numpy.typing import NDArray

from rules.errors import EvaluationError
from rules.fleet import Fleet
from rules.labels import NAME, Labels
from rules.promql import Query
from rules.promql.source import parse

Values = NDArray[np.float64]

DEFAULT_STEP: Final = 60.0


class Source:
    """What a rule evaluates.

    `metrics` are the names that its selectors name; `counts_values` tells that labels of its result hold values.
    """

    def __init__(self, fleet: Fleet, expr: str, *, step: float = DEFAULT_STEP) -> None:
        self.expr = expr
        self.query = Query(fleet, expr, step=step)
        self.metrics, self.counts_values = _looked_at(parse(expr).tree)

    def at(self, now: float) -> tuple[Sequence[Labels], Values]:
        """Labels and values of the result; a scalar is an element without labels, as in Prometheus."""
        result = self.query.at(now)
        if isinstance(result, str):
            raise EvaluationError("rule result is not a vector or scalar")
        if isinstance(result, float):
            return [Labels()], np.array([result])
        return result.labels, result.values

    def present(self, now: float) -> frozenset[Labels]:
        """The elements for which there is data to judge."""
        return frozenset(self.query.present(now).labels)

    def memory(self) -> int:
        """Bytes that the windows of this expression take; others may look at them too."""
        return self.query.memory()


def _looked_at(tree: Any) -> tuple[frozenset[str], bool]:
    names: set[str] = set()
    counting: list[Any] = []

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            names.update(_names(node))
        elif isinstance(node, promql_parser.AggregateExpr) and str(node.op) == "count_values":
            counting.append(node)

    promql_parser.walk(tree, visit)
    return frozenset(names), bool(counting)


def _names(selector: promql_parser.VectorSelector) -> list[str]:
    named = [m.value for m in selector.matchers.matchers if m.name == NAME and m.op == promql_parser.MatchOp.Equal]
    return [selector.name, *named] if selector.name else named
