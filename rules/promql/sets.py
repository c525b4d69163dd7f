"""The set operators: and, or, unless."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rules.labels import Pick
from rules.promql.frames import Joined
from rules.promql.matching import Numbering
from rules.promql.node import VectorNode
from rules.promql.vec import Moment, Vec

if TYPE_CHECKING:
    from rules.fleet import Fleet


class Intersection(VectorNode):
    """`and`, and with `without` its opposite, `unless`; elements of the left side, by the presence on the right."""

    def __init__(
        self, fleet: Fleet, text: str, left: VectorNode, right: VectorNode, pick: Pick, *, without: bool
    ) -> None:
        super().__init__(fleet, text, (left, right))
        self.left = left
        self.right = right
        self.without = without
        self._numbering = Numbering(pick)

    def _eval(self, moment: Moment) -> Vec:
        left, right = self.left.eval(moment), self.right.eval(moment)
        left_ids, right_ids, count = self._numbering.ids(left.frame, right.frame)
        there = np.zeros(count, np.bool_)
        there[right_ids[right.mask]] = True
        found = there[left_ids]
        return left.where(~found if self.without else found)


class Union(VectorNode):
    """`or`: the left side, and of the right what has no counterpart on the left."""

    def __init__(self, fleet: Fleet, text: str, left: VectorNode, right: VectorNode, pick: Pick) -> None:
        super().__init__(fleet, text, (left, right))
        self.left = left
        self.right = right
        self._numbering = Numbering(pick)
        self._joined: Joined | None = None

    def _eval(self, moment: Moment) -> Vec:
        left, right = self.left.eval(moment), self.right.eval(moment)
        left_ids, right_ids, count = self._numbering.ids(left.frame, right.frame)
        there = np.zeros(count, np.bool_)
        there[left_ids[left.mask]] = True
        added = right.mask & ~there[right_ids]
        if self._joined is None or self._joined.parts != (left.frame, right.frame):
            self._joined = Joined(left.frame, right.frame)
        self._joined.sync()
        values = np.zeros(self._joined.n)
        mask = np.zeros(self._joined.n, np.bool_)
        for places, part, present in zip(self._joined.places, (left, right), (left.mask, added), strict=True):
            values[places.view] = part.values
            mask[places.view] = present
        on_left, on_right = self._joined.places
        order = np.concatenate((on_left.view[left.positions()], on_right.view[np.flatnonzero(added)]))
        return Vec(self._joined, values, mask, order).checked()
