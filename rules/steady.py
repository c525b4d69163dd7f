"""Rows of many sources at once: one scatter for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from rules.layouts import Layout
from rules.rings import STALE, is_stale
from rules.slots import GONE, Slots, Values

if TYPE_CHECKING:
    from rules.fleet import Fleet

Indices = NDArray[np.intp]


class Found(Protocol):
    """Rows in a buffer: their times in seconds, and where in `floats` the values of each begin."""

    floats: Values
    times: Values
    at: Slots


def fits(layout: Layout, columns: int, time: float) -> bool:
    """Whether rows of so many columns, the first at this time (ms), can be written."""
    source = layout.source
    return layout is source.layout and time > source.last and columns == len(layout.slots)


def write(fleet: Fleet, found: Found, layouts: Sequence[Layout], rows: Indices, ends: Indices) -> None:
    """Write rows that are newer than all that their sources sent, in layouts that stand (`fits`).

    `rows` are those of the first layout in the order of their times, then those of the second and so on; `ends` tells
    where each layout's end. No source may have two layouts. The effect is that of `Fleet.append` for each row.
    """
    lasts = rows[ends - 1]
    latest = np.rint(found.times[lasts] * 1000)
    for layout, time in zip(layouts, latest.tolist(), strict=True):
        layout.source.last = time
    widths = [len(layout.slots) for layout in layouts]
    slots = np.concatenate([layout.slots for layout in layouts])
    floats = found.floats
    values = np.concatenate(
        [floats[at : at + width] for at, width in zip(found.at[lasts].tolist(), widths, strict=True)]
    )
    array = fleet.array
    array.values[slots] = values
    array.times[slots] = np.repeat(latest, widths)
    missing = _missing(fleet, values)
    if missing is not None:
        array.times[slots[missing]] = GONE
    _write_windows(fleet, found, layouts, rows, ends)
    fleet.dirty = min(fleet.dirty, float(found.times[rows].min()))
    for layout in layouts:
        if layout.names is not None:
            fleet.record(layout.names)
    fleet.epoch += 1


def _missing(fleet: Fleet, values: Values) -> NDArray[np.bool_] | None:
    """Return where there is no value, None if there is one everywhere."""
    least = np.minimum.reduce(values)
    if least == least:
        return None
    return is_stale(values) if fleet.keep_nan else np.isnan(values)


def _write_windows(fleet: Fleet, found: Found, layouts: Sequence[Layout], rows: Indices, ends: Indices) -> None:
    """Let the windows have what they keep of the rows: of each source the first, then of each the second …"""
    starts = np.concatenate(([0], ends[:-1]))
    places = [place for place, layout in enumerate(layouts) if layout.columns is not None]
    left = starts[places]
    while places:
        some = [layouts[place] for place in places]
        columns = [layout.columns for layout in some if layout.columns is not None]
        these = rows[left]
        at = np.repeat(found.at[these], [len(each) for each in columns])
        kept = found.floats[at + np.concatenate(columns)]
        missing = _missing(fleet, kept)
        if missing is not None:
            kept[missing] = STALE
        fleet.windows.write(some, found.times[these], kept)
        left += 1
        more = left < ends[places]
        places = [place for place, again in zip(places, more.tolist(), strict=True) if again]
        left = left[more]
