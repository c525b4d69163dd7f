"""A recording rule at work (prometheus: rules/recording.go)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rules.errors import EvaluationError
from rules.files import Rule
from rules.labels import NAME, Labels
from rules.promql import Vector
from rules.promql.frames import Frame
from rules.source import Source

DUPLICATE: Final = "vector contains metrics with the same labelset after applying rule labels"


class RecordingRule:
    """Evaluates one recording rule."""

    def __init__(self, rule: Rule, group: str, source: Source) -> None:
        self.rule = rule
        self.group = group
        self.source = source
        self._frame: Frame | None = None
        self._named: list[Labels | None] = []  # what the frame's elements are recorded as
        self._positions = np.zeros(0, np.int64)
        self._made: list[Labels] = []

    def evaluate(self, now: float, limit: int) -> tuple[list[Labels], NDArray[np.float64]]:
        """The series that it yields now; the same list as before where they are the same series."""
        result = self.source.at(now)
        if result.frame is not self._frame or not np.array_equal(result.positions, self._positions):
            made = self._names(result)
            if len(set(made)) < len(made):
                raise EvaluationError(DUPLICATE)
            self._made, self._positions = made, result.positions
        if 0 < limit < len(self._made):
            raise EvaluationError(f"exceeded limit of {limit} with {len(self._made)} series")
        return self._made, result.values

    def _names(self, result: Vector) -> list[Labels]:
        if result.frame is not self._frame:
            self._frame, self._named, self._positions = result.frame, [], np.zeros(0, np.int64)
        named = self._named
        named += [None] * (result.frame.n - len(named))
        made = []
        for position in result.positions.tolist():
            own = named[position]
            if own is None:
                own = named[position] = self._identity(result.frame.uncached(position))
            made.append(own)
        return made

    def held_back(self, now: float) -> frozenset[Labels]:
        """The series that it would yield too if its comparisons did not filter."""
        return frozenset(map(self._identity, self.source.present(now))).difference(self._made)

    def _identity(self, source: Mapping[str, str]) -> Labels:
        own = {**source, **self.rule.labels, NAME: self.rule.name}
        return Labels({name: text for name, text in own.items() if text})
