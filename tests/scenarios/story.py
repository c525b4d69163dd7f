"""Stories of faults, in simulated time, through the shipped rules and ticketing as the collector composes them.

    story = Story(OFFICE)
    story.at(60).dies("sw1", *HOSTS)
    story.at(900).lives("sw1", *HOSTS)
    story.ends(1500, ticket("DeviceDown", "sw1", state="resolved", members=48))

A story fails on a ticket that is missing or other than wanted, and on any ticket that was not wanted.
"""

from __future__ import annotations

import datetime
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import ClassVar

import msgspec
import numpy as np

from agent import wire
from agent.wire import Kind
from collector import alerts
from collector.facts import Facts
from collector.foreign.message import decode
from collector.log import Record, RecordKind
from collector.observed import REACH, epoch
from collector.register.book import load
from collector.state import State as Machine
from rules import packs
from ticketing.alert import Alert
from ticketing.database import connect
from ticketing.incident import Incident, State, TimelineEntry
from ticketing.maintenance import Window
from ticketing.maintenance import add as add_window
from ticketing.models import Base
from ticketing.rebuild import rebuild
from ticketing.scope import EVERYTHING
from ticketing.silences import Silence, matcher
from ticketing.silences import add as add_silence
from ticketing.store import Filter, Order, Store
from ticketing.work import Act

T = 1_760_000_400.0  # a Thursday, 09:00 UTC
POLLED = frozenset({"network", "ups", "printer"})
NORMAL = {"node_boot_time_seconds": T - 864_000.0}


@dataclass(frozen=True)
class Score:
    """How many tickets there should be at an end of a story, and how many there were."""

    causes: int
    tickets: int
    missed: int
    false: int


@dataclass(frozen=True)
class Wanted:
    """A ticket that should exist; what is None may be anything."""

    alertname: str
    device: str
    state: str | None = None
    priority: int | None = None
    members: int | None = None
    people: int | None = None
    severity: str | None = None
    flapping: bool | None = None
    count: int | None = None

    def faults(self, found: Incident) -> list[str]:
        seen = {
            "state": found.state.value,
            "priority": found.priority,
            "members": len(found.members),
            "people": found.people,
            "severity": found.severity.value,
            "flapping": found.flapping_since is not None,
            "count": found.count,
        }
        mine = ((name, getattr(self, name)) for name in seen)
        return [f"{name} {seen[name]}, wanted {want}" for name, want in mine if want is not None and seen[name] != want]


def ticket(alertname: str, device: str = "", **more: object) -> Wanted:
    """Return a wanted ticket; the device is "" for one of a site or of many devices."""
    return replace(Wanted(alertname, device), **more)  # type: ignore[arg-type]


def stories(module: str, names: Mapping[str, object]) -> list[Callable[[float | None], None]]:
    """Return the stories of a module: its functions that take the moment of a restart."""
    own = [one for one in names.values() if inspect.isfunction(one) and one.__module__ == module]
    return [one for one in own if list(inspect.signature(one).parameters) == ["restart"]]


@lru_cache(maxsize=1)
def shipped() -> dict[str, str]:
    return packs.load()


@dataclass
class Device:
    number: int
    name: str
    labels: dict[str, str]
    alive: bool = True
    pushes: bool = True
    values: dict[str, float] = field(default_factory=dict)

    @property
    def polled(self) -> bool:
        return self.labels["class"] in POLLED


class Story:
    """Devices of a register file, a state machine with the shipped rules, a store.

    Attributes:
        scores: of all ends of all stories of this process, for who measures them.
    """

    scores: ClassVar[list[Score]] = []

    def __init__(self, register: str, *, step: float = 15.0, own: str = "", restart: float | None = None) -> None:
        """`own` is a rule file of the provider; `restart` is when the collector dies and comes back."""
        self.book = load(register, "story.yml")
        self.step = step
        self.now = 0.0
        engine = connect("sqlite://")
        Base.metadata.create_all(engine)
        self.database = engine
        self.store = Store(engine)
        self.machine = Machine()
        self.files = {**shipped(), "own.yml": own} if own else shipped()
        self.devices: dict[str, Device] = {}
        self._number = 0
        self._moments: dict[float, list[Callable[[], None]]] = {}
        self._restart = restart
        self._snapshot = self.machine.dump()
        self._snapshot_at = 0.0
        self._log: list[Record] = []  # what came after the snapshot
        self._pending: list[Alert] = []
        self._values_at = 0.0
        self._begin()

    def _begin(self) -> None:
        self._record(RecordKind.START)
        self._record(RecordKind.RULES, json.dumps(self.files).encode())
        facts = {}
        for number, (instance, device) in enumerate(sorted(self.book.devices.items()), 1):
            job = "snmp" if device.klass in POLLED else "agent"
            labels = {**self.book.targets()[instance], "job": job}
            labels.setdefault("class", "server")
            self.devices[device.name] = Device(number, device.name, labels)
            facts[number] = device
            self._record(RecordKind.DEVICE, json.dumps(labels).encode(), number)
        told = Facts({**facts}, list(self.book.sites.values()), whole=True)
        self._record(RecordKind.FACTS, msgspec.json.encode(told))
        for played in self.devices.values():
            if not played.polled:
                played.values |= NORMAL
                self._hello(played)

    # What happens.

    def at(self, time: float) -> At:
        """What happens at a time, in seconds from the beginning."""
        return At(self, time)

    def every(self, seconds: float, first: float, last: float) -> Iterable[At]:
        """Return the times from the first to the last."""
        return [At(self, float(time)) for time in np.arange(first, last + 1e-6, seconds)]

    def do(self, time: float, action: Callable[[], None]) -> None:
        self._moments.setdefault(round(time / self.step) * self.step, []).append(action)

    def run(self, until: float) -> None:
        """Let time go on until then."""
        while self.now <= until + 1e-6:
            for action in self._moments.pop(self.now, ()):
                action()
            if self._restart is not None and self.now >= self._restart:
                self._restart = None
                self.restart()
            for device in self.devices.values():
                self._push(device)
            self._tick()
            self.now = round((self.now + self.step) / self.step) * self.step

    def ends(self, until: float, *wanted: Wanted) -> None:
        """Let time go on until then; these tickets must exist, and no other."""
        self.run(until)
        found = self.tickets()
        faults, tickets, missed = [], len(found), 0
        for want in wanted:
            fits = [one for one in found if (one.alertname, one.device) == (want.alertname, want.device)]
            best = min(fits, key=lambda one: len(want.faults(one)), default=None)
            if best is None:
                faults.append(f"missing: {want}")
                missed += 1
                continue
            faults += [f"{best.key}: {fault}" for fault in want.faults(best)]
            found.remove(best)
        faults += [f"surplus: {one.number} {one.key} {one.state} P{one.priority}" for one in found]
        self.scores.append(Score(len(wanted), tickets, missed, len(found)))
        assert not faults, "\n".join(["", *faults, "", *self.tell()])
        self._check_timelines()

    def tickets(self, *, children: bool = False, hidden: bool = False) -> list[Incident]:
        """Return the tickets as they are now."""
        wanted = Filter(states=frozenset(State), children=children, hidden=hidden)
        return list(self.store.incidents(EVERYTHING, wanted, order=Order.NEWEST, limit=1000).incidents)

    def tell(self) -> list[str]:
        """Return what was done to every incident, for whoever reads a failure."""
        lines = []
        for one in sorted(self.tickets(children=True, hidden=True), key=lambda one: one.id)[:60]:
            lines.append(f"{one.number} {one.key} {one.state} P{one.priority} parent {one.parent}")
            for entry in [entry for entry in self.timeline(one) if entry.action != "update"]:
                lines.append(f"   {entry.at - T:8.1f} {entry.action} {entry.reason} {entry.data.get('text', '')}")
        return lines

    def timeline(self, incident: Incident) -> list[TimelineEntry]:
        return self.store.timeline(EVERYTHING, incident.id) or []

    def child(self, alertname: str, device: str) -> Incident:
        """Return the one incident of an alert at a device, under a parent or not."""
        found = [one for one in self.tickets(children=True, hidden=True) if one.alertname == alertname]
        [one] = [one for one in found if one.device == device]
        return one

    def restart(self) -> None:
        """The collector dies, and comes back from its last snapshot and what the log holds behind it."""
        self.machine, self._pending, self._values_at = Machine(), [], 0.0
        self.machine.restore(self._snapshot)
        for record in self._log:
            committed = self._apply(record)
            assert not committed, "what was committed before the collector died has its effect again"
        self._record(RecordKind.START)

    def _check_timelines(self) -> None:
        for one in self.tickets(children=True, hidden=True):
            whole = self.store.incident(EVERYTHING, one.id)
            assert whole is not None
            assert msgspec.structs.replace(rebuild(self.timeline(one)), members=whole.members) == whole

    # Records.

    def _record(self, kind: RecordKind, body: bytes = b"", device: int = 0) -> None:
        self._number += 1
        record = Record(self._number, kind, device, T + self.now, 0.0, body)
        self._log.append(record)
        self._apply(record)

    def _apply(self, record: Record) -> list[int]:
        """Take a record in as the pipeline does; return the incidents that it changed."""
        if record.kind == RecordKind.TICK:
            # They come every second; a story leaves out those between its steps, and that is no pause of the collector.
            self.machine.now = record.received - 1.0
        self._pending += alerts.from_transitions(self.machine.apply(record))
        return self._commit(record) if record.kind == RecordKind.TICK else []

    def _commit(self, tick: Record) -> list[int]:
        changes, self._pending = self._pending, []
        if tick.received - self._values_at >= 15.0:
            self._values_at = tick.received
            changes += alerts.from_active(self.machine.engine.active(), tick.received)
        windows, self.machine.windows = self.machine.windows, []
        wake = self.store.next_wake()
        if not changes and not windows and (wake is None or wake > tick.received):
            return []
        return self.store.apply(
            changes,
            consumer="story",
            position=tick.number,
            now=tick.received,
            topology=self.machine.facts.topology,
            windows=windows,
        )

    def _tick(self) -> None:
        self._record(RecordKind.TICK)
        if self._restart is not None and self.now - self._snapshot_at >= 120.0:
            self._snapshot, self._snapshot_at, self._log = self.machine.dump(), self.now, []

    def _hello(self, device: Device) -> None:
        hello = {"version": "1", "os": "linux", "reason": "start", "interval": self.step}
        self._frame(device, Kind.HELLO, json.dumps(hello).encode(), 1)

    def _push(self, device: Device) -> None:
        if device.polled:
            failures = 0.0 if device.alive else device.values.get("failures", 0.0) + 1
            device.values["failures"] = failures
            read = {name: value for name, value in device.values.items() if name != "failures"}
            series = {"watchdesk_icmp_failures": failures, "up": float(device.alive)}
            if device.alive:
                series |= read
            self._rows(device, series, epoch(REACH, heard=device.alive))
        elif device.alive and device.pushes:
            self._rows(device, device.values, 1)

    def _rows(self, device: Device, series: dict[str, float], stamp: int) -> None:
        payload = wire.encode_schema(list(series))
        schema = wire.schema_id(payload)
        if schema not in self.machine.schemas:
            self._frame(device, Kind.SCHEMA, payload, stamp)
        rows = wire.encode_rows(schema, [T + self.now], [list(series.values())])
        self._frame(device, Kind.ROWS, rows, stamp)

    def _frame(self, device: Device, kind: int, payload: bytes, stamp: int) -> None:
        self._record(RecordKind.FRAME, wire.encode(kind, stamp, 0, payload), device.number)


@dataclass(frozen=True)
class At:
    """A moment of a story."""

    story: Story
    time: float

    def dies(self, *names: str) -> None:
        """Devices fall silent without a word."""
        self.story.do(self.time, lambda: self._alive(names, alive=False))

    def lives(self, *names: str) -> None:
        """Devices are back."""
        self.story.do(self.time, lambda: self._alive(names, alive=True))

    def boots(self, *names: str) -> None:
        """Devices are back, and have started anew."""

        def boot() -> None:
            for name in names:
                self.story.devices[name].values["node_boot_time_seconds"] = T + self.time - 20.0
            self._alive(names, alive=True)

        self.story.do(self.time, boot)

    def goodbye(self, reason: str, ttl: float, *names: str) -> None:
        """Agents say that they will be away, and are."""

        def leave() -> None:
            for name in names:
                device = self.story.devices[name]
                body = json.dumps({"reason": reason, "ttl": ttl}).encode()
                self.story._frame(device, Kind.GOODBYE, body, 1)
                device.alive = False

        self.story.do(self.time, leave)

    def reads(self, names: str | Iterable[str], **series: float) -> None:
        """Devices read these values from now on."""
        self.series(names, series)

    def series(self, names: str | Iterable[str], series: dict[str, float]) -> None:
        """Devices read these series, in Prometheus notation, from now on."""
        wanted = [names] if isinstance(names, str) else list(names)

        def read() -> None:
            for name in wanted:
                self.story.devices[name].values |= series

        self.story.do(self.time, read)

    def does(self, alertname: str, device: str, act: Act, actor: str = "erin") -> None:
        """A person does something to an incident."""

        def do() -> None:
            found = self.story.child(alertname, device)
            self.story.store.act(EVERYTHING, found.id, act, actor=actor, now=T + self.time)

        self.story.do(self.time, do)

    def maintains(self, seconds: float, *, device: str = "", site: str = "", rule: str = "") -> None:
        """A maintenance window of acme begins."""
        window = Window(0, "acme", T + self.time, seconds, site, device, rule, owner="erin")

        def add() -> None:
            with self.story.database.begin() as connection:
                add_window(connection, window)

        self.story.do(self.time, add)

    def silences(self, seconds: float, *matchers: str) -> None:
        """A silence begins."""
        found = tuple(matcher(text) for text in matchers)
        silence = Silence(0, "acme", found, T + self.time, T + self.time + seconds, owner="erin")

        def add() -> None:
            with self.story.database.begin() as connection:
                add_silence(connection, silence)

        self.story.do(self.time, add)

    def posts(self, labels: dict[str, str], *, ends: float | None = None) -> None:
        """A Prometheus of acme's hq sends an alert, which ends then (None: five minutes from now)."""

        def post() -> None:
            now = T + self.time
            body = [{"labels": labels, "annotations": {"summary": labels["alertname"]}}]
            if ends is not None:
                body[0]["endsAt"] = datetime.datetime.fromtimestamp(T + ends, datetime.UTC).isoformat()  # type: ignore[assignment]
            said = decode(json.dumps(body).encode(), "acme", "hq", now)
            self.story._record(RecordKind.ALERTS, msgspec.json.encode(said))

        self.story.do(self.time, post)

    def retires(self, name: str) -> None:
        """A device is taken out of the register."""

        def retire() -> None:
            device = self.story.devices.pop(name)
            self.story._record(RecordKind.DEVICE, b"null", device.number)
            self.story._record(RecordKind.FACTS, msgspec.json.encode(Facts({device.number: None})))

        self.story.do(self.time, retire)

    def restarts(self) -> None:
        """The collector dies and comes back."""
        self.story.do(self.time, self.story.restart)

    def _alive(self, names: Iterable[str], *, alive: bool) -> None:
        for name in names:
            device = self.story.devices[name]
            device.alive = alive
            if alive and not device.polled:
                self.story._hello(device)
