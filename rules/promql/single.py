"""Between numbers and vectors: scalar(), vector(), absence, and what time() gives to the date functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rules.promql.frames import Frame, Listed
from rules.promql.node import ScalarNode, VectorNode
from rules.promql.vec import Moment, Vec

if TYPE_CHECKING:
    from rules.fleet import Fleet


class One(VectorNode):
    """A vector of one element."""

    def __init__(self, fleet: Fleet, text: str, labels: dict[str, str], children: tuple[VectorNode | ScalarNode, ...]):
        super().__init__(fleet, text, children)
        self._labels = labels
        self._frame: Frame = Listed(fleet.strings, [labels], distinct=True)

    def one(self, value: float, *, there: bool = True) -> Vec:
        """Return the vector, with or without its element."""
        if self._frame.strings is not self.fleet.strings:
            self._frame = Listed(self.fleet.strings, [self._labels], distinct=True)
        return Vec(self._frame, np.array([value]), np.array([there]))


class AsVector(One):
    """vector(): a number as a vector without labels."""

    def __init__(self, fleet: Fleet, text: str, scalar: ScalarNode) -> None:
        super().__init__(fleet, text, {}, (scalar,))
        self.scalar = scalar

    def _eval(self, moment: Moment) -> Vec:
        return self.one(self.scalar.eval(moment))


class AsScalar(ScalarNode):
    """scalar(): the value of a vector's only element, else NaN."""

    def __init__(self, fleet: Fleet, text: str, vector: VectorNode) -> None:
        super().__init__(fleet, text, (vector,))
        self.vector = vector

    def _eval(self, moment: Moment) -> float:
        vec = self.vector.eval(moment)
        there = np.flatnonzero(vec.mask)
        return float(vec.values[there[0]]) if len(there) == 1 else np.nan


class Absent(One):
    """absent() and absent_over_time(): 1 where nothing is. A `lenient` one always: that can be told at any time."""

    def __init__(self, fleet: Fleet, text: str, vector: VectorNode, labels: dict[str, str], *, lenient: bool) -> None:
        super().__init__(fleet, text, labels, (vector,))
        self.vector = vector
        self.lenient = lenient

    def _eval(self, moment: Moment) -> Vec:
        return self.one(1.0, there=self.lenient or not self.vector.eval(moment).mask.any())


class TimeOf(VectorNode):
    """timestamp() of what is no selector: the time of evaluation."""

    def __init__(self, fleet: Fleet, text: str, vector: VectorNode) -> None:
        super().__init__(fleet, text, (vector,))
        self.vector = vector

    def _eval(self, moment: Moment) -> Vec:
        vec = self.vector.eval(moment)
        return vec.with_values(np.full(len(vec.values), moment.at / 1000)).nameless()
