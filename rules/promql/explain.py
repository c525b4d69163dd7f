"""Why an expression holds or does not: each of its parts with its value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from rules.errors import EvaluationError
from rules.promql.node import Node
from rules.promql.vec import Moment, Vec
from rules.promql.vector import Vector

MOST: Final = 1_000


@dataclass(frozen=True, slots=True)
class Explained:
    """A subexpression as it is written, how deep it lies, and its value.

    `value` is None if it has none, for the reason in `error`. A vector is cut to its elements that have no other value
    for any of the labels asked for, at most MOST of them; `total` counts all that it has.
    """

    text: str
    depth: int
    value: Vector | float | str | None
    total: int
    error: str = ""


def explain(node: Node[Any], moment: Moment, match: Mapping[str, str], depth: int = 0) -> list[Explained]:
    """Return the explanations of a node and of what it is made of."""
    parts = [_one(node, moment, match, depth)]
    for child in node.children:
        parts += explain(child, moment, match, depth + 1)
    return parts


def _one(node: Node[Any], moment: Moment, match: Mapping[str, str], depth: int) -> Explained:
    try:
        with np.errstate(all="ignore"):
            result = node.eval(moment)
    except EvaluationError as error:
        return Explained(node.text, depth, None, 0, str(error))
    if not isinstance(result, Vec):
        return Explained(node.text, depth, result, 1)
    positions = result.positions()
    agreeing = positions[_agrees(result, match)[positions]][:MOST]
    vector = Vector(result.frame, agreeing, result.values[agreeing])
    return Explained(node.text, depth, vector, len(positions))


def _agrees(vec: Vec, match: Mapping[str, str]) -> np.typing.NDArray[np.bool_]:
    agrees = np.ones(len(vec.values), np.bool_)
    for label, text in match.items():
        codes = vec.frame.column(label)[: len(agrees)]
        agrees &= (codes == 0) | (codes == vec.frame.strings.codes.get(text, -1))
    return agrees
