"""An expression bound to the fleet, as rules see it: always a vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import promql_parser
from numpy.typing import NDArray

from rules.errors import EvaluationError
from rules.fleet import Fleet
from rules.labels import ALL, Labels
from rules.promql import Query, Vector
from rules.promql.frames import Listed
from rules.promql.judging import judged_by, names_of
from rules.promql.source import parse

Values = NDArray[np.float64]

DEFAULT_STEP: Final = 60.0
_FEW: Final = 16
_REMEMBERED: Final = 10_000


class Source:
    """What a rule evaluates.

    `metrics` are the names that its selectors name, `judged_by` those that tell whether there is data;
    `counts_values` tells that labels of its result hold values.
    """

    def __init__(self, fleet: Fleet, expr: str, *, step: float = DEFAULT_STEP) -> None:
        self.expr = expr
        self.query = Query(fleet, expr, step=step)
        self._scalar = Listed(fleet.strings, [{}])
        self._hashes: dict[Labels, np.uint64] = {}  # of elements that were asked for
        tree = parse(expr).tree
        self.metrics, self.counts_values = looked_at(tree)
        self.judged_by = judged_by(tree)

    def at(self, now: float) -> Vector:
        """The result; a scalar is an element without labels, as in Prometheus."""
        result = self.query.at(now)
        if isinstance(result, str):
            raise EvaluationError("rule result is not a vector or scalar")
        if isinstance(result, float):
            return Vector(self._scalar, np.zeros(1, np.int64), np.array([result]))
        return result

    def present(self, now: float) -> frozenset[Labels]:
        """The elements for which there is data to judge."""
        return frozenset(self.query.present(now).labels)

    def lacks(self, elements: Sequence[Labels], now: float) -> list[bool]:
        """For which of these elements there is no data to judge; by their hashes, as the fleet knows label sets."""
        vector = self.query.present(now)
        there = vector.frame.hashes(ALL)[vector.positions]
        wanted = np.array([self._hashed(element) for element in elements], np.uint64)
        if len(wanted) <= _FEW:
            return [not (there == each).any() for each in wanted]
        return [not here for here in np.isin(wanted, there).tolist()]

    def _hashed(self, element: Labels) -> np.uint64:
        found = self._hashes.get(element)
        if found is None:
            if len(self._hashes) >= _REMEMBERED:
                self._hashes.clear()
            strings = self.query.fleet.strings
            parts = [strings.hashes(name, np.array([strings.code(text)], np.int32)) for name, text in element.items()]
            found = self._hashes[element] = np.uint64(np.sum(parts, dtype=np.uint64))
        return found

    def memory(self) -> int:
        """Bytes that the windows of this expression take; others may look at them too."""
        return self.query.memory()


def looked_at(tree: Any) -> tuple[frozenset[str], bool]:
    """The metric names that the selectors of a tree name, and whether count_values is in it."""
    names: set[str] = set()
    counting: list[Any] = []

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            names.update(names_of(node))
        elif isinstance(node, promql_parser.AggregateExpr) and str(node.op) == "count_values":
            counting.append(node)

    promql_parser.walk(tree, visit)
    return frozenset(names), bool(counting)
