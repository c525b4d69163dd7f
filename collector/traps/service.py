"""Takes traps and informs: each becomes an event and a count of its device, and makes the poller look at once.

So a port that goes down is told by the trap and judged by the poll that follows it: one series, one incident. A trap
counts only with a community or user of the customer whose device has the address. A storm costs little: beyond the
limit of its device a trap is counted, and no more.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from agent import wire
from collector.config import Traps, address
from collector.observed import TRAPS, Observer, schema
from collector.snmp import oid
from collector.snmp.community import V3, identify
from collector.snmp.credential import Credential
from collector.snmp.device import SnmpDevice
from collector.snmp.errors import SnmpError
from collector.snmp.poller import Poller
from collector.snmp.text import text
from collector.snmp.usm import User
from collector.traps.message import Keys, Trap, read

MINUTE: Final = 60.0
FLUSH_SECONDS: Final = 2.0  # so that the nothing at which a count begins is seen by a tick of its own
RECEIVE_BUFFER: Final = 16 << 20
MOST_AT_ONCE: Final = 256
AGAIN_SECONDS: Final = 30.0
MOST_NAMES: Final = 50  # traps of a device that are counted by name
WORSE: Final = frozenset(
    (
        *("linkDown", "authenticationFailure", "upsTrapOnBattery", "upsOnBattery", "lowBattery"),
        *("bgpBackwardTransition", "ciscoEnvMonVoltageNotification", "ciscoEnvMonTemperatureNotification"),
        *("ciscoEnvMonFanNotification", "ciscoEnvMonRedundantSupplyNotification"),
        *("entSensorThresholdNotification", "jnxPowerSupplyFailure", "jnxFanFailure", "jnxOverTemperature"),
    )
)
# Whether a UPS runs on battery after a trap, and for how many seconds that holds: UPS-MIB sends it again each minute.
_BATTERY: Final = {
    "upsTrapOnBattery": (True, 180.0),
    "upsOnBattery": (True, 7 * 86_400.0),
    "powerRestored": (False, 0.0),
}
_FORCED_BUFFER: Final = 33
_IF_NAME: Final = oid.encode("1.3.6.1.2.1.31.1.1.1.1")
_IF_DESCR: Final = oid.encode("1.3.6.1.2.1.2.2.1.2")
_IF_INDEX: Final = oid.encode("1.3.6.1.2.1.2.2.1.1")
_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Sender:
    """A device that sends traps: how many of each, and how many were looked at within the minute."""

    device: SnmpDevice
    names: Counter[str] = field(default_factory=Counter)
    limited: int = 0
    window: float = 0.0
    taken: int = 0
    told: bool = False  # that it is limited
    written: float = 0.0
    dirty: bool = False
    battery: bool | None = None  # whether it runs on it, as its traps say
    battery_until: float = 0.0  # they say it again and again, until then


class TrapService:
    """Listens from `start` to `stop`.

    Attributes:
        received, strange, malformed: datagrams; strange ones come from no device of ours, or without its credentials.
    """

    def __init__(
        self,
        settings: Traps,
        poller: Poller,
        observer: Observer,
        *,
        clock: Callable[[], float],
    ) -> None:
        self.received = self.strange = self.malformed = 0
        self.senders: dict[int, Sender] = {}
        self._settings = settings
        self._poller = poller
        self._observer = observer
        self._clock = clock
        self._keys = Keys()
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def port(self) -> int:
        """The port it listens on; 0 if it does not."""
        return int(self._socket.getsockname()[1]) if self._socket else 0

    def start(self) -> None:
        """Listen, if an address is configured; one that cannot be used is told and left."""
        if not self._settings.listen:
            return
        host, port = address(self._settings.listen)
        made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            made.bind((host, port))
        except OSError as error:
            made.close()
            _LOG.error("no traps are taken: %s cannot be used (%s)", self._settings.listen, error.strerror)
            return
        made.setblocking(False)
        try:
            made.setsockopt(socket.SOL_SOCKET, _FORCED_BUFFER, RECEIVE_BUFFER)
        except OSError:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._socket = made
        loop = asyncio.get_running_loop()
        loop.add_reader(made.fileno(), self._readable, made)
        self._timer = loop.call_later(FLUSH_SECONDS, self._flush)

    def stop(self) -> None:
        """Cease."""
        if self._timer:
            self._timer.cancel()
        if self._socket:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _readable(self, made: socket.socket) -> None:
        for _ in range(MOST_AT_ONCE):
            try:
                data, source = made.recvfrom(65535)
            except BlockingIOError:
                return
            except OSError:
                continue
            reply = self.take(data, str(source[0]))
            if reply:
                try:
                    made.sendto(reply, source)
                except OSError as error:
                    _LOG.debug("an inform was not answered: %s", error)

    def take(self, data: bytes, source: str) -> bytes:
        """Take a datagram from an address, and return what to answer."""
        self.received += 1
        devices = self._poller.at(source)
        now = self._clock()
        try:
            version, _ = identify(data) if data[4:5] == b"\x03" or data[5:6] == b"\x03" else (0, 0)
            if version == V3:
                return self._secure(data, devices, now)
            trap = read(data)
        except SnmpError:
            self.malformed += 1
            return b""
        if trap.agent and trap.agent != source:
            devices = [*devices, *self._poller.at(trap.agent)]
        for device in devices:
            if any(one.secret == trap.community for one in self._fitting(device)):
                self._note(device, trap, now)
                return trap.reply
        self.strange += 1
        return b""

    def _secure(self, data: bytes, devices: list[SnmpDevice], now: float) -> bytes:
        for device in devices:
            users = [one.secret for one in self._fitting(device) if isinstance(one.secret, User)]
            try:
                trap, _ = self._keys.read(data, users, now)
            except SnmpError:
                continue
            self._note(device, trap, now)
            return b""
        self.strange += 1
        return b""

    def _fitting(self, device: SnmpDevice) -> list[Credential]:
        return self._poller.fitting(device)

    def _note(self, device: SnmpDevice, trap: Trap, now: float) -> None:
        sender = self.senders.get(device.id)
        if sender is None or sender.device is not device:
            sender = self.senders[device.id] = Sender(device)
        name = trap.name if trap.name in sender.names or len(sender.names) < MOST_NAMES else "other"
        if name not in sender.names:  # a count begins at nothing, else its first trap would be no increase
            sender.names[name] = 0
            self._write(device.id, sender, now)
        sender.names[name] += 1
        sender.dirty = True
        if trap.name in _BATTERY:
            sender.battery, lasts = _BATTERY[trap.name]
            sender.battery_until = now + lasts
        if now - sender.window >= MINUTE:
            sender.window, sender.taken, sender.told = now, 0, False
        sender.taken += 1
        if sender.taken > self._settings.most:
            sender.limited += 1
            if not sender.told:
                sender.told = True
                message = f"more than {self._settings.most} traps a minute: the others are only counted"
                self._observer.event(device.id, "check", "trap", "warning", message, {})
            return
        level = "warning" if trap.name in WORSE else "info"
        self._observer.event(device.id, "log", "trap", level, _words(trap), {"trap": trap.oid})
        self._poller.hurry(device.id)

    def _flush(self) -> None:
        """Write the counts that have changed, and the others now and then: a rate of nothing is known to be none."""
        now = self._clock()
        for number, sender in self.senders.items():
            if now - sender.written < (FLUSH_SECONDS if sender.dirty else AGAIN_SECONDS):
                continue
            if sender.battery and now > sender.battery_until:
                sender.battery = False
            self._write(number, sender, now)
            sender.dirty = False
        self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush)

    def _write(self, number: int, sender: Sender, now: float) -> None:
        names = sorted(sender.names)
        series = [wire.format_series("watchdesk_snmp_traps_total", {"trap": name}) for name in names]
        values = [float(sender.names[name]) for name in names]
        series.append("watchdesk_snmp_traps_limited_total")
        values.append(float(sender.limited))
        if sender.battery is not None:
            series.append("watchdesk_trap_on_battery")
            values.append(float(sender.battery))
        self._observer.rows(number, TRAPS, [(*schema(*series), np.array(values))], at=now, heard=sender.dirty)
        sender.written = now


def _words(trap: Trap) -> str:
    """Return a trap in words: its name, and the port that it speaks of."""
    port = ""
    for name, value in zip(trap.oids, trap.values, strict=True):
        if name.startswith((_IF_NAME, _IF_DESCR)):
            return f"{trap.name}: {text(value)}"
        if name.startswith(_IF_INDEX):
            port = f"ifIndex {text(value)}"
    return f"{trap.name}: {port}" if port else trap.name
