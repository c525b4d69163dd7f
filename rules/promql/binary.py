"""Operators between a vector and a number, between numbers, and the unary minus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from rules.promql.node import ScalarNode, VectorNode
from rules.promql.operators import ARITHMETIC, COMPARISON
from rules.promql.vec import Moment, Vec

if TYPE_CHECKING:
    from rules.fleet import Fleet

_MIRRORED: Final = {">": "<", "<": ">", ">=": "<=", "<=": ">=", "==": "==", "!=": "!="}


class ScalarBinary(ScalarNode):
    """An operator between two numbers."""

    def __init__(self, fleet: Fleet, text: str, op: str, left: ScalarNode, right: ScalarNode) -> None:
        super().__init__(fleet, text, (left, right))
        self.op = op
        self.left = left
        self.right = right

    def _eval(self, moment: Moment) -> float:
        left, right = np.float64(self.left.eval(moment)), np.float64(self.right.eval(moment))
        if self.op in COMPARISON:
            return float(COMPARISON[self.op](left, right))  # type: ignore[arg-type]
        return float(ARITHMETIC[self.op](left, right))  # type: ignore[arg-type]


class ScalarArithmetic(VectorNode):
    """An arithmetic operator between a vector and a number, which may be on the left."""

    def __init__(
        self, fleet: Fleet, text: str, op: str, vector: VectorNode, scalar: ScalarNode, *, swapped: bool
    ) -> None:
        super().__init__(fleet, text, (scalar, vector) if swapped else (vector, scalar))
        self.op = ARITHMETIC[op]
        self.vector = vector
        self.scalar = scalar
        self.swapped = swapped

    def _eval(self, moment: Moment) -> Vec:
        vec = self.vector.eval(moment).nameless()
        scalar = np.float64(self.scalar.eval(moment))
        values = self.op(scalar, vec.values) if self.swapped else self.op(vec.values, scalar)  # type: ignore[arg-type]
        return vec.with_values(values)


class ScalarComparison(VectorNode):
    """A comparison between a vector and a number: a filter, or 0 and 1; as `lenient` filter it lets all through."""

    def __init__(
        self,
        fleet: Fleet,
        text: str,
        op: str,
        vector: VectorNode,
        scalar: ScalarNode,
        *,
        swapped: bool,
        as_bool: bool,
        lenient: bool,
    ) -> None:
        super().__init__(fleet, text, (scalar, vector) if swapped else (vector, scalar))
        self.op = COMPARISON[_MIRRORED[op] if swapped else op]
        self.vector = vector
        self.scalar = scalar
        self.as_bool = as_bool
        self.lenient = lenient

    def _eval(self, moment: Moment) -> Vec:
        vec = self.vector.eval(moment)
        holds = self.op(vec.values, np.float64(self.scalar.eval(moment)))  # type: ignore[arg-type]
        if self.as_bool:
            return vec.nameless().with_values(holds.astype(np.float64))
        return vec if self.lenient else vec.where(holds)


class Negative(VectorNode):
    """The unary minus of a vector."""

    def __init__(self, fleet: Fleet, text: str, vector: VectorNode) -> None:
        super().__init__(fleet, text, (vector,))
        self.vector = vector

    def _eval(self, moment: Moment) -> Vec:
        vec = self.vector.eval(moment).nameless()
        return vec.with_values(-vec.values)


class ScalarNegative(ScalarNode):
    """The unary minus of a number."""

    def __init__(self, fleet: Fleet, text: str, scalar: ScalarNode) -> None:
        super().__init__(fleet, text, (scalar,))
        self.scalar = scalar

    def _eval(self, moment: Moment) -> float:
        return -self.scalar.eval(moment)
