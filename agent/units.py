"""systemd's units: asked for once, then told by systemd itself as they change, so that nothing is asked again.

Root speaks with systemd directly, everybody else over the system bus. Nothing here waits: what has not come yet is
taken by a later `pump`.
"""

from __future__ import annotations

import time

from agent.dbus import NO_REPLY, RETURN, SIGNAL, Bus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.dbus import Message

PRIVATE = "/run/systemd/private"
SYSTEM = "/run/dbus/system_bus_socket"
SYSTEMD = "org.freedesktop.systemd1"
ROOT = "/org/freedesktop/systemd1"
MANAGER = SYSTEMD + ".Manager"
PROPERTIES = "org.freedesktop.DBus.Properties"
PREFIX = ROOT + "/unit/"
MATCH = "type='signal',sender='org.freedesktop.systemd1',"
MAX_UNITS = 4_000
MAX_ASKED = 1_000
RELIST = 60.0  # seconds between two lists at most
RECONNECT = 30.0
UNWATCHED = (".automount", ".device", ".mount", ".scope", ".slice", ".target")  # Debian's node_exporter


class Unit:
    """A unit as it is now; `type` is that of a service. What `told` holds is the probe's own."""

    __slots__ = ("active", "load", "numbers", "path", "sub", "told", "type")

    def __init__(self, path: str, load: str, active: str, sub: str) -> None:
        self.path = path
        self.load = load
        self.active = active
        self.sub = sub
        self.type = ""
        self.numbers: dict[str, float] = {}
        self.told: tuple[str, list[tuple[str, str]], str] | None = None


class Change:
    """A unit went from one state to another."""

    __slots__ = ("after", "before", "name", "sub")

    def __init__(self, name: str, before: str, after: str, sub: str) -> None:
        self.name = name
        self.before = before
        self.after = after
        self.sub = sub


# kind of unit → (interface, properties whose values are sent); Type is a text, the others numbers
WANTED = {
    "service": ("Service", ("Type", "NRestarts")),
    "timer": ("Timer", ("LastTriggerUSec",)),
    "socket": ("Socket", ("NAccepted", "NConnections", "NRefused")),
}


class Units:
    """The units of this machine, as far as they are known; `loaded` says that they have been told."""

    __slots__ = ("_addresses", "_asked", "_bus", "_list_at", "_listing", "_monotonic", "_retry_at", "_stale", "changes",
                 "loaded", "manager", "units")  # fmt: skip

    def __init__(
        self, root: str = "", addresses: tuple[str, ...] = (), monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._addresses = addresses or (root + PRIVATE, root + SYSTEM)
        self._monotonic = monotonic
        self._bus: Bus | None = None
        self._asked: dict[int, tuple[str, str]] = {}  # serial → (unit, property)
        self._listing = 0
        self._list_at = 0.0
        self._retry_at = 0.0
        self._stale = False
        self.units: dict[str, Unit] = {}
        self.manager: dict[str, str] = {}
        self.loaded = False
        self.changes: list[Change] = []

    @property
    def file(self) -> int:
        """What to wait for, -1 for nothing."""
        return self._bus.file if self._bus is not None else -1

    @property
    def complete(self) -> bool:
        """Whether all that was asked has been answered."""
        return self.loaded and not self._asked

    def pump(self) -> bool:
        """Take what systemd has said; return whether there is a systemd."""
        now = self._monotonic()
        if self._bus is None:
            if now < self._retry_at:
                return False
            self._retry_at = now + RECONNECT
            self._connect()
        try:
            if self._bus is not None:
                for message in self._bus.receive():
                    self._take(message)
                if self._stale and now >= self._list_at:
                    self._list()
                self._bus.flush()
        except OSError:
            self.close()
        return self._bus is not None

    def close(self) -> None:
        """Hang up; what was known is not known any more."""
        if self._bus is not None:
            self._bus.close()
        self._bus = None
        self._asked.clear()
        self.units = {}
        self.loaded = False

    def ask_state(self) -> None:
        """Ask for the state of the whole, which systemd does not tell of itself; the answer comes later."""
        if self._bus is not None and ("", "SystemState") not in self._asked.values():
            self._ask(ROOT, MANAGER, "SystemState", "")

    def _connect(self) -> None:
        for address in self._addresses:
            try:
                private = address.endswith("/private")
                bus = Bus(address, destination="" if private else SYSTEMD)
            except OSError:
                continue
            self._bus = bus
            if not private:
                bus.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello")
                for rule in (
                    f"{MATCH}interface='{MANAGER}'",
                    f"{MATCH}interface='{PROPERTIES}',path_namespace='{ROOT}/unit'",
                ):
                    bus.call("/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch", rule, flags=NO_REPLY)
            bus.call(ROOT, MANAGER, "Subscribe", flags=NO_REPLY)
            self._ask(ROOT, MANAGER, "Version", "")
            self.ask_state()
            self._list()
            return

    def _list(self) -> None:
        assert self._bus is not None  # noqa: S101 - for the type checker
        self._stale = False
        self._list_at = self._monotonic() + RELIST
        self._listing = self._bus.call(ROOT, MANAGER, "ListUnits")

    def _ask(self, path: str, interface: str, name: str, unit: str) -> None:
        assert self._bus is not None  # noqa: S101 - for the type checker
        self._asked[self._bus.call(path, PROPERTIES, "Get", interface, name)] = (unit, name)

    def _take(self, message: Message) -> None:
        if message.kind == SIGNAL:
            self._signal(message)
            return
        reply = message.fields.get("reply")
        if not isinstance(reply, int):
            return
        unit, name = self._asked.pop(reply, ("", ""))
        if message.kind != RETURN or not message.body:
            return
        if reply == self._listing:
            self._listed(message.body[0])
        elif name:
            self._told(unit, name, message.body[0])

    def _listed(self, listed: object) -> None:
        """Take the answer of ListUnits: (name, description, load, active, sub, …, path, …) of each."""
        if not isinstance(listed, list):
            return
        before, self.units = self.units, {}
        for entry in listed[:MAX_UNITS]:
            name, _, load, active, sub, _, path = entry[:7]
            unit = before.get(name)
            if unit is None:
                unit = Unit(path, load, active, sub)
                self.units[name] = unit
                self._ask_about(name, unit)
            else:
                self.units[name] = unit
                self._becomes(name, unit, active, sub)
                unit.load = load
        self.loaded = True

    def _ask_about(self, name: str, unit: Unit) -> None:
        wanted = WANTED.get(name.rpartition(".")[2])
        if wanted is not None and unit.load == "loaded":
            for prop in wanted[1]:
                self._ask(unit.path, f"{SYSTEMD}.{wanted[0]}", prop, name)

    def _told(self, name: str, prop: str, value: object) -> None:
        if not name:
            self.manager[prop] = str(value)
            return
        unit = self.units.get(name)
        if unit is None:
            return
        if prop == "ActiveState":
            self._becomes(name, unit, str(value), unit.sub)
        elif prop == "LoadState":
            unit.load = str(value)
            self._ask_about(name, unit)
        else:
            self._note(unit, prop, value)

    def _note(self, unit: Unit, prop: str, value: object) -> None:
        if prop == "Type":
            unit.type = str(value)
        elif isinstance(value, int | float):
            unit.numbers[prop] = float(value)

    def _signal(self, message: Message) -> None:
        member = message.fields.get("member")
        path = str(message.fields.get("path", ""))
        if member == "PropertiesChanged" and path.startswith(PREFIX) and len(message.body) >= 2:
            self._changed(unit_name(path), message.body[1])
        elif member == "UnitNew" and len(message.body) >= 2:
            self._new(str(message.body[0]), str(message.body[1]))
        elif member == "UnitRemoved" and message.body:
            self.units.pop(str(message.body[0]), None)
        elif member == "Reloading":
            self._stale = True

    def _new(self, name: str, path: str) -> None:
        """Take a unit that systemd has loaded; scopes of log-ins and mounts come and go all the time."""
        if name in self.units:
            return
        if len(self.units) >= MAX_UNITS or len(self._asked) >= MAX_ASKED:
            self._stale = True  # a list a minute is enough for a flood
            return
        self.units[name] = Unit(path, "", "inactive", "dead")
        for prop in ("LoadState", "ActiveState"):
            self._ask(path, SYSTEMD + ".Unit", prop, name)

    def _changed(self, name: str, values: object) -> None:
        unit = self.units.get(name)
        if not isinstance(values, dict):
            return
        if unit is None:
            self._stale = self._stale or not name.endswith(UNWATCHED)
            return
        kind = WANTED.get(name.rpartition(".")[2])
        for prop, value in values.items():
            if kind is not None and prop in kind[1]:
                self._note(unit, prop, value)
        active = values.get("ActiveState")
        if isinstance(active, str):
            self._becomes(name, unit, active, str(values.get("SubState", unit.sub)))

    def _becomes(self, name: str, unit: Unit, active: str, sub: str) -> None:
        before, unit.active, unit.sub = unit.active, active, sub
        if before != active and not name.endswith(UNWATCHED) and len(self.changes) < 1_000:
            self.changes.append(Change(name, before, active, sub))

    def take_changes(self) -> list[Change]:
        """Return what changed since the last time."""
        changes, self.changes = self.changes, []
        return changes


def unit_name(path: str) -> str:
    """Return the unit of an object path, whose other characters are _ and two hexadecimal digits."""
    first, *rest = path[len(PREFIX) :].split("_")
    out = first.encode()
    for part in rest:
        try:
            out += bytes((int(part[:2], 16),)) + part[2:].encode()
        except ValueError:
            out += b"_" + part.encode()
    return out.decode("utf-8", "replace")
