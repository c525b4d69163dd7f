"""Thresholds that differ by customer, class, site, role or device: a table, and the series that rules read.

    thresholds:
      disk_used_percent:
        - {severity: warning, value: 85, customer: acme}
        - {severity: warning, value: 70, customer: acme, class: server}
        - {severity: warning, value: 95, device: archive.hq.acme}

For each name and severity the most specific line that fits a device holds for it: one that names the device before
one that names a role, then site, class, customer; of two that name equally much, the one that names more besides. It
appears as `watchdesk_threshold{name="disk_used_percent",severity="warning"}` with the labels of the device, and rules
join it on `instance`. A device that no line fits has no such series.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

import msgspec
import numpy as np

from rules import document, fields
from rules.errors import StateError, TableError
from rules.fields import LABEL_NAME, Faults
from rules.fleet import Fleet

METRIC: Final = "watchdesk_threshold"
SOURCE: Final = "thresholds"
_AT_ONCE: Final = 500  # devices that are gone through in a tick
REFRESH: Final = 60.0  # seconds; well within the lookback, after which a value is no longer current

TARGETS: Final = {"customer": "customer", "class": "class", "site": "site", "role": "role", "device": "instance"}
_WEIGHTS: Final = {key: 1 << place for place, key in enumerate(TARGETS)}
_FILE: Final = frozenset({"thresholds"})
_LINE: Final = frozenset({"value", "severity", *TARGETS})

Key = tuple[str, str]  # name, severity


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table: what it names of a device, and the value that holds there."""

    name: str
    severity: str
    value: float
    fits: Mapping[str, str]
    line: int

    @property
    def weight(self) -> int:
        """How specific it is."""
        return sum(_WEIGHTS[key] for key in self.fits)

    def holds_for(self, labels: Mapping[str, str]) -> bool:
        """Whether it fits a device with these target labels."""
        return all(labels.get(TARGETS[key], "") == text for key, text in self.fits.items())


class Table:
    """The lines of a file; for each name and severity the most specific first."""

    def __init__(self, lines: list[Line]) -> None:
        self._lines: dict[Key, list[Line]] = {}
        for line in sorted(lines, key=lambda line: -line.weight):
            self._lines.setdefault((line.name, line.severity), []).append(line)

    def __iter__(self) -> Iterator[Line]:
        return (line for lines in self._lines.values() for line in lines)

    def of(self, labels: Mapping[str, str]) -> dict[Key, float]:
        """The thresholds of a device with these target labels."""
        fitting = ((key, next((x for x in lines if x.holds_for(labels)), None)) for key, lines in self._lines.items())
        return {key: line.value for key, line in fitting if line is not None}


def parse(text: str, file: str) -> Table:
    """The table of a file; TableError holds all that is wrong with it."""
    faults = Faults(file, TableError)
    root = fields.mapping(fields.document(text, faults), "the file", _FILE, faults)
    found: list[Line] = []
    named = root.get("thresholds")
    if named is not None and not isinstance(named, document.Mapping):
        faults.stop(named.line, "thresholds must be a mapping of names to lists")
    for name, node in named.items.items() if isinstance(named, document.Mapping) else ():
        if not LABEL_NAME.fullmatch(name):
            faults.add(node.line, f"invalid name of a threshold: {name[:200]!r}")
        found += (_line(name, item, faults) for item in fields.items(node, name, faults))
    _unlike(found, faults)
    faults.check()
    return Table(found)


def changed(lines: Iterable[Line], new: Line | None, old: Line) -> list[Line]:
    """Return the lines with `new` in the place of the one that is for the same devices as `old`, or without it."""
    kept = [line for line in lines if _identity(line) != _identity(old)]
    return kept if new is None else [*kept, new]


def dump(lines: Iterable[Line]) -> str:
    """Return the file that `parse` reads, a line for each line of the table."""
    text = ["thresholds:"]
    name = None
    for line in sorted(lines, key=lambda line: (line.name, line.severity, line.weight, sorted(line.fits.items()))):
        if line.name != name:
            name = line.name
            text.append(f"  {name}:")
        own = {"severity": line.severity, **line.fits}
        quoted = [f"{key}: {msgspec.json.encode(value).decode()}" for key, value in own.items() if value]
        text.append(f"    - {{{', '.join([f'value: {_number(line.value)}', *quoted])}}}")  # a JSON string is YAML
    return "\n".join(text) + "\n" if name else "thresholds: {}\n"


def _number(value: float) -> str:
    """A number as YAML has it."""
    if math.isinf(value):
        return ".inf" if value > 0 else "-.inf"
    return repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _identity(line: Line) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    return (line.name, line.severity, tuple(sorted(line.fits.items())))


def _line(name: str, node: document.Node, faults: Faults) -> Line:
    entries = fields.mapping(node, f"a line of {name}", _LINE, faults)
    if "value" not in entries and isinstance(node, document.Mapping):
        faults.add(node.line, f"a line of {name} must have a value")
    value = fields.number(entries.get("value"), "value", faults)
    if value != value:
        faults.add(node.line, "value must not be NaN")
    fits = {key: fields.string(entries[key], key, faults) for key in TARGETS if key in entries}
    for key, text in fits.items():
        if not text:
            faults.add(entries[key].line, f"{key} must not be empty")
    return Line(name, fields.string(entries.get("severity"), "severity", faults), value, fits, node.line)


def _unlike(lines: list[Line], faults: Faults) -> None:
    """No two lines may hold for the same devices with the same right."""
    seen: dict[tuple[str, str, tuple[tuple[str, str], ...]], int] = {}
    for line in lines:
        key = _identity(line)
        if key in seen:
            faults.add(line.line, f"the same devices have this threshold of {line.name} already at line {seen[key]}")
        seen.setdefault(key, line.line)


class SavedThresholds(msgspec.Struct, frozen=True):
    """What is still to be written, as it is dumped: devices to look at, and (when, device) of those that bear some."""

    waiting: list[int]
    written: list[tuple[float, int]]


class Thresholds:
    """Writes the thresholds of every device into the fleet: at once for one that joins or changes, else once a minute.

    After a new table devices are gone through some at a time, so that no tick waits for thousands of them; each keeps
    what it has until its turn.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._table = Table([])
        self._joined: dict[int, None] = {}
        self._waiting: dict[int, None] = {}
        self._written: deque[tuple[float, int]] = deque()  # the oldest first; a device may be there twice
        self._last: dict[int, float] = {}  # when each device that bears thresholds was last written

    def load(self, text: str, file: str) -> None:
        """Take a table in place of the former one; on TableError it stays."""
        self._table = parse(text, file)
        self._waiting |= dict.fromkeys(number for number in self._fleet.devices if number >= 0)

    def device(self, number: int) -> None:
        """Note that a device has joined or changed its labels."""
        self._joined[number] = None

    def tick(self, now: float) -> None:
        """Write what is due; call it before the engine's tick."""
        joined, self._joined = self._joined, {}
        for number in joined:
            self._waiting.pop(number, None)
            self._write(number, now)
        for number in list(islice(self._waiting, _AT_ONCE)):
            del self._waiting[number]
            self._write(number, now)
        for _ in range(_AT_ONCE):
            if not self._written or self._written[0][0] > now - REFRESH:
                break
            when, number = self._written.popleft()
            if self._last.get(number) == when:
                self._write(number, now)

    def dump(self) -> bytes:
        """What is still to be written."""
        written = [(when, number) for when, number in self._written if self._last.get(number) == when]
        return msgspec.msgpack.encode(SavedThresholds([*self._joined, *self._waiting], written))

    def restore(self, data: bytes) -> None:
        """Take over what was dumped, with the same table loaded; StateError if it cannot be read."""
        try:
            saved = msgspec.msgpack.decode(data, type=SavedThresholds)
        except msgspec.MsgspecError as error:
            raise StateError(f"the state of thresholds cannot be read: {error}") from None
        self._waiting = dict.fromkeys(saved.waiting)
        self._written = deque(saved.written)
        self._last = {number: when for when, number in saved.written}

    def _write(self, number: int, now: float) -> None:
        device = self._fleet.devices.get(number)
        if device is None:
            self._last.pop(number, None)
            return
        values = self._table.of(device.labels)
        if not values and number not in self._last:
            return
        # What it had and has no longer must be told once, as a series without a value.
        keys = sorted(values) or [("", "")]
        series = [(METRIC, {"name": name, "severity": severity}) for name, severity in keys]
        schema = zlib.crc32(repr(keys).encode("utf-8", "surrogatepass")) - (1 << 40)
        layout = self._fleet.layout(number, schema, series, source=SOURCE)
        self._fleet.append(layout, np.array([now]), np.array([[values.get(key, np.nan) for key in keys]]))
        if values:
            self._last[number] = now
            self._written.append((now, number))
        else:
            del self._last[number]


def counts(table: Table, devices: Mapping[str, Mapping[str, str]]) -> Counter[str]:
    """How many of some devices (instance to target labels) have a threshold of their own, by its name."""
    return Counter(name for labels in devices.values() for name, _ in table.of(labels))
