"""Who sends series: devices; their sources, each with times of its own; layouts, what the columns of a row are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rules.slots import GONE, REFUSED, Slots

Series = Sequence[tuple[str, Mapping[str, str]]]
Numbers = NDArray[np.int32]


class Layout:
    """The columns of a source's rows: made by `Fleet.layout`, given to `Fleet.append`.

    `slots` are valid while this is the source's current layout; `columns` are those whose windows are kept.
    """

    __slots__ = ("columns", "kept", "names", "raw", "schema", "series", "slots", "source", "tracks")

    def __init__(self, source: Source, schema: int, raw: Series, series: Numbers) -> None:
        self.source = source
        self.schema = schema
        self.raw = raw
        self.series = series  # numbers in the table of series
        self.slots: Slots = np.zeros(0, np.int64)
        self.names: frozenset[str] | None = None  # the metrics, if they are few
        self.columns: NDArray[np.intp] | None = None
        self.kept: Slots = self.slots  # slots whose windows are written: of `columns`, then of series that are gone
        self.tracks: Slots = self.slots

    @property
    def device(self) -> int:
        """The device whose series these are."""
        return self.source.device.number


class Source:
    """What sends rows for a device: its agent, its SNMP poll, the collector itself."""

    __slots__ = ("closed", "device", "gone", "last", "layout", "layouts", "name", "number")

    def __init__(self, device: Device, name: str, number: int) -> None:
        self.device = device
        self.name = name
        self.number = number
        self.layout: Layout | None = None
        self.closed = False
        self.layouts: dict[int, Layout] = {}
        self.last = GONE  # time of the newest row, in ms
        self.gone: dict[int, tuple[int, float]] = {}  # series that vanished but have windows: slot, since when


class Device:
    """A watched device and its target labels; `row` is their number in the table of devices."""

    __slots__ = ("count", "labels", "number", "refused", "row", "sources")

    def __init__(self, number: int, labels: dict[str, str], row: int) -> None:
        self.number = number
        self.labels = labels
        self.row = row
        self.sources: dict[str, Source] = {}
        self.count = 0  # slots in use
        self.refused = 0  # series beyond a limit

    def missing(self) -> int:
        """Return how many of the series that it sends now have no slot."""
        layouts = [source.layout for source in self.sources.values() if source.layout is not None]
        return sum(int((layout.slots == REFUSED).sum()) for layout in layouts)
