"""A recording rule at work (prometheus: rules/recording.go)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from rules.errors import EvaluationError
from rules.files import Rule
from rules.labels import NAME, Labels
from rules.source import Source

DUPLICATE: Final = "vector contains metrics with the same labelset after applying rule labels"


class RecordingRule:
    """Evaluates one recording rule."""

    def __init__(self, rule: Rule, group: str, source: Source) -> None:
        self.rule = rule
        self.group = group
        self.source = source
        self._named: dict[Labels, Labels] = {}

    def evaluate(self, now: float, limit: int) -> tuple[list[Labels], NDArray[np.float64]]:
        """The series that it yields now."""
        labels, values = self.source.at(now)
        named = {source: self._named.get(source) or self._identity(source) for source in labels}
        self._named = named
        made = [named[source] for source in labels]
        if len(set(made)) < len(made):
            raise EvaluationError(DUPLICATE)
        if 0 < limit < len(made):
            raise EvaluationError(f"exceeded limit of {limit} with {len(made)} series")
        return made, values

    def held_back(self, now: float) -> frozenset[Labels]:
        """The series that it would yield too if its comparisons did not filter."""
        return frozenset(map(self._identity, self.source.present(now))).difference(self._named.values())

    def _identity(self, source: Labels) -> Labels:
        own = {**source, **self.rule.labels, NAME: self.rule.name}
        return Labels({name: text for name, text in own.items() if text})
