"""Rows that have only some of their series: what a request of Prometheus brings of a part of a device's series."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rules.layouts import Layout
from rules.rings import STALE, is_stale
from rules.slots import GONE, Values

if TYPE_CHECKING:
    from rules.fleet import Fleet


def append_sparse(fleet: Fleet, layout: Layout, times: Values, values: Values, absent: NDArray[np.bool_]) -> None:
    """Take rows of a source: values[rows, columns] at times[rows], ascending Unix seconds.

    A value that is `absent` leaves its series as it is; Prometheus' stale marker ends it; every other NaN is a value.
    A row that is older than the newest of its source is dropped and counted as late; in one of the same time, a series
    that has its value keeps it. So it does no harm when a request comes twice.
    """
    source = layout.source
    for row, time in enumerate(np.rint(times * 1000).tolist()):
        if source.closed or time < source.last:
            fleet.late += 1
            continue
        if layout is not source.layout:
            fleet.switch(layout, time)
        source.last = time
        present = ~absent[row] & (fleet.array.times[layout.slots] != time)
        if not present.any():
            continue
        _take(fleet, layout, time, values[row], present)
        fleet.dirty = min(fleet.dirty, time / 1000)
        if layout.names is None:
            fleet.epoch += 1
        else:
            fleet.record(layout.names)


def _take(fleet: Fleet, layout: Layout, time: float, row: Values, present: NDArray[np.bool_]) -> None:
    slots, given = layout.slots[present], row[present]
    fleet.array.values[slots] = given
    fleet.array.times[slots] = np.where(is_stale(given), GONE, time)
    if layout.columns is not None:
        kept = np.where(present, row, STALE).take(layout.columns)
        fleet.windows.note(layout, np.array([time / 1000]), kept[None])
