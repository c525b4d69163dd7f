"""A fleet as bytes, and back, bit for bit: a head in JSON, then arrays as they are, then a checksum.

"WDFLEET1" | length of the head, u32 | head | arrays, each at the place that the head gives | crc32 of all that, u32
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from rules.errors import StateError
from rules.labels import LabelTable, Strings
from rules.layouts import Device, Layout, Source
from rules.slots import Metric, SlotArray

if TYPE_CHECKING:
    from rules.fleet import Fleet

_MAGIC: Final = b"WDFLEET1"
_LENGTH: Final = struct.Struct("<I")


class SavedMetric(msgspec.Struct, array_like=True):
    name: str
    next: int
    end: int
    extent: int
    free: list[int]


class SavedSource(msgspec.Struct, array_like=True):
    name: str
    number: int
    last: float | None
    current: int | None  # schema of the current layout
    layouts: list[tuple[int, int]]  # schema, which of the distinct ones
    gone: list[tuple[int, int, float]]


class SavedDevice(msgspec.Struct, array_like=True):
    number: int
    labels: dict[str, str]
    row: int
    count: int
    refused: int
    sources: list[SavedSource]


class SavedLayout(msgspec.Struct, array_like=True):
    raw: list[tuple[str, dict[str, str]]]
    series: list[int]


class Head(msgspec.Struct):
    """Everything but the arrays, of which it says type, shape and place."""

    size: int
    late: int
    sources: int
    tracks: int
    births: int
    series_rows: list[dict[str, str]]
    device_rows: list[dict[str, str]]
    metrics: list[SavedMetric]
    layouts: list[SavedLayout]
    devices: list[SavedDevice]
    arrays: dict[str, tuple[str, int]]  # type, elements; in the order of the bytes
    swept: float | None = None  # when it was last swept, and with how many label sets in use: the next is due by these
    rows_in_use: int = 0
    lost: bool = False  # windows wait to be released


def dump(fleet: Fleet) -> bytes:
    """Return the state of a fleet."""
    fleet.settle()
    array, windows = fleet.array, fleet.windows
    arrays: dict[str, NDArray[Any]] = {
        name: getattr(array, name)[: array.size] for name in ("values", "times", "series", "devices")
    }
    arrays["births"] = array.order()
    arrays |= windows.saved(array.size)
    distinct = _Distinct()
    head = Head(
        size=array.size,
        late=fleet.late,
        sources=len(windows.sources),
        tracks=windows.tracks,
        births=windows.births,
        series_rows=fleet.series_table.rows,
        device_rows=fleet.device_table.rows,
        metrics=[SavedMetric(m.name, m.next, m.end, m.extent, m.free) for m in array.metrics.values()],
        layouts=distinct.layouts,
        devices=[_saved_device(device, distinct) for device in fleet.devices.values()],
        arrays={name: (values.dtype.str, values.size) for name, values in arrays.items()},
        swept=None if np.isinf(fleet.swept) else fleet.swept,
        rows_in_use=fleet.rows_in_use,
        lost=fleet.watching.lost,
    )
    text = msgspec.json.encode(head)
    parts = [_MAGIC, _LENGTH.pack(len(text)), text, *(np.ascontiguousarray(a).tobytes() for a in arrays.values())]
    crc = 0
    for part in parts:
        crc = zlib.crc32(part, crc)
    return b"".join((*parts, _LENGTH.pack(crc)))


class _Distinct:
    """The layouts that differ, in the order in which they are first met: most devices of a kind have the same."""

    def __init__(self) -> None:
        self.layouts: list[SavedLayout] = []
        self._by_id: dict[int, int] = {}
        self._by_content: dict[bytes, int] = {}

    def number(self, layout: Layout) -> int:
        """Return which of them a layout is; those that share their numbers are the same without a look."""
        known = self._by_id.get(id(layout.series))
        if known is None:
            saved = SavedLayout([(n, dict(own)) for n, own in layout.raw], layout.series.tolist())
            known = self._by_content.setdefault(msgspec.msgpack.encode(saved), len(self.layouts))
            if known == len(self.layouts):
                self.layouts.append(saved)
            self._by_id[id(layout.series)] = known
        return known


def _saved_device(device: Device, distinct: _Distinct) -> SavedDevice:
    sources = []
    for source in device.sources.values():
        chosen = []
        for schema, layout in source.layouts.items():
            chosen.append((schema, distinct.number(layout)))
        current = None if source.layout is None else source.layout.schema
        last = None if np.isinf(source.last) else source.last
        gone = [(series, slot, since) for series, (slot, since) in source.gone.items()]
        sources.append(SavedSource(source.name, source.number, last, current, chosen, gone))
    return SavedDevice(device.number, device.labels, device.row, device.count, device.refused, sources)


def restore(fleet: Fleet, data: bytes) -> None:
    """Give a fleet the state that was dumped; nothing changes if that cannot be.

    Raises:
        StateError: not a dump, damaged, or of another version.
    """
    head, arrays = _read(data)
    array = SlotArray()
    array.size = head.size
    for name in ("values", "times", "series", "devices", "births"):
        setattr(array, name, arrays[name])
    array.count = int((array.births >= 0).sum())
    strings = Strings()
    series_table, device_table = LabelTable(strings), LabelTable(strings)
    for row in head.series_rows:
        series_table.add(row)
    for row in head.device_rows:
        device_table.add(row)
    _restore_metrics(array, head, series_table)
    fleet.strings, fleet.series_table, fleet.device_table, fleet.array = strings, series_table, device_table, array
    fleet.late = head.late
    fleet.swept = -np.inf if head.swept is None else head.swept
    fleet.rows_in_use = head.rows_in_use
    fleet.watching.lost |= head.lost
    fleet.windows.array = array
    for device in fleet.devices.values():
        for source in device.sources.values():
            source.layout, source.closed = None, True
    fleet.windows.restored(arrays, head.tracks, head.births)
    fleet.windows.sources = [None] * head.sources
    _restore_devices(fleet, head)
    fleet.restarted()


def _read(data: bytes) -> tuple[Head, dict[str, NDArray[Any]]]:
    body = memoryview(data)[: -_LENGTH.size]
    start = len(_MAGIC) + _LENGTH.size
    if len(data) < start + _LENGTH.size or bytes(body[: len(_MAGIC)]) != _MAGIC:
        raise StateError("not the dump of a fleet, or of another version")
    if zlib.crc32(body) != _LENGTH.unpack(data[-_LENGTH.size :])[0]:
        raise StateError("the dump of the fleet is damaged")
    at = start + _LENGTH.unpack_from(data, len(_MAGIC))[0]
    try:
        head = msgspec.json.decode(body[start:at], type=Head)
    except msgspec.DecodeError as error:
        raise StateError(f"the head of the fleet's dump: {error}") from error
    arrays: dict[str, NDArray[Any]] = {}
    for name, (kind, count) in head.arrays.items():
        arrays[name] = np.frombuffer(body, np.dtype(kind), count, at).copy()
        at += arrays[name].nbytes
    return head, arrays


def _restore_metrics(array: SlotArray, head: Head, series_table: LabelTable) -> None:
    for saved in head.metrics:
        metric = array.metrics[saved.name] = Metric(saved.name)
        metric.next, metric.end, metric.extent, metric.free = saved.next, saved.end, saved.extent, saved.free
    live = np.flatnonzero(array.births >= 0)
    live = live[np.argsort(array.births[live], kind="stable")]
    names = [row.get("__name__", "") for row in series_table.rows]
    for slot, series in zip(live.tolist(), array.series[live].tolist(), strict=True):
        array.metrics[names[series]].added.append(slot)
    for metric in array.metrics.values():
        metric.live = len(metric.added)
        array.births[metric.added] = np.arange(metric.live)


def _restore_devices(fleet: Fleet, head: Head) -> None:
    shared = [np.array(saved.series, np.int32) for saved in head.layouts]
    fleet.devices.clear()
    fleet.fading.clear()
    fleet.customers.clear()
    for saved in head.devices:
        device = Device(saved.number, saved.labels, saved.row)
        device.count, device.refused = saved.count, saved.refused
        fleet.devices[saved.number] = device
        fleet.customers[saved.labels.get("customer", "")] += saved.count
        for kept in saved.sources:
            source = device.sources[kept.name] = Source(device, kept.name, kept.number)
            source.last = -np.inf if kept.last is None else kept.last
            if kept.gone:
                fleet.fading.add(source)
            source.gone = {series: (slot, since) for series, slot, since in kept.gone}
            fleet.windows.sources[kept.number] = source
            for schema, which in kept.layouts:
                source.layouts[schema] = Layout(source, schema, head.layouts[which].raw, shared[which])
            if kept.current is not None:
                source.layout = source.layouts[kept.current]
    _restore_slots(fleet)


def _restore_slots(fleet: Fleet) -> None:
    """Find the slots of the current layouts: by the source and the series of each slot in use."""
    owner = fleet.windows.source[: fleet.array.size]
    live = np.flatnonzero(fleet.array.births >= 0)
    by_source: dict[int, dict[int, int]] = {}
    series = fleet.array.series[live].tolist()
    for slot, number, which in zip(live.tolist(), owner[live].tolist(), series, strict=True):
        by_source.setdefault(number, {})[which] = slot
    for source in fleet.windows.sources:
        if source is not None and source.layout is not None:
            found = by_source.get(source.number, {})
            layout = source.layout
            layout.slots = np.array([found.get(which, 1) for which in layout.series.tolist()], np.int64)
            fleet.windows.arrange(source, layout)
