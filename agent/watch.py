"""What changes is told by the kernel and by systemd: files that become ready when something has happened.

While nothing happens this costs nothing; a look each second is left to what cannot be waited for. `look` takes what has
come, makes events of it, and says whether a reading should be taken at once.
"""

from __future__ import annotations

import _socket
import errno
import os
import select
import struct

from agent.events import Event
from agent.probes.filesystem import mounts
from agent.probes.host import read_attribute
from agent.units import UNWATCHED, Units

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator
    from typing import TypeVar

    from agent.events import Events
    from agent.probes.host import Host
    from agent.units import Change

    Opened = TypeVar("Opened")

NETLINK_ROUTE, NETLINK_KOBJECT_UEVENT = 0, 15
RTMGRP_LINK, UEVENT_KERNEL = 1, 1
RTM_NEWLINK, RTM_DELLINK = 16, 17
IFLA_IFNAME, IFLA_OPERSTATE = 3, 16
STATES = ("unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up")
VIRTUAL = ("veth", "cali", "tap", "vnet", "docker", "br-", "lo", "cni", "flannel")
SEVERITIES = ("emerg", "alert", "crit", "err", "warning")
LEVELS = {"emerg": "critical", "alert": "critical", "crit": "critical", "err": "error", "warning": "warning"}
MOST_RECORDS = 300  # of a file in one look; behind them is a flood, and what is in it is only counted
QUIET_BLOCK = ("loop", "ram", "zram", "dm-", "nbd", "fd")


class Kernel:
    """/dev/kmsg: what the kernel writes. Errors and worse are events; all from warnings on are counted."""

    __slots__ = ("counts", "file", "overrun")

    def __init__(self, path: str = "/dev/kmsg") -> None:
        self.file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self.file, 0, os.SEEK_END)  # what was before is no news
        self.counts = dict.fromkeys(SEVERITIES, 0)
        self.overrun = 0

    def records(self) -> Iterator[tuple[str, str]]:
        """Yield (severity, text) of what has come, from warnings on."""
        for _ in range(MOST_RECORDS):
            try:
                data = os.read(self.file, 8_192)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.EPIPE:  # it was overwritten before we came; reading goes on behind
                    self.overrun += 1
                    continue
                raise
            head, _, rest = data.partition(b";")
            number = head.partition(b",")[0]
            severity = int(number) & 7 if number.isdigit() else 7
            # What programs write into it (facility other than 0) is the journal's.
            if severity < len(SEVERITIES) and int(number) < 8:
                self.counts[SEVERITIES[severity]] += 1
                yield SEVERITIES[severity], rest.partition(b"\n")[0].decode("utf-8", "replace")
        os.lseek(self.file, 0, os.SEEK_END)
        self.overrun += 1


def open_netlink(family: int, groups: int) -> _socket.socket:
    """Return a netlink socket that hears these groups and is never waited for."""
    heard = _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, family)
    heard.setblocking(False)
    heard.bind((0, groups))
    return heard


def datagrams(heard: _socket.socket) -> Iterator[bytes]:
    """Yield what has come; only from the kernel, for other processes may send too."""
    for _ in range(MOST_RECORDS):
        try:
            data, address = heard.recvfrom(16_384)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno == errno.ENOBUFS:  # some were lost
                continue
            raise
        if address[0] == 0:
            yield data


def links(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield (interface, state) of a datagram of rtnetlink; the state is "gone" when it was removed."""
    at = 0
    while at + 32 <= len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        if length < 32 or at + length > len(data):
            return
        if kind in (RTM_NEWLINK, RTM_DELLINK):
            attributes = dict(_attributes(data[at + 32 : at + length]))
            name = attributes.get(IFLA_IFNAME, b"").rstrip(b"\0").decode("utf-8", "replace")
            state = attributes.get(IFLA_OPERSTATE, b"\0")[0]
            if kind == RTM_DELLINK:
                yield name, "gone"
            elif state < len(STATES):
                yield name, STATES[state]
        at += length + (-length % 4)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            return
        yield kind, data[at + 4 : at + length]
        at += length + (-length % 4)


def uevent(data: bytes) -> dict[str, str]:
    """Return the members of a datagram of the kernel's hot-plug events."""
    lines = data.decode("utf-8", "replace").split("\0")
    return dict(line.split("=", 1) for line in lines[1:] if "=" in line)


class Watch:
    """All that is waited for. What this system or these rights do not allow is left out, and named in `absent`."""

    __slots__ = ("_events", "_host", "_kernel", "_links", "_mounts", "_power", "_read_only", "_states", "_uevents",
                 "absent")  # fmt: skip

    def __init__(self, host: Host, events: Events, *, kmsg: str = "/dev/kmsg") -> None:
        self._host = host
        self._events = events
        self.absent: dict[str, str] = {}
        self._kernel = self._open("kernel", lambda: Kernel(kmsg)) if events.allows("kernel") else None
        self._links = self._open("links", lambda: open_netlink(NETLINK_ROUTE, RTMGRP_LINK))
        self._uevents = self._open("hotplug", lambda: open_netlink(NETLINK_KOBJECT_UEVENT, UEVENT_KERNEL))
        self._mounts = self._open("mounts", lambda: os.open(host.proc + "/self/mounts", os.O_RDONLY))
        self._states: dict[str, str] = {}
        self._read_only = self._now_read_only()
        self._power = self._supplies()

    def _open(self, name: str, opening: Callable[[], Opened]) -> Opened | None:
        try:
            return opening()
        except OSError as error:
            self.absent[name] = error.strerror or str(error)
            return None

    def files(self) -> list[tuple[int, int]]:
        """Return (file, events of poll) of what can be waited for."""
        found = []
        if self._kernel is not None:
            found.append((self._kernel.file, select.POLLIN))
        found += [(heard.fileno(), select.POLLIN) for heard in (self._links, self._uevents) if heard is not None]
        if self._mounts is not None:
            found.append((self._mounts, select.POLLPRI))
        units = self._host.memory.get("systemd")
        if isinstance(units, Units) and units.file >= 0:
            found.append((units.file, select.POLLIN))
        return found

    def look(self, ready: Container[int]) -> bool:
        """Take what has come in the files that are ready; return whether a reading should be taken at once."""
        changed = self._look_at_units()
        if self._links is not None and self._links.fileno() in ready:
            changed = self._look_at_links(self._links) or changed
        if self._uevents is not None and self._uevents.fileno() in ready:
            changed = self._look_at_uevents(self._uevents) or changed
        if self._kernel is not None and self._kernel.file in ready:
            changed = self._look_at_kernel(self._kernel) or changed
        if self._mounts in ready:
            changed = self.look_at_mounts() or changed
        return changed

    def _look_at_units(self) -> bool:
        units = self._host.memory.get("systemd")
        if not isinstance(units, Units):
            return False
        units.pump()
        changed = [self._unit_changed(change) for change in units.take_changes()]  # all of them make events
        return any(changed)

    def _unit_changed(self, change: Change) -> bool:
        if change.name.endswith(UNWATCHED):
            return False
        attributes = {"before": change.before, "after": change.after, "state": change.sub}
        if change.after == "failed":
            self._events.add(Event("unit", change.name, "error", f"{change.name} has failed", attributes))
            return True
        if change.sub == "auto-restart":
            text = f"{change.name} ended and is started again"
            self._events.add(Event("unit", change.name, "warning", text, attributes))
            return False  # a service that flaps must not set the pace; its restarts are counted
        if change.before == "failed" and change.after in ("active", "inactive"):
            self._events.add(Event("unit", change.name, "info", f"{change.name} is {change.after} again", attributes))
            return True
        return change.before == "active" and change.after == "inactive" and change.name.endswith(".service")

    def _look_at_links(self, heard: _socket.socket) -> bool:
        changed = False
        for data in datagrams(heard):
            for name, state in links(data):
                before = self._states.get(name)
                if state == before or not name or name.startswith(VIRTUAL):
                    continue
                if len(self._states) < 1_000:
                    self._states[name] = state
                if before is None and state in ("up", "unknown"):
                    continue  # it says so at each change of an address
                changed = True
                level = "info" if state == "up" else "warning"
                self._events.add(Event("hotplug", name, level, f"network link {name} is {state}", {"state": state}))
        return changed

    def _look_at_kernel(self, kernel: Kernel) -> bool:
        changed = False
        for severity, text in kernel.records():
            if severity == "warning":
                continue
            oom = "Out of memory" in text or "oom-kill" in text or "out of memory" in text
            source = "oom" if oom else text.split(" ", 1)[0].strip(":")[:40]
            self._events.add(Event("kernel", source, LEVELS[severity], text, {"severity": severity}))
            # A file system that goes read-only for its errors is no change of the table of mounts.
            changed = changed or oom or (" read-only" in text and self.look_at_mounts())
        return changed

    def _look_at_uevents(self, heard: _socket.socket) -> bool:
        changed = False
        for data in datagrams(heard):
            members = uevent(data)
            subsystem = members.get("SUBSYSTEM", "")
            if subsystem == "power_supply":
                changed = self._look_at_power() or changed
            else:
                self._plugged(members, subsystem)
        return changed

    def _plugged(self, members: dict[str, str], subsystem: str) -> None:
        action, kind = members.get("ACTION", ""), members.get("DEVTYPE", "")
        path = members.get("DEVPATH", "")
        name = path.rpartition("/")[2]
        is_device = (subsystem, kind) in (("usb", "usb_device"), ("block", "disk")) or subsystem == "thunderbolt"
        if not is_device or action not in ("add", "remove") or name.startswith(QUIET_BLOCK):
            return
        folder = self._host.sys + path
        words = [read_attribute(f"{folder}/{file}") for file in ("manufacturer", "product")]
        told = " ".join(word for word in words if word) or members.get("PRODUCT", name)
        text = f"{subsystem} device {'plugged in' if action == 'add' else 'removed'}: {told}"
        self._events.add(Event("hotplug", subsystem, "info", text, {"action": action, "device": name}))

    def _look_at_power(self) -> bool:
        before, self._power = self._power, self._supplies()
        for name, online in self._power.items():
            if before.get(name, online) != online:
                text = f"mains supply {name} is {'back' if online == '1' else 'lost'}"
                self._events.add(Event("hotplug", "power", "info" if online == "1" else "warning", text, {}))
        return before != self._power

    def _supplies(self) -> dict[str, str]:
        folder = self._host.sys + "/class/power_supply"
        try:
            names = os.listdir(folder)
        except OSError:
            return {}
        states = {name: read_attribute(f"{folder}/{name}/online") for name in names}
        return {name: state for name, state in states.items() if state is not None}

    def look_at_mounts(self) -> bool:
        """Whether a file system of a disk has become read-only or writable."""
        before, self._read_only = self._read_only, self._now_read_only()
        if before == self._read_only:
            return False
        for point, is_read_only in self._read_only.items():
            if is_read_only and before.get(point) is False:
                text = f"the file system at {point} has become read-only"
                self._events.add(Event("kernel", "filesystem", "error", text, {"mountpoint": point}))
        return any(before.get(point, state) != state for point, state in self._read_only.items())

    def _now_read_only(self) -> dict[str, bool]:
        try:
            table = mounts(self._host)
            return {point: "ro" in options for device, point, _, options in table if device.startswith("/dev/")}
        except OSError:
            return {}

    def readings(self) -> dict[str, float]:
        """Return how many messages of each severity the kernel has written since the start."""
        if self._kernel is None:
            return {}
        counts = self._kernel.counts.items()
        return {f'watchdesk_kernel_messages_total{{level="{name}"}}': float(count) for name, count in counts}

    def close(self) -> None:
        """Let go of the files."""
        for heard in (self._links, self._uevents):
            if heard is not None:
                heard.close()
        for file in (self._mounts, self._kernel.file if self._kernel is not None else None):
            if file is not None:
                os.close(file)
        self._mounts = self._kernel = self._links = self._uevents = None
