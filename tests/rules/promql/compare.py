"""Our answer beside Prometheus'."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rules.errors import EvaluationError, PromQLError
from rules.promql import Vector
from rules.query_range import History
from tests.rules.promql.prometheus import Answer, Refused

RELATIVE = 1e-9
ABSOLUTE = 1e-12  # what is left where numbers cancel each other out


def ours(history: History, expr: str, at: float) -> Answer | float | str | Refused:
    """Return our answer in the form of Prometheus'."""
    try:
        answer = history.at(expr, at)
    except PromQLError as error:
        return Refused(error.message, parsing=True)
    except EvaluationError as error:
        return Refused(str(error), parsing=False)
    if not isinstance(answer, Vector):
        return answer
    found = {frozenset(labels.items()): value for labels, value in answer}
    assert len(found) == len(answer), "two elements have the same labels"
    return found


def same(one: object, other: object) -> bool:
    """Whether two answers are equal: in labels, and in values to 1e-9."""
    if isinstance(one, Refused) or isinstance(other, Refused):
        return isinstance(one, Refused) and isinstance(other, Refused) and one.parsing is other.parsing
    if isinstance(one, float) and isinstance(other, float):
        return near(one, other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(near(value, other[labels]) for labels, value in one.items())
    return one == other


def near(one: float, other: float) -> bool:
    """Whether two numbers are equal, NaN being equal to NaN."""
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    if math.isinf(one) or math.isinf(other):
        return one == other
    return math.isclose(one, other, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
