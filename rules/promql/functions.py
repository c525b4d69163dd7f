"""The functions of PromQL by name, and how a call of each becomes a node."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal

import promql_parser as pp

from rules.errors import PromQLError
from rules.labels import NAME
from rules.promql.folds import SIMPLE
from rules.promql.histogram import OfHistograms
from rules.promql.mapped import DATES, MATHS, Clamp, Mapped
from rules.promql.node import Node, Number, Time, VectorNode
from rules.promql.over_time import QuantileOverTime, Rate, Regression, Simple, Smoothing
from rules.promql.ranking import Sorted, SortedByLabel
from rules.promql.relabel import Join, Replace
from rules.promql.single import Absent, AsScalar, AsVector, TimeOf

if TYPE_CHECKING:
    from rules.promql.compiler import Compiler

Builder = Callable[["Compiler", Any], "Node[Any]"]

_KEEP_NAME: Final = ("last_over_time", "first_over_time")
_RATES: Final = {"rate": (True, True), "increase": (True, False), "delta": (False, False)}
_NATIVE: Final = ("histogram_avg", "histogram_count", "histogram_sum", "histogram_stddev", "histogram_stdvar")


def bare(tree: Any) -> Any:
    """Return a tree without the parentheses around it."""
    while isinstance(tree, pp.ParenExpr):
        tree = tree.expr
    return tree


def _strings(trees: list[Any]) -> list[str]:
    return [bare(tree).val for tree in trees]


def _vectors(compiler: Compiler, tree: Any) -> list[VectorNode]:
    return [compiler.vector(arg) for arg in tree.args]


def _time(compiler: Compiler, tree: Any) -> Node[Any]:
    return compiler.shared(tree, lambda text: Time(compiler.fleet, text))


def _pi(compiler: Compiler, tree: Any) -> Node[Any]:
    return compiler.shared(tree, lambda text: Number(compiler.fleet, text, math.pi))


def _mapped(compiler: Compiler, tree: Any) -> Node[Any]:
    vector = compiler.vector(tree.args[0])
    params = [compiler.scalar(arg) for arg in tree.args[1:]]
    function = MATHS[tree.func.name]
    return compiler.shared(tree, lambda text: Mapped(compiler.fleet, text, vector, function, params))


def _date(compiler: Compiler, tree: Any) -> Node[Any]:
    function = DATES[tree.func.name]
    fleet = compiler.fleet

    def make(text: str) -> Node[Any]:
        vector = (
            compiler.vector(tree.args[0]) if tree.args else AsVector(fleet, "vector(time())", Time(fleet, "time()"))
        )
        return Mapped(fleet, text, vector, function, [])

    return compiler.shared(tree, make)


def _clamp(compiler: Compiler, tree: Any) -> Node[Any]:
    vector = compiler.vector(tree.args[0])
    low, high = (compiler.scalar(arg) for arg in tree.args[1:])
    return compiler.shared(tree, lambda text: Clamp(compiler.fleet, text, vector, low, high))


def _vector(compiler: Compiler, tree: Any) -> Node[Any]:
    scalar = compiler.scalar(tree.args[0])
    return compiler.shared(tree, lambda text: AsVector(compiler.fleet, text, scalar))


def _scalar(compiler: Compiler, tree: Any) -> Node[Any]:
    vector = compiler.vector(tree.args[0])
    return compiler.shared(tree, lambda text: AsScalar(compiler.fleet, text, vector))


def _timestamp(compiler: Compiler, tree: Any) -> Node[Any]:
    argument = bare(tree.args[0])
    if not isinstance(argument, pp.VectorSelector):
        vector = compiler.vector(argument)
        return compiler.shared(tree, lambda text: TimeOf(compiler.fleet, text, vector))
    times = compiler.selected(argument, times=True)
    return compiler.shared(tree, lambda text: Mapped(compiler.fleet, text, times, lambda values: values, []))


def _sort(compiler: Compiler, tree: Any) -> Node[Any]:
    vector = compiler.vector(tree.args[0])
    descending = tree.func.name.endswith("_desc")
    if "label" in tree.func.name:
        names = _strings(tree.args[1:])
        return compiler.shared(
            tree, lambda text: SortedByLabel(compiler.fleet, text, vector, names, descending=descending)
        )
    return compiler.shared(tree, lambda text: Sorted(compiler.fleet, text, vector, descending=descending))


def _label_replace(compiler: Compiler, tree: Any) -> Node[Any]:
    vector = compiler.vector(tree.args[0])
    return compiler.shared(tree, lambda text: Replace(compiler.fleet, text, vector, _strings(tree.args[1:])))


def _label_join(compiler: Compiler, tree: Any) -> Node[Any]:
    vector = compiler.vector(tree.args[0])
    return compiler.shared(tree, lambda text: Join(compiler.fleet, text, vector, _strings(tree.args[1:])))


def _histogram(compiler: Compiler, tree: Any) -> Node[Any]:
    params = [compiler.scalar(arg) for arg in tree.args[:-1]]
    vector = compiler.vector(tree.args[-1])
    return compiler.shared(tree, lambda text: OfHistograms(compiler.fleet, text, vector, params))


def _absent(compiler: Compiler, tree: Any) -> Node[Any]:
    argument = bare(tree.args[0])
    labels: dict[str, str] = {}
    if isinstance(argument, pp.VectorSelector):
        labels = absent_labels(argument)
    elif isinstance(argument, pp.MatrixSelector):
        labels = absent_labels(argument.vector_selector)
    lenient = compiler.setting.lenient
    fold, least = SIMPLE["count_over_time"]

    def make(text: str) -> Node[Any]:
        if tree.func.name == "absent":
            return Absent(compiler.fleet, text, compiler.vector(argument), labels, lenient=lenient)
        ranged, inner = compiler.ranged(argument)
        counted = Simple(compiler.fleet, text, ranged, fold, least, keep_name=True, inner=inner)
        return Absent(compiler.fleet, text, counted, labels, lenient=lenient)

    return compiler.shared(tree, make)


def absent_labels(selector: Any) -> dict[str, str]:
    """Return the labels that absence is told with: of the matchers by equality whose label has no other matcher."""
    labels: dict[str, str] = {}
    seen: set[str] = set()
    for matcher in selector.matchers.matchers:
        if matcher.name == NAME:
            continue
        if matcher.op == pp.MatchOp.Equal and matcher.name not in seen:
            labels[matcher.name] = matcher.value
            seen.add(matcher.name)
        else:
            labels.pop(matcher.name, None)
    return {name: text for name, text in labels.items() if text}


# -- over a range ------------------------------------------------------------------------------------------------


def _simple(compiler: Compiler, tree: Any) -> Node[Any]:
    name = tree.func.name
    fold, least = SIMPLE[name]

    def make(text: str) -> Node[Any]:
        ranged, inner = compiler.ranged(tree.args[0])
        return Simple(compiler.fleet, text, ranged, fold, least, keep_name=name in _KEEP_NAME, inner=inner)

    return compiler.shared(tree, make)


def _rate(compiler: Compiler, tree: Any) -> Node[Any]:
    counter, per_second = _RATES[tree.func.name]

    def make(text: str) -> Node[Any]:
        ranged, inner = compiler.ranged(tree.args[0])
        return Rate(compiler.fleet, text, ranged, counter=counter, per_second=per_second, inner=inner)

    return compiler.shared(tree, make)


def _with_params(kind: type[QuantileOverTime | Smoothing | Regression], at: Literal[0, 1]) -> Builder:
    """Return the builder of a function whose range is argument number `at`, the others numbers."""

    def build(compiler: Compiler, tree: Any) -> Node[Any]:
        params = [compiler.scalar(arg) for number, arg in enumerate(tree.args) if number != at]

        def make(text: str) -> Node[Any]:
            ranged, inner = compiler.ranged(tree.args[at])
            return kind(compiler.fleet, text, ranged, params, inner=inner)

        return compiler.shared(tree, make)

    return build


BUILDERS: Final[dict[str, Builder]] = {
    **dict.fromkeys(MATHS, _mapped),
    **dict.fromkeys(DATES, _date),
    **dict.fromkeys(SIMPLE, _simple),
    **dict.fromkeys(_RATES, _rate),
    **dict.fromkeys(("sort", "sort_desc", "sort_by_label", "sort_by_label_desc"), _sort),
    "absent": _absent,
    "absent_over_time": _absent,
    "clamp": _clamp,
    "deriv": _with_params(Regression, 0),
    "double_exponential_smoothing": _with_params(Smoothing, 0),
    "histogram_fraction": _histogram,
    "histogram_quantile": _histogram,
    "label_join": _label_join,
    "label_replace": _label_replace,
    "pi": _pi,
    "predict_linear": _with_params(Regression, 0),
    "quantile_over_time": _with_params(QuantileOverTime, 1),
    "scalar": _scalar,
    "time": _time,
    "timestamp": _timestamp,
    "vector": _vector,
}


def call(compiler: Compiler, tree: Any) -> Node[Any]:
    """Return the node of a function call.

    Raises:
        PromQLError: a function that is not supported.
    """
    name = tree.func.name
    builder = BUILDERS.get(name)
    if builder is not None:
        return builder(compiler, tree)
    reason = "it is for native histograms, which are" if name in _NATIVE else "it is experimental and"
    raise PromQLError(f"{name}() cannot be used: {reason} not supported", compiler.source.place(name))
