"""The nodes of a plan: each knows how it is written, evaluates once for each moment, and is shared by equal text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np

from rules.errors import EvaluationError
from rules.promql.frames import Frame, Listed
from rules.promql.vec import Moment, Vec

if TYPE_CHECKING:
    from rules.fleet import Fleet
    from rules.watching import Watch

R = TypeVar("R")


class Node(ABC, Generic[R]):
    """A subexpression. `children` are those whose values it is made of, for explanations."""

    kind: ClassVar[str] = "vector"

    def __init__(self, fleet: Fleet, text: str, children: Sequence[Node[Any]] = ()) -> None:
        self.fleet = fleet
        self.text = text
        self.children = tuple(children)
        self._moment: Moment | None = None
        self._stamp = -1
        self._result: R | None = None
        self.metrics: frozenset[str] | None = frozenset()
        for child in children:
            self.metrics = None if self.metrics is None or child.metrics is None else self.metrics | child.metrics

    def watches(self) -> dict[int, Watch]:
        """Return, by identity, the watches that this subexpression needs."""
        found: dict[int, Watch] = {}
        for child in self.children:
            found |= child.watches()
        return found

    def eval(self, moment: Moment) -> R:
        """Return the value at this moment; the same object if nothing that it depends on has changed."""
        stamp = self.fleet.stamp(self.metrics)
        if self._result is not None and self._moment == moment and self._stamp == stamp:
            return self._result
        self._result = None
        result = self._eval(moment)
        self._moment, self._stamp, self._result = moment, stamp, result
        return result

    @abstractmethod
    def _eval(self, moment: Moment, /) -> R: ...


class VectorNode(Node[Vec]):
    """A node that is an instant vector."""

    def empty(self) -> Vec:
        """Return a vector without elements."""
        frame: Frame = Listed(self.fleet.strings, (), distinct=True)
        return Vec(frame, np.zeros(0), np.zeros(0, np.bool_))


class ScalarNode(Node[float]):
    """A node that is one number."""

    kind = "scalar"


class Number(ScalarNode):
    """A number that is written in the expression."""

    def __init__(self, fleet: Fleet, text: str, value: float) -> None:
        super().__init__(fleet, text)
        self.value = value

    def _eval(self, _moment: Moment) -> float:
        return self.value


class Text(Node[str]):
    """A string that is written in the expression."""

    kind = "string"

    def __init__(self, fleet: Fleet, text: str, value: str) -> None:
        super().__init__(fleet, text)
        self.value = value

    def _eval(self, _moment: Moment) -> str:
        return self.value


class Samples(VectorNode):
    """A range of samples by itself: Prometheus takes it as an expression, but it is no answer."""

    kind = "samples"

    def _eval(self, _moment: Moment) -> Vec:
        raise EvaluationError("a range of samples is no answer; apply a function such as rate() to it")


class Time(ScalarNode):
    """The time of evaluation, in seconds."""

    def _eval(self, moment: Moment) -> float:
        return moment.at / 1000
