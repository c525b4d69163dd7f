"""A compiled expression."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rules.promql.compiler import Compiler, Setting
from rules.promql.explain import Explained, explain
from rules.promql.node import Node
from rules.promql.selectors import Chosen
from rules.promql.source import Source, parse
from rules.promql.vec import Moment, Vec
from rules.promql.vector import Vector
from rules.rings import FOREVER

if TYPE_CHECKING:
    from rules.fleet import Fleet
    from rules.watching import Watch

DEFAULT_STEP: Final = 60.0


class Query:
    """An expression over a fleet, ready to be evaluated at any tick.

    Args:
        step: the default resolution of subqueries, in seconds: the engine's default evaluation interval.
        history: read everything from the windows, so that `at` may be asked for any moment, best in ascending order,
            and `@` and negative offsets find what they look for. By default so if the fleet keeps everything; on
            another fleet the samples that are appended from now on are kept.

    Raises:
        PromQLError: the expression is not PromQL, or something that is not evaluated here.
    """

    def __init__(self, fleet: Fleet, expr: str, *, step: float = DEFAULT_STEP, history: bool | None = None) -> None:
        self.fleet = fleet
        self.expr = expr
        self._source: Source = parse(expr)
        past = fleet.keep_all if history is None else history
        self._setting = Setting(step=step * 1000, history=past, reach=FOREVER if past else 0.0)
        self._node = self._compile(lenient=False)
        self._present: Node[Any] | None = None

    def _compile(self, *, lenient: bool) -> Node[Any]:
        setting = replace(self._setting, lenient=lenient)
        return Compiler(self.fleet, self._source, setting).compile(self._source.tree)

    def at(self, now: float) -> Vector | float | str:
        """Return the value at a moment, in Unix seconds.

        Raises:
            EvaluationError: no answer on these series, such as a join that is many-to-many.
        """
        return self._answer(self._node, now)

    def present(self, now: float) -> Vector:
        """Return where there was data to judge: the expression with its comparisons letting everything through."""
        if self._present is None:
            self._present = self._compile(lenient=True)
        answer = self._answer(self._present, now)
        if isinstance(answer, Vector):
            return answer
        return Vector.make(self.fleet.strings, [{}], [answer if isinstance(answer, float) else np.nan])

    @property
    def watches(self) -> list[Watch]:
        """The windows that this expression needs: of which series, and for how many milliseconds."""
        return list(self._node.watches().values())

    def memory(self) -> int:
        """Return the bytes of the windows that this expression looks at; others may look at them too."""
        slots = [Chosen(self.fleet, watch.selector).frame().slots for watch in self.watches]
        return self.fleet.windows.memory(np.unique(np.concatenate(slots))) if slots else 0

    def explain(self, now: float, match: Mapping[str, str]) -> list[Explained]:
        """Return what each subexpression is now, outermost first; of vectors, what does not contradict `match`."""
        at = float(round(now * 1000))
        self.fleet.settle(at)
        return explain(self._node, Moment(at, at, at), match)

    def step(self, now: float, start: float, end: float) -> Vector | float | str:
        """Return the value at a step of a range query from `start` to `end`, which `@ start()` and `end()` mean."""
        return self._answer(self._node, now, start, end)

    def _answer(
        self, node: Node[Any], now: float, start: float | None = None, end: float | None = None
    ) -> Vector | float | str:
        at, first, last = (float(round((now if time is None else time) * 1000)) for time in (now, start, end))
        self.fleet.settle(at)
        with np.errstate(all="ignore"):
            result: Vec | float | str = node.eval(Moment(at, first, last))
        return Vector.of(result) if isinstance(result, Vec) else result
