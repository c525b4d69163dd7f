"""Operators between two vectors: which element goes with which, and what the labels of the result are.

The elements of both sides get numbers by their matching labels, once. At each evaluation the elements of the "one" side
that are there are written into a table by number, and those of the other side look them up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from rules.errors import EvaluationError
from rules.growing import Growing
from rules.labels import NAME, Pick
from rules.promql.frames import Frame, Relabelled, View
from rules.promql.keys import Ids, Keys
from rules.promql.node import VectorNode
from rules.promql.operators import ARITHMETIC, COMPARISON
from rules.promql.vec import Floats, Mask, Moment, Vec

if TYPE_CHECKING:
    from rules.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Matching:
    """How elements are matched: by the labels in `pick`; `many` is the side that may have several for one.

    `left` are the labels that an element matched one to one keeps.
    """

    pick: Pick
    left: Pick
    many: Literal["left", "right"] | None
    include: tuple[str, ...] = ()

    def written(self, vec: Vec, index: int) -> str:
        """Return the matching labels of an element, for an error."""
        labels = {n: t for n, t in vec.frame.labels(index).items() if self.pick.has(n)}
        return "{" + ", ".join(f'{name}="{text}"' for name, text in labels.items()) + "}"


class Numbering:
    """The numbers of two frames' elements by their matching labels; made anew when a frame is replaced."""

    def __init__(self, pick: Pick) -> None:
        self._pick = pick
        self._frames: tuple[Frame | None, Frame | None] = (None, None)
        self._keys = Keys()
        self._ids: tuple[Growing[np.int64], Growing[np.int64]] = (Growing(np.int64), Growing(np.int64))

    def ids(self, left: Frame, right: Frame) -> tuple[Ids, Ids, int]:
        """Return the numbers of both frames' elements, and how many numbers there are."""
        if self._frames[0] is not left or self._frames[1] is not right:
            self._frames = (left, right)
            self._keys = Keys()
            self._ids = (Growing(np.int64), Growing(np.int64))
        for frame, ids in zip((left, right), self._ids, strict=True):
            if len(ids) < frame.n:
                ids.extend(self._keys.ids(frame.hashes(self._pick)[len(ids) :]))
        return self._ids[0].view, self._ids[1].view, self._keys.count


class VectorBinary(VectorNode):
    """An arithmetic or comparison operator between two vectors."""

    def __init__(
        self,
        fleet: Fleet,
        text: str,
        op: str,
        left: VectorNode,
        right: VectorNode,
        matching: Matching,
        *,
        as_bool: bool,
        lenient: bool,
    ) -> None:
        super().__init__(fleet, text, (left, right))
        self.op = op
        self.left = left
        self.right = right
        self.matching = matching
        self.as_bool = as_bool
        self.lenient = lenient
        self._numbering = Numbering(matching.pick)
        self._labels = ResultLabels(matching, drop_name=as_bool or op in ARITHMETIC)

    def _eval(self, moment: Moment) -> Vec:
        left, right = self.left.eval(moment), self.right.eval(moment)
        many, one = (right, left) if self.matching.many == "right" else (left, right)
        many_ids, one_ids, count = self._numbering.ids(many.frame, one.frame)
        partner = self._partners(many, one, many_ids, one_ids, count)
        found = many.mask & (partner >= 0)
        frame = self._labels.frame(many.frame, one.frame, partner, found)
        taken = one.values[partner] if len(one.values) else np.zeros(len(partner))
        a, b = (taken, many.values) if self.matching.many == "right" else (many.values, taken)
        values, kept = self._operate(a, b, found)
        vec = Vec(frame, values, kept)
        if self.matching.many is None:
            self._check_one_to_one(kept, many_ids)
        else:
            self._check_unique(vec)
        return vec.checked()

    def _operate(self, a: Floats, b: Floats, found: Mask) -> tuple[Floats, Mask]:
        """Return the values, and which of what was found is kept."""
        if self.op in ARITHMETIC:
            return ARITHMETIC[self.op](a, b), found
        holds = COMPARISON[self.op](a, b)
        if self.as_bool:
            return holds.astype(np.float64), found
        return a, found if self.lenient else found & holds

    def _partners(self, many: Vec, one: Vec, many_ids: Ids, one_ids: Ids, count: int) -> Ids:
        """Return for each element of the many side the position of its partner, or -1."""
        there = np.flatnonzero(one.mask)
        table = np.full(count, -1, np.int64)
        if not len(there) or not many.mask.any():
            return table[many_ids]
        numbers = one_ids[there]
        table[numbers] = there
        if (table[numbers] != there).any():
            first = int(there[np.flatnonzero(table[numbers] != there)[0]])
            self._refuse(one, first, int(table[one_ids[first]]))
        return table[many_ids]

    def _refuse(self, one: Vec, first: int, second: int) -> None:
        side = "left" if self.matching.many == "right" else "right"
        pair = ", ".join(sorted(repr(one.frame.labels(index)) for index in (first, second)))
        raise EvaluationError(
            f"found duplicate series for the match group {self.matching.written(one, first)} on the {side} hand-side "
            f"of the operation: [{pair}];many-to-many matching not allowed: matching labels must be unique on one side"
        )

    @staticmethod
    def _check_one_to_one(found: Mask, ids: Ids) -> None:
        there = ids[found]
        if len(there) and np.bincount(there).max() > 1:
            raise EvaluationError(
                "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
            )

    @staticmethod
    def _check_unique(vec: Vec) -> None:
        if vec.frame.clashes(vec.mask):
            raise EvaluationError("multiple matches for labels: grouping labels must ensure unique matches")


class ResultLabels:
    """The frame of an operator's result: of the many side's labels, with some of the one side's."""

    def __init__(self, matching: Matching, *, drop_name: bool) -> None:
        self._matching = matching
        self._drop_name = drop_name
        self._frames: tuple[Frame, Frame] | None = None
        self._partner: Ids = np.zeros(0, np.int64)
        self._result: Frame | None = None
        self._relabelled: Relabelled | None = None

    def frame(self, many: Frame, one: Frame, partner: Ids, found: Mask) -> Frame:
        """Return the frame of the result, over the elements of the many side."""
        if not self._matching.include:
            return self._plain(many)
        return self._included(many, one, partner, found)

    def _plain(self, many: Frame) -> Frame:
        if self._result is None or self._frames is None or self._frames[0] is not many:
            base = many.nameless() if self._drop_name else many
            if self._matching.many is None:  # matched one to one: by labels that are then distinct
                unsure = self._drop_name and self._matching.pick.has(NAME)
                base = View(base, self._matching.left, distinct=not unsure)
            self._frames = (many, many)
            self._result = base
        if self._drop_name:
            many.nameless()
        self._result.n = many.n
        return self._result

    def _included(self, many: Frame, one: Frame, partner: Ids, found: Mask) -> Frame:
        known = self._frames == (many, one)
        if known:
            before = self._partner
            known = not (found[: len(before)] & (partner[: len(before)] != before) & (before >= 0)).any()
            known = known and not (found[: len(before)] & (before < 0)).any()
        if not known or self._relabelled is None:
            self._frames = (many, one)
            self._relabelled = Relabelled(many.nameless() if self._drop_name else many)
            self._partner = self._partner[:0]
        if self._drop_name:
            many.nameless()
        fresh = partner[len(self._partner) :]
        if len(fresh):
            columns = {label: one.column(label) for label in self._matching.include}
            blank = np.zeros(1, np.int32)
            self._relabelled.add(
                {label: np.append(codes, blank)[fresh] for label, codes in columns.items()}  # -1: the blank
            )
            self._partner = np.concatenate((self._partner, fresh))  # of each element, the one it was labelled by
        return self._relabelled
