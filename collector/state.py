"""The state machine behind the log: the same records give the same fleet, the same alerts, the same transitions.

It reads no clock and no database: time comes as TICK records, the register as DEVICE records, rules as RULES records.
"""

from __future__ import annotations

import hashlib
import logging
import zlib
from itertools import chain
from pathlib import Path
from typing import TypeAlias

import msgspec
import numpy as np

from agent import wire
from agent.wire import Kind
from collector.alerts import device_of
from collector.eventcounts import Dumped, EventCounts
from collector.facts import Facts, Known
from collector.foreign.message import Post
from collector.foreign.told import Foreign, Told
from collector.ingest.intake import Marks, is_new
from collector.ingest.messages import Goodbye, Hello, decode, decode_event
from collector.liveness import SERIES, Presence
from collector.log import Record, RecordKind
from collector.log.partitions import decode_ranges
from collector.measures import MEASURES
from collector.observed import alive, source_of
from collector.rows import frame_of, is_absent, samples_of
from rules.alerts import Transition
from rules.baseline import Baselines
from rules.content import content
from rules.engine import Engine
from rules.errors import RuleError, TableError
from rules.fleet import Fleet
from rules.layouts import Layout
from rules.promql import Query
from rules.sparse import append_sparse
from rules.thresholds import Thresholds
from ticketing.maintenance import GOODBYE, Window

Labels: TypeAlias = dict[str, str]
Series: TypeAlias = list[tuple[str, Labels]]

_LOG = logging.getLogger(__name__)

DEFAULT_INTERVAL = 10.0
AWAY_SECONDS = 3.0  # between ticks, which come every second: the collector itself was away
MAINTAINS = frozenset({"update", "restart"})  # the goodbyes that are maintenance
LONGEST_MAINTENANCE = 1800.0  # seconds that a goodbye holds back tickets at most
POLLED = "snmp"  # the job of devices that have no agent
WRITER_INTERVAL = 100.0  # of a device that remote writes tell of: silent after Prometheus' lookback of 5 minutes
_CRC_SIZE = 4
_SNAPSHOT_VERSION = 1
_EVENTS = "events"  # the source of the counts of a device's events
_OWN = "collector"  # the source of the series that the collector itself adds to a device


class _Snapshot(msgspec.Struct):
    """What is written to disk, so that a start need not read the whole log."""

    version: int
    position: int
    now: float
    devices: dict[int, Labels]
    hellos: dict[int, Hello]
    schemas: dict[int, str]
    marks: dict[int, Marks]
    presence: list[list[float | int | str]]
    rules: dict[str, str]
    engine: bytes
    events: list[Dumped] = []
    parts: dict[int, list[int]] = {}
    merged: dict[int, int] = {}
    tables: dict[str, str] = {}
    thresholds: bytes = b""
    baselines: bytes = b""
    facts: Facts = Facts()
    foreign: list[Told] = []


class State:
    """All that follows from the log up to `position`.

    Attributes:
        measures: what the pages read of every device, and the query for it.
        position: the number of the last record that was applied.
        devices: the target labels of each device.
        hellos: what each device's agent said of itself.
        layouts: those of the rows that devices sent, by device and schema.
        schemas: the payload of each schema that rows may name.
        marks: the frames that were taken of each device.
        merged: the record of each partition of the log from which on no tick has named it yet.
        parts: the schemas of each device's parts: what remote writes tell of it.
        facts: what the register knows around the devices.
        foreign: the alerts that others raise.
        windows: the maintenance windows that goodbyes opened, for whoever stores them to take.
        unknown_schemas: schemas that rows named and the log does not hold; agents must send them again.
        dropped: rows of such schemas.
    """

    def __init__(self) -> None:
        self.fleet = Fleet()
        self.engine = Engine(self.fleet)
        self.measures = [(measure, Query(self.fleet, measure.expr)) for measure in MEASURES]
        self.presence = Presence()
        self.events = EventCounts()
        self.position = 0
        self.devices: dict[int, Labels] = {}
        self.hellos: dict[int, Hello] = {}
        self.schemas: dict[int, bytes] = {}
        self.marks: dict[int, Marks] = {}
        self.merged: dict[int, int] = {}
        self.parts: dict[int, list[int]] = {}
        self.rules: dict[str, str] = {}
        self.tables: dict[str, str] = {}
        self.thresholds = Thresholds(self.fleet)
        self.baselines = Baselines(self.fleet)
        self.facts = Known()
        self.foreign = Foreign()
        self.windows: list[Window] = []
        self.unknown_schemas: set[int] = set()
        self.now = 0.0
        self.dropped = 0
        self._series: dict[int, Series] = {}
        self.layouts: dict[tuple[int, int], Layout] = {}
        self._part_layouts: dict[tuple[int, int], Layout] = {}
        self._own: dict[int, Layout] = {}

    def apply(self, record: Record) -> list[Transition]:
        """Take one record in, and return what it changed of the alerts."""
        self.position = record.number
        if record.kind == RecordKind.FRAME:
            self._frame(record)
        elif record.kind == RecordKind.TICK:
            self.merged.update({each.partition: each.end for each in decode_ranges(record.body)})
            return self._tick(record.received)
        elif record.kind == RecordKind.DEVICE:
            return self._device(record.device, msgspec.json.decode(record.body, type=Labels | None), record.received)
        elif record.kind == RecordKind.RULES:
            self.rules = msgspec.json.decode(record.body, type=dict[str, str])
            self.engine.load(self.rules)
            return self.engine.farewell(record.received)
        elif record.kind == RecordKind.TABLES:
            self._take_tables(msgspec.json.decode(record.body, type=dict[str, str]))
        elif record.kind == RecordKind.FACTS:
            self.facts.take(msgspec.json.decode(record.body, type=Facts))
        elif record.kind == RecordKind.ALERTS:
            post = msgspec.json.decode(record.body, type=Post)
            return self.foreign.take(post, record.received, self.facts.topology)
        elif record.kind == RecordKind.START:
            self._started(record.received)
        return []

    def _take_tables(self, texts: dict[str, str]) -> None:
        """Let tables hold; one that did not change goes on undisturbed."""
        for name, table in (("thresholds", self.thresholds), ("baselines", self.baselines)):
            if texts.get(name, "") != self.tables.get(name, ""):
                try:
                    table.load(texts.get(name, ""), name)
                except TableError as error:  # written by a version that knew more; the old one goes on
                    _LOG.error("%s not loaded: %s", name, error)
        self.tables = texts

    def _frame(self, record: Record) -> None:
        if record.device not in self.devices:
            return  # retired while its last batches were on their way
        body, device = record.body, record.device
        frame = frame_of(record)
        kind = frame.kind
        if kind == Kind.SCHEMA:
            payload = body[frame.start :]
            self.schemas[wire.schema_id(payload)] = payload
            return
        if not is_new(self.marks.setdefault(device, {}), frame):
            return  # taken before, by another process that receives
        if kind == Kind.GOODBYE:
            goodbye = decode(body[frame.start :], Goodbye)
            self.presence.goodbye(device, record.received, goodbye.reason, goodbye.ttl)
            self._maintain(device, goodbye, record.received)
            return
        if alive(frame.epoch):
            self.presence.heard(device, record.received)
        if kind == Kind.HELLO:
            self._hello(device, decode(body[frame.start :], Hello), record.received)
        elif kind == Kind.ROWS:
            self._rows(record, frame)
        elif kind == Kind.PART:
            self._part(record, frame)
        elif kind == Kind.EVENT:
            event = decode_event(body[frame.start :])
            self.events.count(device, (event.type, event.source, event.level))

    def _maintain(self, device: int, goodbye: Goodbye, now: float) -> None:
        """Note the maintenance window that an update or a restart is: what it stops is no fault."""
        seconds = min(goodbye.ttl, LONGEST_MAINTENANCE)
        if goodbye.reason not in MAINTAINS or seconds <= 0:
            return
        labels = self.devices[device]
        customer, site, name = labels.get("customer", ""), labels.get("site", ""), device_of(labels)
        window = Window(0, customer, now, seconds, site, name, owner=GOODBYE, comment=goodbye.reason, created_at=now)
        self.windows.append(window)

    def _rows(self, record: Record, frame: wire.Frame) -> None:
        samples = samples_of(record, frame)
        layout = self.layouts.get((record.device, samples.schema)) or self._layout(
            record.device, samples.schema, source_of(frame.epoch)
        )
        if layout is None:
            self.unknown_schemas.add(samples.schema)
            self.dropped += len(samples.times)
            return
        self.fleet.append(layout, samples.times, samples.values)

    def _layout(self, device: int, schema: int, source: str) -> Layout | None:
        payload = self.schemas.get(schema)
        if payload is None:
            return None
        series = self._series.get(schema)
        if series is None:
            series = self._series[schema] = wire.read_schema(payload)
        layout = self.layouts[device, schema] = self.fleet.layout(device, schema, series, source)
        return layout

    def _part(self, record: Record, frame: wire.Frame) -> None:
        """Take rows of a part: each is a source of its own, for its series have times of their own."""
        device, samples = record.device, samples_of(record, frame)
        key = device, samples.schema
        layout = self._part_layouts.get(key)
        if layout is None:
            payload = self.schemas.get(samples.schema)
            if payload is None:
                self.dropped += len(samples.times)
                return
            series, source = wire.read_schema(payload), f"part {samples.schema:016x}"
            layout = self._part_layouts[key] = self.fleet.layout(device, samples.schema, series, source)
            known = self.parts.setdefault(device, [])
            if samples.schema not in known:
                known.append(samples.schema)
            if device not in self.hellos:
                self.presence.interval(device, WRITER_INTERVAL)
        append_sparse(self.fleet, layout, samples.times, samples.values, is_absent(samples.values))

    def _hello(self, device: int, hello: Hello, now: float) -> None:
        self.hellos[device] = hello
        self.presence.interval(device, hello.interval)
        self._own[device] = self._own_layout(device)
        self.presence.tell(device)
        self._write_presence(now)

    def _own_layout(self, device: int) -> Layout:
        """Return the layout of what the collector itself says of a device: its liveness, and who its agent is."""
        series = SERIES[self._without_up(device) :]
        hello = self.hellos.get(device)
        if hello is not None:
            series.append(("watchdesk_agent_info", {"version": hello.version, "os": hello.os}))
        text = "\n".join(wire.format_series(name, labels) for name, labels in series)
        return self.fleet.layout(device, wire.schema_id(text.encode()), series, _OWN)

    def _device(self, device: int, labels: Labels | None, now: float) -> list[Transition]:
        if labels is None:
            return self._forget(device, now)
        self.devices[device] = labels
        self.fleet.add_device(device, labels)
        self._own[device] = self._own_layout(device)
        self.thresholds.device(device)
        self.presence.add(device, now, DEFAULT_INTERVAL)
        return []

    def _without_up(self, device: int) -> int:
        """Whether `up` is told by somebody else than the presence: of what is polled, it says how the poll went."""
        return int(self.devices[device].get("job") == POLLED)

    def _forget(self, device: int, now: float) -> list[Transition]:
        labels = self.devices.pop(device, None)
        if labels is None:
            return []
        self.facts.forget(device)
        self.presence.remove(device)
        self.events.forget(device)
        self.fleet.remove_device(device)
        self.hellos.pop(device, None)
        self.parts.pop(device, None)
        self._part_layouts = {key: layout for key, layout in self._part_layouts.items() if key[0] != device}
        self.marks.pop(device, None)
        self._own.pop(device)
        self.layouts = {key: layout for key, layout in self.layouts.items() if key[0] != device}
        return self.engine.forget({"instance": labels["instance"]}, now, "the device was retired")

    def _tick(self, now: float) -> list[Transition]:
        if now - self.now > AWAY_SECONDS:  # stopped, asleep, or its clock was set: nobody could have been heard
            self._started(now)
        self.now = now
        self._write_presence(now)
        self._write_events(now)
        self.thresholds.tick(now)
        self.baselines.tick(now)
        return [*self.foreign.tick(now), *self.engine.tick(now)]

    def _started(self, now: float) -> None:
        self.presence.started(now)
        self.foreign.started(now)

    def _write_events(self, now: float) -> None:
        for device, series, times, values in self.events.due(now):
            text = "\n".join(wire.format_series(name, labels) for name, labels in series)
            layout = self.fleet.layout(device, wire.schema_id(text.encode()), series, _EVENTS)
            self.fleet.append(layout, times, values)

    def _write_presence(self, now: float) -> None:
        times = np.array([now])
        for device, values in self.presence.due(now):
            info = np.ones((1, int(device in self.hellos)))
            values = values[:, self._without_up(device) :]
            self.fleet.append(self._own[device], times, np.concatenate((values, info), axis=1))

    def dump(self) -> bytearray:
        """Return the whole state, for `restore`; of a large fleet it has hundreds of megabytes, so it is not copied."""
        data = bytearray(_CRC_SIZE)
        msgspec.msgpack.Encoder().encode_into(self._snapshot(self.engine.dump()), data, _CRC_SIZE)
        data[:_CRC_SIZE] = zlib.crc32(memoryview(data)[_CRC_SIZE:]).to_bytes(_CRC_SIZE, "little")
        return data

    def digest(self) -> str:
        """Return the SHA-256 of what the state says, in hex: equal where the same log was applied."""
        parts = chain((msgspec.msgpack.encode(self._snapshot(b"")),), content(self.engine))
        found = hashlib.sha256()
        for part in parts:
            found.update(len(part).to_bytes(8, "little") + part)
        return found.hexdigest()

    def _snapshot(self, engine: bytes) -> _Snapshot:
        return _Snapshot(
            version=_SNAPSHOT_VERSION,
            position=self.position,
            now=self.now,
            devices=self.devices,
            hellos=self.hellos,
            schemas={schema: payload.decode() for schema, payload in self.schemas.items()},
            marks=self.marks,
            presence=self.presence.dump(),
            rules=self.rules,
            engine=engine,
            events=self.events.dump(),
            parts=self.parts,
            merged=self.merged,
            tables=self.tables,
            thresholds=self.thresholds.dump(),
            baselines=self.baselines.dump(),
            facts=self.facts.all(),
            foreign=self.foreign.dump(),
        )

    def restore(self, data: bytes | bytearray) -> None:
        """Take up a dumped state; only into a new object.

        Raises:
            ValueError: the data is damaged or of another version; the log must be read from its beginning.
        """
        view = memoryview(data)[_CRC_SIZE:]
        if zlib.crc32(view) != int.from_bytes(data[:_CRC_SIZE], "little"):
            raise ValueError("the snapshot is damaged")
        snapshot = msgspec.msgpack.decode(view, type=_Snapshot)
        if snapshot.version != _SNAPSHOT_VERSION:
            raise ValueError(f"the snapshot is of version {snapshot.version}")
        try:
            self.engine.load(snapshot.rules)
            self.engine.restore(snapshot.engine)
            self._take_tables(snapshot.tables)
            if snapshot.thresholds:
                self.thresholds.restore(snapshot.thresholds)
                self.baselines.restore(snapshot.baselines)
        except RuleError as error:
            raise ValueError(f"the rules of the snapshot are not usable: {error}") from error
        self.position, self.now, self.rules = snapshot.position, snapshot.now, snapshot.rules
        self.devices, self.hellos, self.marks = snapshot.devices, snapshot.hellos, snapshot.marks
        self.schemas = {schema: payload.encode() for schema, payload in snapshot.schemas.items()}
        self.presence.restore(snapshot.presence)
        self.events.restore(snapshot.events)
        self.parts = snapshot.parts
        self.merged = snapshot.merged
        self.facts.take(snapshot.facts)
        self.foreign.restore(snapshot.foreign)
        self._own = {device: self._own_layout(device) for device in self.devices}


def write_snapshot(path: Path, data: bytearray) -> None:
    """Put a snapshot in place whole."""
    temporary = path.with_suffix(".new")
    temporary.write_bytes(data)
    temporary.replace(path)
