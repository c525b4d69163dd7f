"""The fleet: every current series of every device in one array, and the windows that expressions look back on.

A device names its series once (`layout`), and after that sends numbers (`append`): a row is one scatter. Expressions
(rules.promql) read the array; samples that some expression looks back on are kept in rings (rules.windows).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol
from weakref import WeakSet, WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from rules import exposition, snapshot, sweeping
from rules.labels import NAME, LabelTable, Strings
from rules.layouts import Device, Layout, Numbers, Series, Source
from rules.rings import STALE, is_stale
from rules.slots import GONE, REFUSED, SlotArray, Values
from rules.watching import Watching
from rules.windows import Windows

LOOKBACK: Final = 300.0
DEVICE_SERIES: Final = 20_000
CUSTOMER_SERIES: Final = 1_000_000
_SWEEP: Final = 60_000.0
AGENT: Final = "agent"
_FEW_METRICS: Final = 4  # rows of so few, such as a rule's, leave the results on other metrics standing


class Follower(Protocol):
    """One who keeps what was evaluated for moments past."""

    def spoil(self, since: float) -> None:
        """Forget what was evaluated for this time (ms) and later."""


class Fleet:
    """The state of all devices. Those with a number below zero are rules: their NaN is a value.

    Args:
        device_limit, customer_limit: series that a device, and the devices of one customer (by their target label
            `customer`), may have; those beyond are not taken, and counted in `refused`.
        max_samples: the most that a window holds of one series.
        window_samples: room in a new window.
        keep_nan: NaN is a value, and only Prometheus' stale marker (`rules.rings.STALE`) means "no value now".
        keep_all: every sample of every series is kept, so that any expression may be asked of any moment.
        lookback: seconds for which a value is current.
    """

    def __init__(
        self,
        *,
        device_limit: int = DEVICE_SERIES,
        customer_limit: int = CUSTOMER_SERIES,
        max_samples: int = 100_000,
        window_samples: int = 16,
        keep_nan: bool = False,
        keep_all: bool = False,
        lookback: float = LOOKBACK,
    ) -> None:
        self.device_limit = device_limit
        self.customer_limit = customer_limit
        self.keep_nan = keep_nan
        self.keep_all = keep_all
        self.lookback = lookback * 1000
        self.strings = Strings()
        self.series_table = LabelTable(self.strings)
        self.device_table = LabelTable(self.strings)
        self.device_table.add({})  # row 0: no device, for series that rules record
        self.array = SlotArray()
        self.windows = Windows(self.array, initial=window_samples, limit=max_samples)
        self.watching = Watching(self)
        self.devices: dict[int, Device] = {}
        self.customers: Counter[str] = Counter()
        self.late = 0  # rows that came after a newer one and were dropped
        self.generation = 0  # changes when everything was replaced
        self.epoch = 0  # changes with everything that an expression may see
        self.dirty = np.inf  # the oldest time of what was appended since somebody last reset it
        self._series: dict[tuple[tuple[str, str], ...], int] = {}
        self._interned: dict[tuple[int, frozenset[str]], tuple[Series, Numbers]] = {}
        self.plans: WeakValueDictionary[Any, Any] = WeakValueDictionary()  # what expressions share
        self.followers: WeakSet[Follower] = WeakSet()
        self.swept = -np.inf  # when it last forgot what had vanished, in ms
        self.rows_in_use = 0  # of the label tables, when they were last compacted
        self.fading: set[Source] = set()  # sources with series that vanished
        self._recorded: dict[str, int] = {}
        self._records = 0

    # -- devices -------------------------------------------------------------------------------------------------

    def add_device(self, device: int, labels: Mapping[str, str]) -> None:
        """Add a device with these target labels, or change its target labels; its series keep their values."""
        row = self.device_table.add(labels)
        known = self.devices.get(device)
        if known is None:
            self.devices[device] = Device(device, dict(labels), row)
            return
        self.customers[known.labels.get("customer", "")] -= known.count
        known.labels, known.row = dict(labels), row
        self.customers[known.labels.get("customer", "")] += known.count
        for source in known.sources.values():
            self._relabel(source)
        self.epoch += 1
        self.dirty = -np.inf

    def remove_device(self, device: int) -> None:
        """Forget a device: its series and their windows are gone at once. An unknown device is no error."""
        known = self.devices.pop(device, None)
        if known is None:
            return
        self.windows.flush()
        for source in known.sources.values():
            slots = [slot for slot, _ in source.gone.values()]
            if source.layout is not None:
                slots += source.layout.slots[source.layout.slots != REFUSED].tolist()
            source.layout = None
            source.closed = True
            source.gone.clear()
            self.free(known, slots)
            self.windows.sources[source.number] = None
        self.epoch += 1
        self.dirty = -np.inf

    def layout(self, device: int, schema: int, series: Series, source: str = AGENT) -> Layout:
        """Return the layout of a device's rows; the same one for the same schema and source.

        `series` are (metric name, labels) for each column. A label that the device has as target label is renamed
        `exported_…`. Layouts of one source replace one another, those of different sources do not.

        Raises:
            KeyError: no such device.
        """
        owner = self.devices[device]
        sender = owner.sources.get(source)
        if sender is None:
            sender = owner.sources[source] = Source(owner, source, len(self.windows.sources))
            self.windows.sources.append(sender)
        layout = sender.layouts.get(schema)
        if layout is None:
            raw, numbers = self._intern(schema, series, frozenset(owner.labels))
            layout = sender.layouts[schema] = Layout(sender, schema, raw, numbers)
            names = frozenset(name for name, _ in raw)
            layout.names = names if len(names) <= _FEW_METRICS else None
        return layout

    def widen(self, layout: Layout, series: Series) -> None:
        """Add columns to a layout, at its end; rows have to bring them from now on."""
        source = layout.source
        targets = frozenset(source.device.labels)
        numbers = np.array([self.number(name, labels, targets) for name, labels in series], np.int32)
        layout.raw = [*layout.raw, *series]
        layout.series = np.concatenate((layout.series, numbers))
        names = (layout.names or frozenset()) | {name for name, _ in series}
        layout.names = names if len(names) <= _FEW_METRICS else None
        if layout is source.layout:
            self.windows.flush()
            slots = np.array([self._slot(source, number) for number in numbers.tolist()], np.int64)
            layout.slots = np.concatenate((layout.slots, slots))
            self.windows.own(slots[slots != REFUSED], source)
            self.watching.keep(layout, len(layout.series) - len(series))
            self.windows.arrange(source, layout)

    # -- samples -------------------------------------------------------------------------------------------------

    def append(self, layout: Layout, times: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        """Take rows of a device: values[rows, columns] at times[rows], ascending Unix seconds; NaN is no value now.

        A row that is not newer than the newest of its source is dropped and counted in `late`. The values of series
        that are looked back on are copied; the arrays may be used again.
        """
        source = layout.source
        first = float(times[0])
        orderly = len(times) == 1 or bool((times[1:] > times[:-1]).all())
        if layout is not source.layout or round(first * 1000) <= source.last or not orderly:
            self._append_with_care(layout, times, values)
            return
        row = values[-1]
        slots = layout.slots
        time = source.last = float(round(float(times[-1]) * 1000))
        array = self.array
        array.values[slots] = row
        array.times[slots] = time
        least = np.minimum.reduce(values, axis=None)
        if least != least:  # a NaN is in it, perhaps a value
            missing = is_stale if self.keep_nan or source.device.number < 0 else np.isnan
            array.times[slots[missing(row)]] = GONE
            if layout.columns is not None:
                values = np.where(missing(values), STALE, values)
        if layout.columns is not None:
            self.windows.note(layout, times, values.take(layout.columns, axis=1))
        if first < self.dirty:
            self.dirty = first
        self.touch(layout)

    def touch(self, layout: Layout) -> None:
        """Note that the values of a layout's series may have changed."""
        if layout.names is None:
            self.epoch += 1
        else:
            self.record(layout.names)

    def record(self, names: frozenset[str]) -> None:
        self._records += 1
        for name in names:
            self._recorded[name] = self._records

    def _append_with_care(self, layout: Layout, times: Values, values: Values) -> None:
        source = layout.source
        if source.closed:  # of a device that was removed, or from before a restore
            self.late += len(times)
            return
        order = np.argsort(times, kind="stable")
        rounded = np.rint(times[order] * 1000)
        fresh = rounded > np.maximum.accumulate(np.concatenate(([source.last], rounded[:-1])))
        self.late += len(times) - int(fresh.sum())
        order = order[fresh]
        if not len(order):
            return
        if layout is not source.layout:
            self.switch(layout, float(times[order[0]]) * 1000)
        self.append(layout, times[order], values[order])

    # -- slots ---------------------------------------------------------------------------------------------------

    def switch(self, layout: Layout, time: float) -> None:
        """Make this the current layout of its source; series that it lacks become stale."""
        source = layout.source
        self.windows.flush()
        former: dict[int, int] = {}
        if source.layout is not None:
            former = dict(zip(source.layout.series.tolist(), source.layout.slots.tolist(), strict=True))
        kept = [former.pop(series, REFUSED) for series in layout.series.tolist()]
        self._vanish(source, former, time)  # first, so that there is room for those that come
        slots = [
            self._slot(source, series) if slot == REFUSED else slot
            for series, slot in zip(layout.series.tolist(), kept, strict=True)
        ]
        layout.slots = np.array(slots, np.int64)
        source.layout = layout
        if slots != kept:
            self.windows.own(layout.slots[layout.slots != REFUSED], source)
            self.watching.keep(layout)
        self.windows.arrange(source, layout)

    def _slot(self, source: Source, series: int) -> int:
        gone = source.gone.pop(series, None)
        if gone is not None:
            return gone[0]
        device = source.device
        customer = device.labels.get("customer", "")
        if device.count >= self.device_limit or self.customers[customer] >= self.customer_limit:
            device.refused += 1
            return REFUSED
        device.count += 1
        self.customers[customer] += 1
        name = self.series_table.rows[series][NAME]
        return self.array.take(self.array.metric(name), series, device.row)

    def _vanish(self, source: Source, former: dict[int, int], time: float) -> None:
        lost = {series: slot for series, slot in former.items() if slot != REFUSED}
        if not lost:
            return
        slots = np.array(list(lost.values()), np.int64)
        self.array.times[slots] = GONE
        self.record(frozenset(self.series_table.rows[series][NAME] for series in lost))
        unkept = [slot for slot in lost.values() if not self.windows.track[slot]]
        self.free(source.device, unkept)
        source.gone.update((series, (slot, time)) for series, slot in lost.items() if self.windows.track[slot])
        if source.gone:
            self.fading.add(source)

    def free(self, device: Device, slots: Sequence[int]) -> None:
        """Free slots of a device, and their windows."""
        self.windows.drop(np.array(slots, np.int64))
        by_metric: dict[str, list[int]] = {}
        for slot in slots:
            name = self.series_table.rows[int(self.array.series[slot])][NAME]
            by_metric.setdefault(name, []).append(slot)
        for name, members in by_metric.items():
            self.array.give(self.array.metrics[name], members)
        device.count -= len(slots)
        self.customers[device.labels.get("customer", "")] -= len(slots)

    def _intern(self, schema: int, series: Series, targets: frozenset[str]) -> tuple[Series, Numbers]:
        known = self._interned.get((schema, targets))
        if known is None or (known[0] is not series and list(known[0]) != list(series)):
            numbers = np.array([self.number(name, labels, targets) for name, labels in series], np.int32)
            known = self._interned[schema, targets] = (series, numbers)
        return known

    def number(self, name: str, labels: Mapping[str, str], targets: Iterable[str] = ()) -> int:
        """Return the number of a series' own labels, clashes with target labels renamed as a scrape does."""
        own = {label: text for label, text in labels.items() if text}
        for label in sorted(own.keys() & targets):
            free = "exported_" + label
            while free in own or free in targets:
                free = "exported_" + free
            own[free] = own.pop(label)
        own[NAME] = name
        key = tuple(sorted(own.items()))
        number = self._series.get(key)
        if number is None:
            number = self._series[key] = self.series_table.add(own)
        return number

    def _relabel(self, source: Source) -> None:
        targets = frozenset(source.device.labels)
        for layout in source.layouts.values():
            _, layout.series = self._intern(layout.schema, layout.raw, targets)
        current = source.layout
        if current is None:
            return
        self.windows.flush()
        for slot, series in zip(current.slots.tolist(), current.series.tolist(), strict=True):
            if slot != REFUSED:
                self.array.devices[slot] = source.device.row
                metric = self.array.metrics[self.series_table.rows[series][NAME]]
                self.array.rename(metric, slot, series)
        self.free(source.device, [slot for slot, _ in source.gone.values()])
        source.gone.clear()
        self.watching.keep(current)
        self.windows.arrange(source, current)

    # -- saving --------------------------------------------------------------------------------------------------

    def dump(self) -> bytes:
        """Return the state: devices, series, values, windows."""
        return snapshot.dump(self)

    def restore(self, data: bytes) -> None:
        """Take over a state that was dumped, instead of this one; layouts have to be asked for again.

        Raises:
            StateError: not a dump, damaged, or of another version; nothing has changed.
        """
        snapshot.restore(self, data)

    def restarted(self) -> None:
        """Note that everything was replaced."""
        self._series = {tuple(sorted(row.items())): number for number, row in enumerate(self.series_table.rows)}
        self._interned.clear()
        self.generation += 1
        self.epoch += 1
        self.dirty = -np.inf
        self.watching.renew()

    # -- evaluation ----------------------------------------------------------------------------------------------

    def settle(self, now: float | None = None) -> None:
        """Write to the windows what was appended, before an expression is evaluated at `now` (ms).

        Once a minute, series that vanished are forgotten when no window holds them any more.
        """
        self.windows.flush()
        if now is not None and abs(now - self.swept) > _SWEEP:
            self.swept = now
            sweeping.sweep(self, now)
        if self.dirty < np.inf:
            for follower in self.followers:
                follower.spoil(np.rint(self.dirty * 1000))
            self.dirty = np.inf

    def stamp(self, metrics: frozenset[str] | None) -> int:
        """Return a number that changes when one of these metrics may have (None: any)."""
        if not self._recorded:
            return self.epoch
        if metrics is None:
            return self.epoch + self._records
        return self.epoch + max((self._recorded.get(name, 0) for name in metrics), default=0)

    # -- figures -------------------------------------------------------------------------------------------------

    @property
    def series(self) -> int:
        """Series that have a slot."""
        return self.array.count

    @property
    def refused(self) -> dict[int, int]:
        """Series that were not taken for a limit, by device: each time that they were sent anew."""
        return {number: device.refused for number, device in self.devices.items() if device.refused}

    @property
    def nbytes(self) -> int:
        """Memory of the array and the windows; labels and plans not counted."""
        return self.array.nbytes() + self.windows.nbytes()

    def exposition(self, match: Mapping[str, str] | None = None) -> Iterable[bytes]:
        """Yield every current series in Prometheus' text format, a block for each metric; `match` are target labels."""
        return exposition.write(self, match or {})
