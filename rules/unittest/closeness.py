"""How close a result must come to what a unit test expects.

promtool wants the same number, or with `fuzzy_compare` one of its neighbours. So do we, where we calculate as it does:
step by step, in the same order. Sums of many samples it adds in another order; those may differ in the last bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any, Final

import promql_parser as pp

from rules.promql.judging import names_of

Close = Callable[[float, float], bool]

_RELATIVE: Final = 1e-12
_EXACT_AGGREGATES: Final = frozenset(
    {"min", "max", "count", "group", "topk", "bottomk", "limitk", "limit_ratio", "count_values"}
)
_EXACT_FUNCTIONS: Final = frozenset({
    "abs", "absent", "absent_over_time", "ceil", "changes", "clamp", "clamp_max", "clamp_min", "count_over_time",
    "day_of_month", "day_of_week", "day_of_year", "days_in_month", "first_over_time", "floor", "hour", "idelta",
    "label_join", "label_replace", "last_over_time", "max_over_time", "min_over_time", "minute", "month", "pi",
    "present_over_time", "resets", "round", "scalar", "sgn", "sort", "sort_by_label", "sort_by_label_desc",
    "sort_desc", "sqrt", "time", "timestamp", "vector", "year",
})  # fmt: skip


def closeness(tree: Any, given: Collection[str], *, fuzzy: bool) -> Close:
    """Return the comparison for the result of an expression over given series; what rules record may be a sum."""
    if not _exact(tree, given):
        return _nearly
    return _neighbours if fuzzy else _same


def _exact(tree: Any, given: Collection[str]) -> bool:
    inexact: list[Any] = []

    def visit(node: Any) -> None:
        if isinstance(node, pp.AggregateExpr):
            good = str(node.op) in _EXACT_AGGREGATES
        elif isinstance(node, pp.Call):
            good = node.func.name in _EXACT_FUNCTIONS
        elif isinstance(node, pp.BinaryExpr):
            good = str(node.op) not in {"^", "atan2"}
        else:
            names = names_of(node) if isinstance(node, pp.VectorSelector) else ["ALERTS"]
            good = bool(names) and all(name in given or name.startswith("ALERTS") for name in names)
        if not good:
            inexact.append(node)

    pp.walk(tree, visit)
    return not inexact


def _same(a: float, b: float) -> bool:
    return a == b


def _neighbours(a: float, b: float) -> bool:
    return a == b or b in {math.nextafter(a, -math.inf), math.nextafter(a, math.inf)}


def _nearly(a: float, b: float) -> bool:
    return a == b or math.isclose(a, b, rel_tol=_RELATIVE)
