"""From promql_parser's tree to nodes; equal subexpressions of all queries of a fleet become one node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, cast

import promql_parser as pp

from rules.errors import PromQLError
from rules.labels import ALL, NAME, NAMELESS, Pick, all_but, only
from rules.matchers import Matcher, Op, Selector
from rules.promql import aggregate, functions, printer
from rules.promql.binary import Negative, ScalarArithmetic, ScalarBinary, ScalarComparison, ScalarNegative
from rules.promql.functions import bare
from rules.promql.judging import needed
from rules.promql.matching import Matching, VectorBinary
from rules.promql.node import Node, Number, Samples, ScalarNode, Text, VectorNode
from rules.promql.operators import ARITHMETIC, SETS
from rules.promql.past import Past
from rules.promql.ranking import CountValues, Ranked
from rules.promql.selectors import Chosen, Current
from rules.promql.sets import Intersection, Union
from rules.promql.source import Source
from rules.promql.subquery import Subquery
from rules.promql.window import Ranged, Shift, Window
from rules.rings import FOREVER

if TYPE_CHECKING:
    from rules.fleet import Fleet

N = TypeVar("N", bound="Node[Any]")


@dataclass(frozen=True, slots=True)
class Setting:
    """How an expression is compiled: nodes are shared among those that are compiled alike.

    `lenient`: comparisons do not filter, `unless` keeps its left side, alerts do not count, absence is always told –
    an expression's presence. `history`: everything is read from the windows, so that any moment can be asked for.
    `step` is the default resolution of subqueries, in ms. `within` names the subquery that this is a part of, and
    `reach` is how far back it asks for this, in ms.
    """

    step: float
    lenient: bool = False
    history: bool = False
    within: str = ""
    reach: float = 0.0

    @property
    def past(self) -> bool:
        """Whether moments other than now are asked for."""
        return self.history or bool(self.within)


_AGGREGATES: Final[dict[str, type[aggregate.Aggregate]]] = {
    "sum": aggregate.Sum,
    "avg": aggregate.Average,
    "count": aggregate.Count,
    "group": aggregate.Group,
    "min": aggregate.Minimum,
    "max": aggregate.Maximum,
    "stdvar": aggregate.Variance,
    "stddev": aggregate.Deviation,
    "quantile": aggregate.Quantile,
}


class Compiler:
    """Compiles one expression for a fleet."""

    def __init__(self, fleet: Fleet, source: Source, setting: Setting) -> None:
        self.fleet = fleet
        self.source = source
        self.setting = setting

    def compile(self, tree: Any) -> Node[Any]:
        """Return the node of a tree.

        Raises:
            PromQLError: something that is not evaluated here.
        """
        match tree:
            case pp.VectorSelector():
                return self.selected(tree)
            case pp.ParenExpr():
                return self.compile(tree.expr)
            case pp.UnaryExpr():
                return self._negative(tree)
            case pp.BinaryExpr():
                return self._binary(tree)
            case pp.AggregateExpr():
                return self._aggregate(tree)
            case pp.Call():
                return functions.call(self, tree)
            case pp.NumberLiteral():
                return self.shared(tree, lambda text: Number(self.fleet, text, tree.val))
            case pp.StringLiteral():
                return self.shared(tree, lambda text: Text(self.fleet, text, tree.val))
        if isinstance(tree, pp.SubqueryExpr):
            self.compile(tree.expr)
        else:
            self.selector(tree.vector_selector)
        return self.shared(tree, lambda text: Samples(self.fleet, text))

    def vector(self, tree: Any) -> VectorNode:
        """Return the node of a tree that is a vector."""
        return cast(VectorNode, self.compile(tree))

    def scalar(self, tree: Any) -> ScalarNode:
        """Return the node of a tree that is a number."""
        return cast(ScalarNode, self.compile(tree))

    def shared(self, tree: Any, make: Callable[[str], N], *, variant: str = "") -> N:
        """Return the node that was made for equal text under an equal setting, or make it."""
        text = self.write(tree)
        key = (text, variant, self.setting)
        node = self.fleet.plans.get(key)
        if node is None:
            node = self.fleet.plans[key] = make(text)
        return cast(N, node)

    def write(self, tree: Any) -> str:
        """Return the text of a tree, in the one way of writing it."""
        return printer.write(tree, self.source)

    # -- selectors -----------------------------------------------------------------------------------------------

    def chosen(self, tree: Any) -> Chosen:
        """Return what a selector chooses."""
        selector = self.selector(tree)
        key = ("chosen", selector.text)
        chosen = self.fleet.plans.get(key)
        if chosen is None:
            chosen = self.fleet.plans[key] = Chosen(self.fleet, selector)
        return cast(Chosen, chosen)

    def selector(self, tree: Any) -> Selector:
        """Return the matchers of a selector."""
        if tree.matchers.or_matchers:
            raise PromQLError("`or` between matchers is not PromQL", self.source.place("or"))
        matchers = [Matcher(NAME, "=", tree.name)] if tree.name else []
        matchers += [self._matcher(m) for m in tree.matchers.matchers]
        if all(m.test("") for m in matchers):
            raise PromQLError("vector selector must contain at least one non-empty matcher", self.source.place("{"))
        return Selector(matchers)

    def _matcher(self, matcher: Any) -> Matcher:
        op = cast(Op, printer.MATCH_OPS[str(matcher.op)])
        if not op.endswith("~"):
            return Matcher(matcher.name, op, matcher.value)
        pattern, at = self.source.pattern(matcher.value)
        try:
            return Matcher(matcher.name, op, pattern)
        except PromQLError as error:
            raise PromQLError(error.message, at) from None

    def selected(self, tree: Any, *, times: bool = False) -> VectorNode:
        """Return the node of an instant selector: of its values, or of their times."""
        chosen = self.chosen(tree)
        shift = self.shift(tree)

        def make(text: str) -> VectorNode:
            if not self.setting.past and not shift.offset and not shift.fixed:
                return Current(self.fleet, text, chosen, times=times)
            return Past(self.fleet, text, chosen, shift, self.setting.reach, times=times)

        return self.shared(tree, make, variant="times" if times else "")

    def shift(self, tree: Any) -> Shift:
        """Return the `offset` and `@` of a selector or subquery."""
        offset = float(printer.milliseconds(tree.offset))
        if tree.at is None:
            return Shift(offset)
        if tree.at.type == pp.AtModifierType.At:
            return Shift(offset, float(round(self.source.times[round(tree.at.at.timestamp())] * 1000)))
        return Shift(offset, "start" if tree.at.type == pp.AtModifierType.Start else "end")

    def ranged(self, tree: Any) -> tuple[Ranged, VectorNode | None]:
        """Return what a function over a range looks at, and of a subquery the expression in it."""
        tree = bare(tree)
        span = float(printer.milliseconds(tree.range))
        if isinstance(tree, pp.MatrixSelector):
            selector = tree.vector_selector
            return Window(self.fleet, self.chosen(selector), span, self.shift(selector), self.setting.reach), None
        shift = self.shift(tree)
        step = float(printer.milliseconds(tree.step)) or self.setting.step
        reach = FOREVER if shift.fixed else self.setting.reach + span + max(shift.offset, 0.0)
        within = f"{self.setting.within}[{self.write(tree)}]"
        inner = Compiler(self.fleet, self.source, replace(self.setting, within=within, reach=reach)).vector(tree.expr)
        written = self.write(tree.expr)
        bounded = "@ start()" in written or "@ end()" in written
        return Subquery(self.fleet, inner, span, step, shift, bounded=bounded), inner

    # -- operators -----------------------------------------------------------------------------------------------

    def _negative(self, tree: Any) -> Node[Any]:
        inner = self.compile(tree.expr)
        if isinstance(inner, ScalarNode):
            return self.shared(tree, lambda text: ScalarNegative(self.fleet, text, inner))
        return self.shared(tree, lambda text: Negative(self.fleet, text, cast(VectorNode, inner)))

    def _binary(self, tree: Any) -> Node[Any]:
        if self.setting.lenient and len(sides := needed(tree)) == 1:
            return self.compile(sides[0])
        left, right = self.compile(tree.lhs), self.compile(tree.rhs)
        if isinstance(left, VectorNode) and isinstance(right, VectorNode):
            return self._between_vectors(tree, left, right)
        op = str(tree.op)
        if isinstance(left, ScalarNode) and isinstance(right, ScalarNode):
            return self.shared(tree, lambda text: ScalarBinary(self.fleet, text, op, left, right))
        swapped = isinstance(left, ScalarNode)
        vector, scalar = cast("tuple[VectorNode, ScalarNode]", (right, left) if swapped else (left, right))
        if op in ARITHMETIC:
            return self.shared(
                tree, lambda text: ScalarArithmetic(self.fleet, text, op, vector, scalar, swapped=swapped)
            )
        flags = {"as_bool": self._as_bool(tree), "lenient": self.setting.lenient, "swapped": swapped}
        return self.shared(tree, lambda text: ScalarComparison(self.fleet, text, op, vector, scalar, **flags))

    @staticmethod
    def _as_bool(tree: Any) -> bool:
        return tree.modifier is not None and tree.modifier.return_bool

    def _between_vectors(self, tree: Any, left: VectorNode, right: VectorNode) -> Node[Any]:
        op = str(tree.op)
        matching = self._matching(tree)
        if op == "or":
            return self.shared(tree, lambda text: Union(self.fleet, text, left, right, matching.pick))
        if op in SETS:
            without = op == "unless"
            return self.shared(
                tree, lambda text: Intersection(self.fleet, text, left, right, matching.pick, without=without)
            )
        flags = {"as_bool": self._as_bool(tree), "lenient": self.setting.lenient}
        return self.shared(tree, lambda text: VectorBinary(self.fleet, text, op, left, right, matching, **flags))

    def _matching(self, tree: Any) -> Matching:
        modifier = tree.modifier
        if modifier is None:
            return Matching(NAMELESS, ALL, None)
        if modifier.fill_values.lhs is not None or modifier.fill_values.rhs is not None:
            raise PromQLError("`fill` is experimental and not supported", self.source.place("fill"))
        pick, left = NAMELESS, ALL
        if modifier.matching is not None:
            labels = modifier.matching.labels
            on = modifier.matching.type == pp.LabelModifierType.Include
            pick = only(*labels) if on else all_but(NAME, *labels)
            left = pick if on else all_but(*labels)
        many: Literal["left", "right"] | None = None
        if modifier.card == pp.VectorMatchCardinality.ManyToOne:
            many = "left"
        elif modifier.card == pp.VectorMatchCardinality.OneToMany:
            many = "right"
        return Matching(pick, left, many, tuple(modifier.group_labels or ()))

    # -- aggregations --------------------------------------------------------------------------------------------

    def _aggregate(self, tree: Any) -> Node[Any]:
        op = str(tree.op)
        vector = self.vector(tree.expr)
        pick = grouping(tree)
        if op in ("topk", "bottomk", "limitk"):
            size = self.scalar(tree.param)
            lenient = self.setting.lenient
            return self.shared(
                tree, lambda text: Ranked(self.fleet, text, cast(Any, op), vector, pick, size, lenient=lenient)
            )
        if op == "count_values":
            label = bare(tree.param).val
            return self.shared(tree, lambda text: CountValues(self.fleet, text, vector, pick, label))
        kind = _AGGREGATES.get(op)
        if kind is None:
            raise PromQLError(f"{op}() cannot be used: it is experimental and not supported", self.source.place(op))
        param = self.scalar(tree.param) if tree.param is not None else None
        return self.shared(tree, lambda text: kind(self.fleet, text, vector, pick, param))


def grouping(tree: Any) -> Pick:
    """Return the labels by which an aggregation groups."""
    if tree.modifier is None:
        return only()
    labels = tree.modifier.labels
    return only(*labels) if tree.modifier.type == pp.AggModifierType.By else all_but(NAME, *labels)
