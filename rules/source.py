"""An expression bound to the fleet, as rules see it: always a vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import promql_parser
from numpy.typing import NDArray

from rules.errors import EvaluationError
from rules.fleet import Fleet
from rules.labels import Labels
from rules.promql import Query
from rules.promql.source import parse

Values = NDArray[np.float64]

DEFAULT_STEP: Final = 60.0
_ABSENCE: Final = frozenset({"absent", "absent_over_time"})


class Source:
    """What a rule evaluates; `judges_absence` tells that missing data is what it looks for."""

    def __init__(self, fleet: Fleet, expr: str, *, step: float = DEFAULT_STEP, history: bool = False) -> None:
        self.expr = expr
        self.query = Query(fleet, expr, step=step, history=history)
        self.judges_absence = _mentions_absence(parse(expr).tree)

    def at(self, now: float) -> tuple[Sequence[Labels], Values]:
        """Labels and values of the result; a scalar is an element without labels, as in Prometheus."""
        result = self.query.at(now)
        if isinstance(result, str):
            raise EvaluationError("rule result is not a vector or scalar")
        if isinstance(result, float):
            return [Labels()], np.array([result])
        return result.labels, result.values

    def memory(self) -> int:
        """Bytes that the windows and indexes of this expression take."""
        return 0

    def present(self, now: float) -> frozenset[Labels]:
        """The elements for which there is data to judge."""
        return frozenset(self.query.present(now).labels)


def _mentions_absence(tree: promql_parser.Expr) -> bool:
    found: list[bool] = []

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.Call) and node.func.name in _ABSENCE:
            found.append(True)

    promql_parser.walk(tree, visit)
    return bool(found)
