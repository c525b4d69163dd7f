"""Choosing and ordering elements: topk, bottomk, limitk, count_values, sort."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from rules.errors import EvaluationError
from rules.labels import ALL, Pick
from rules.promql.aggregate import Grouping
from rules.promql.frames import Relabelled, View
from rules.promql.keys import Ids, Keys
from rules.promql.node import ScalarNode, VectorNode
from rules.promql.vec import Moment, Vec

if TYPE_CHECKING:
    from rules.fleet import Fleet

_CHUNKS: Final = re.compile(r"\d+|\D+")


class Ranked(VectorNode):
    """topk, bottomk and limitk: of each group the first k. A `lenient` one takes all."""

    def __init__(
        self,
        fleet: Fleet,
        text: str,
        op: Literal["topk", "bottomk", "limitk"],
        vector: VectorNode,
        pick: Pick,
        size: ScalarNode,
        *,
        lenient: bool,
    ) -> None:
        super().__init__(fleet, text, (size, vector))
        self.op = op
        self.vector = vector
        self.size = size
        self.lenient = lenient
        self.grouping = Grouping(pick)

    def _eval(self, moment: Moment) -> Vec:
        size = self.size.eval(moment)
        vec = self.vector.eval(moment)
        if self.lenient:
            return vec
        if size < 1:
            return vec.where(np.zeros(len(vec.mask), np.bool_))
        if not size < 2.0**63:
            raise EvaluationError(
                "Parameter value is NaN" if np.isnan(size) else f"Scalar value {size} overflows int64"
            )
        ids, _ = self.grouping.of(vec.frame)
        order = self._order(vec, ids)
        groups = ids[order]
        new = np.ones(len(order), np.bool_)
        new[1:] = groups[1:] != groups[:-1]
        starts = np.flatnonzero(new)
        rank = np.arange(len(order)) - starts[np.cumsum(new) - 1] if len(order) else order
        order = order[rank < np.floor(size)]
        mask = np.zeros(len(vec.mask), np.bool_)
        mask[order] = True
        return Vec(vec.frame, vec.values, mask, order)

    def _order(self, vec: Vec, ids: Ids) -> Ids:
        """Return the positions of what is there: by group, in it the first to be chosen first; NaN last.

        Of equals the labels decide, so that the choice is the same after a restart.
        """
        there = np.flatnonzero(vec.mask)
        hashes = vec.frame.hashes(ALL)[there]
        if self.op == "limitk":
            return there[np.lexsort((hashes, ids[there]))]
        values = vec.values[there] if self.op == "bottomk" else -vec.values[there]
        return there[np.lexsort((hashes, values, ids[there]))]


class CountValues(VectorNode):
    """count_values(label, v): how many elements of the group have each value."""

    def __init__(self, fleet: Fleet, text: str, vector: VectorNode, pick: Pick, label: str) -> None:
        super().__init__(fleet, text, (vector,))
        self.vector = vector
        self.label = label
        self.pick = pick

    def _eval(self, moment: Moment) -> Vec:
        if not self.label:
            raise EvaluationError(f"invalid label name {self.label!r}")
        vec = self.vector.eval(moment)
        there = np.flatnonzero(vec.mask)
        bits, inverse = np.unique(vec.values[there].view(np.int64), return_inverse=True)  # -0 is not 0
        texts = self.fleet.strings.encode([written(value) for value in bits.view(np.float64).tolist()])
        chosen = View.of(vec.frame, ALL, distinct=False)
        chosen.add(there)
        labelled = Relabelled(chosen)
        labelled.add({self.label: texts[inverse] if len(there) else texts})
        pick = self.pick
        if pick.keep:
            pick = Pick(pick.names | {self.label}, True)
        keys = Keys()
        ids = keys.ids(labelled.hashes(pick))
        groups = View.of(labelled, pick, distinct=True)
        groups.add(np.unique(ids, return_index=True)[1])
        counts = np.bincount(ids, minlength=keys.count).astype(np.float64)
        return Vec(groups, counts, np.ones(keys.count, np.bool_))


def written(value: float) -> str:
    """Return a number as count_values() writes it: without exponent, as short as can be."""
    if np.isnan(value):
        return "NaN"
    if np.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return np.format_float_positional(value, trim="-")


class Sorted(VectorNode):
    """sort() and sort_desc(): by value, NaN last."""

    def __init__(self, fleet: Fleet, text: str, vector: VectorNode, *, descending: bool) -> None:
        super().__init__(fleet, text, (vector,))
        self.vector = vector
        self.descending = descending

    def _eval(self, moment: Moment) -> Vec:
        vec = self.vector.eval(moment)
        there = np.flatnonzero(vec.mask)
        values = vec.values[there]
        order = there[np.argsort(-values if self.descending else values, kind="stable")]
        return Vec(vec.frame, vec.values, vec.mask, order)


class SortedByLabel(VectorNode):
    """sort_by_label() and sort_by_label_desc(): by the text of labels, numbers in it as numbers."""

    def __init__(self, fleet: Fleet, text: str, vector: VectorNode, labels: list[str], *, descending: bool) -> None:
        super().__init__(fleet, text, (vector,))
        self.vector = vector
        self.names = labels
        self.descending = descending

    def _eval(self, moment: Moment) -> Vec:
        vec = self.vector.eval(moment)
        keyed = []
        for position in np.flatnonzero(vec.mask).tolist():
            labels = vec.frame.labels(position)
            keyed.append(([natural(labels.get(name, "")) for name in self.names], list(labels.items()), position))
        keyed.sort(reverse=self.descending)
        order = np.array([position for _, _, position in keyed], np.int64)
        return Vec(vec.frame, vec.values, vec.mask, order)


def natural(text: str) -> list[tuple[int, int, str]]:
    """Return a key by which numbers in a text are compared as numbers."""
    return [(0, int(c), c) if c.isdecimal() and c.isascii() else (1, 0, c) for c in _CHUNKS.findall(text)]
