"""What a recording rule leaves in the fleet: its result as series, so that other rules may look at it, and back on it.

Each rule is a device of its own without target labels, whose number is below zero: what it says is taken as it is, NaN
too. An element is known again by the hash of its labels, so that a result of thousands of elements is one row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from rules.errors import EvaluationError
from rules.growing import Growing, fit
from rules.labels import NAME, all_but
from rules.layouts import Layout
from rules.promql.frames import Frame
from rules.promql.keys import Ids, Keys
from rules.promql.vector import Vector
from rules.rings import STALE

if TYPE_CHECKING:
    from rules.fleet import Fleet

DUPLICATE: Final = "vector contains metrics with the same labelset after applying rule labels"
_FEW: Final = 64


class Record:
    """The series of one rule: `name` and `labels` are the rule's, and replace those of the elements.

    `owner` is its number in the fleet, below zero; what was restored under it is taken up.
    """

    def __init__(self, fleet: Fleet, owner: int, name: str, labels: Mapping[str, str] | None = None) -> None:
        self._fleet = fleet
        self.owner = owner
        self._own = {**(labels or {}), NAME: name}
        self._pick = all_but(*self._own)
        self._keys = Keys()
        self._column: Ids = np.zeros(0, np.int64)  # by number of the element's labels; -1: none yet
        self._frame: Frame | None = None
        self._ids: Growing[np.int64] = Growing(np.int64)
        self._generation = -1
        self._layout: Layout | None = None

    def write(self, vector: Vector | float, now: float) -> int:
        """Take the rule's result at a time in Unix seconds; return how many series it has.

        Series that were in the last result and are not in this one become stale.

        Raises:
            EvaluationError: two elements have the same labels once the rule's are applied; nothing was written.
        """
        if isinstance(vector, float):
            vector = Vector.make(self._fleet.strings, [{}], [vector])
        layout = self._current()
        columns = self._columns(vector)
        if len(np.unique(columns)) < len(columns):
            raise EvaluationError(DUPLICATE)
        self._widen(layout, vector, columns)
        if not len(layout.series):
            return 0
        row = np.full((1, len(layout.series)), STALE)
        row[0, self._column[self._numbers(vector)]] = vector.values
        self._fleet.append(layout, np.array([now]), row)
        if len(layout.series) > _FEW and len(vector) < len(layout.series) // 4:
            self._anew(layout.schema + 1)
        return len(vector)

    def close(self) -> None:
        """Forget the series: the rule is gone."""
        self._fleet.remove_device(self.owner)
        self._layout = None

    def _numbers(self, vector: Vector) -> Ids:
        """Return a number for each element, the same for equal labels."""
        frame = vector.frame
        if self._frame is not frame:
            self._frame, self._ids = frame, Growing(np.int64)
        if len(self._ids) < frame.n:
            self._ids.extend(self._keys.ids(frame.hashes(self._pick)[len(self._ids) :]))
        return self._ids.view[vector.positions]

    def _columns(self, vector: Vector) -> Ids:
        """Return a column for each element; for those that have none, numbers below zero that are theirs alone."""
        numbers = self._numbers(vector)
        before = len(self._column)
        self._column = fit(self._column, self._keys.count)
        self._column[before:] = -1
        columns = self._column[numbers]
        return np.where(columns < 0, -1 - numbers, columns)

    def _widen(self, layout: Layout, vector: Vector, columns: Ids) -> None:
        fresh = np.flatnonzero(columns < 0)
        if not len(fresh):
            return
        self._column[-1 - columns[fresh]] = len(layout.series) + np.arange(len(fresh))
        own = {label: text for label, text in self._own.items() if label != NAME}
        series = []
        for position in vector.positions[fresh].tolist():
            labels = vector.frame.uncached(position) | own
            labels.pop(NAME, None)
            series.append((self._own[NAME], labels))
        self._fleet.widen(layout, series)

    def _current(self) -> Layout:
        if self._layout is None or self._generation != self._fleet.generation:
            self._generation = self._fleet.generation
            self._frame = None
            known = self._fleet.devices.get(self.owner)
            if known is None:
                self._fleet.add_device(self.owner, {})
                self._anew(0)
            else:
                self._take_up()
        assert self._layout is not None  # noqa: S101 - both ways above set it
        return self._layout

    def _anew(self, schema: int) -> None:
        """Start without columns."""
        for source in self._fleet.devices[self.owner].sources.values():
            source.layouts.clear()
        self._layout = self._fleet.layout(self.owner, schema, [])
        self._column[:] = -1

    def _take_up(self) -> None:
        """Take up the columns that there are, after a restore."""
        layout = next((source.layout for source in self._fleet.devices[self.owner].sources.values()), None)
        if layout is None:
            self._anew(0)
            return
        self._layout = layout
        numbers = self._keys.ids(self._fleet.series_table.hashes(self._pick)[layout.series])
        self._column = fit(self._column, self._keys.count)
        self._column[:] = -1
        self._column[numbers] = np.arange(len(numbers))
