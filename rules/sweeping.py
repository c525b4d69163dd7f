"""What a fleet forgets: series that vanished, windows that nobody looks at, label sets that nothing has any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from rules.labels import LabelTable, Strings
from rules.layouts import Layout, Numbers

if TYPE_CHECKING:
    from rules.fleet import Fleet

_SLACK: Final = 10_000  # rows of the label tables that may be nobody's, besides as many as are somebody's


def sweep(fleet: Fleet, now: float) -> None:
    """Forget what is not needed at this time (ms)."""
    _forget_gone(fleet, now)
    fleet.watching.release()
    rows = len(fleet.series_table.rows) + len(fleet.device_table.rows)
    if rows > 2 * fleet.rows_in_use + _SLACK:
        fleet.rows_in_use = _in_use(fleet)
        if rows > 2 * fleet.rows_in_use + _SLACK:
            compact(fleet)


def _forget_gone(fleet: Fleet, now: float) -> None:
    for source in list(fleet.fading):
        spans = fleet.windows.span[fleet.windows.track[[slot for slot, _ in source.gone.values()]]].tolist()
        past = [
            (series, slot)
            for (series, (slot, since)), span in zip(source.gone.items(), spans, strict=True)
            if now - since > span
        ]
        for series, _ in past:
            del source.gone[series]
        if past:
            fleet.free(source.device, [slot for _, slot in past])
        if not source.gone:
            fleet.fading.discard(source)


def compact(fleet: Fleet) -> None:
    """Number strings and label sets anew, those alone that are in use; everything derived is made anew."""
    layouts = _layouts(fleet)
    array = fleet.array
    used = array.births[: array.size] >= 0
    series = _renumbered([array.series[: array.size][used], *(layout.series for layout in layouts)])
    rows = np.array([0, *(device.row for device in fleet.devices.values())], np.int32)
    devices = _renumbered([array.devices[: array.size][used], rows])
    strings = Strings()
    fleet.series_table = _picked(fleet.series_table, series, strings)
    fleet.device_table = _picked(fleet.device_table, devices, strings)
    fleet.strings = strings
    array.series[: array.size][used] = series[array.series[: array.size][used]]
    array.devices[: array.size][used] = devices[array.devices[: array.size][used]]
    _renumber(fleet, layouts, series, devices)
    fleet.rows_in_use = len(fleet.series_table.rows) + len(fleet.device_table.rows)
    fleet.restarted()


def _in_use(fleet: Fleet) -> int:
    array = fleet.array
    return len(np.unique(array.series[: array.size][array.births[: array.size] >= 0])) + len(fleet.devices)


def _layouts(fleet: Fleet) -> list[Layout]:
    found: dict[int, Layout] = {}
    for device in fleet.devices.values():
        for source in device.sources.values():
            for layout in (*source.layouts.values(), *((source.layout,) if source.layout else ())):
                found[id(layout)] = layout
    return list(found.values())


def _renumbered(numbers: list[Numbers]) -> NDArray[np.int32]:
    """Return the new number of each old one that is in use, in the same order; -1 for the others."""
    used = np.unique(np.concatenate(numbers))
    fresh = np.full(int(used[-1]) + 1 if len(used) else 1, -1, np.int32)
    fresh[used] = np.arange(len(used))
    return fresh


def _picked(table: LabelTable, fresh: NDArray[np.int32], strings: Strings) -> LabelTable:
    picked = LabelTable(strings)
    for old in np.flatnonzero(fresh >= 0).tolist():
        picked.add(table.rows[old])
    return picked


def _renumber(fleet: Fleet, layouts: list[Layout], series: NDArray[np.int32], devices: NDArray[np.int32]) -> None:
    shared: dict[int, Numbers] = {}
    kept = [layout.series for layout in layouts]  # alive, so that their ids stay theirs
    for layout, old in zip(layouts, kept, strict=True):
        if id(old) not in shared:
            shared[id(old)] = series[old]
        layout.series = shared[id(old)]
    for device in fleet.devices.values():
        device.row = int(devices[device.row])
        for source in device.sources.values():
            source.gone = {int(series[number]): gone for number, gone in source.gone.items()}
