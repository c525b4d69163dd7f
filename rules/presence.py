"""Whether there was data to judge an alert whose condition is no longer seen to hold.

The rule's own expression tells first: without the filtering of its comparisons, is the element there? Two things it
cannot tell. A series that a recording rule yields only while something is wrong (`record: bad`, `expr: x > 5`) is
missing in good times too: then that rule is asked in turn. And where series that exist only while an alert does
(ALERTS) are all that there is, or labels hold the value itself (count_values), being gone says that all is well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from rules.errors import EvaluationError
from rules.labels import NAME, Labels, only
from rules.promql import Query, Vector
from rules.promql.judging import OF_ALERTS
from rules.recording import RecordingRule
from rules.source import Source

_INSTANCE: Final = "instance"


class Presence:
    """The judge for one alerting rule; `records` are all recording rules, by the name that they record."""

    def __init__(self, source: Source, records: Mapping[str, Sequence[RecordingRule]]) -> None:
        self._source = source
        self._up: Query | None = None
        self._records = _read_by(source, records)
        names = {name for s in (source, *(r.source for r in self._records)) for name in s.judged_by}
        self.never_missing = source.counts_values or not OF_ALERTS.isdisjoint(names)

    def missing(self, elements: Sequence[Labels], now: float) -> list[bool]:
        """Which of some elements there is no data for now."""
        if self.never_missing:
            return [False] * len(elements)
        try:
            gone = self._source.lacks(elements, now)
        except EvaluationError:
            # The comparisons kept a join one-to-one. There is data, or there would be nothing to clash.
            return [False] * len(elements)
        if self._records and any(gone):
            quiet = self._quiet(now)
            gone = [g and not any(_agree(q, e) for q in quiet) for g, e in zip(gone, elements, strict=True)]
        return gone

    def reporting(self, alerts: Sequence[Labels], now: float) -> list[bool]:
        """Of which of some alerts the device is up; one that names no instance has none."""
        fleet = self._source.query.fleet
        self._up = self._up or Query(fleet, "up == 1")
        up = self._up.at(now)
        assert isinstance(up, Vector)  # noqa: S101 - for the type checker
        there = up.frame.hashes(only(_INSTANCE))[up.positions]
        codes = np.array([fleet.strings.code(labels.get(_INSTANCE, "")) for labels in alerts], np.int32)
        found = np.isin(fleet.strings.hashes(_INSTANCE, codes), there)
        return [bool(labels.get(_INSTANCE)) and is_up for labels, is_up in zip(alerts, found.tolist(), strict=True)]

    def _quiet(self, now: float) -> set[Labels]:
        """What the recording rules hold back, there being data that says so."""
        found: set[Labels] = set()
        for record in self._records:
            try:
                found |= record.held_back(now)
            except EvaluationError:
                continue  # as above; the other recordings may still tell
        return found


def _agree(one: Labels, other: Labels) -> bool:
    """Whether two label sets have the same value for every label that both have."""
    return all(other.get(name, text) == text for name, text in one.items() if name != NAME)


def _read_by(source: Source, records: Mapping[str, Sequence[RecordingRule]]) -> list[RecordingRule]:
    """The recording rules whose series an expression reads, directly or through others."""
    found: dict[int, RecordingRule] = {}
    waiting = [source]
    while waiting:
        for name in waiting.pop().metrics:
            for record in records.get(name, ()):
                if id(record) not in found:
                    found[id(record)] = record
                    waiting.append(record.source)
    return list(found.values())
