"""Traps and informs as they arrive: v1 (RFC 1157), v2c, and v3 as a trap's sender speaks it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from collector.snmp import ber, oid, pdu, usm
from collector.snmp.community import V1, V2C, V3
from collector.snmp.errors import Forged, Malformed, SnmpError
from collector.snmp.oid import Oid
from collector.snmp.pdu import Value
from collector.snmp.usm import User, Usm

TRAP_OID: Final = oid.encode("1.3.6.1.6.3.1.1.4.1.0")
_GENERIC: Final = oid.encode("1.3.6.1.6.3.1.1.5")
NAMES: Final = {
    "1.3.6.1.6.3.1.1.5.1": "coldStart",
    "1.3.6.1.6.3.1.1.5.2": "warmStart",
    "1.3.6.1.6.3.1.1.5.3": "linkDown",
    "1.3.6.1.6.3.1.1.5.4": "linkUp",
    "1.3.6.1.6.3.1.1.5.5": "authenticationFailure",
    "1.3.6.1.6.3.1.1.5.6": "egpNeighborLoss",
    "1.3.6.1.2.1.33.2.1": "upsTrapOnBattery",
    "1.3.6.1.2.1.33.2.3": "upsTrapAlarmEntryAdded",
    "1.3.6.1.2.1.33.2.4": "upsTrapAlarmEntryRemoved",
    "1.3.6.1.4.1.318.0.5": "upsOnBattery",
    "1.3.6.1.4.1.318.0.7": "lowBattery",
    "1.3.6.1.4.1.318.0.9": "powerRestored",
    "1.3.6.1.4.1.9.9.13.3.0.2": "ciscoEnvMonVoltageNotification",
    "1.3.6.1.4.1.9.9.13.3.0.3": "ciscoEnvMonTemperatureNotification",
    "1.3.6.1.4.1.9.9.13.3.0.4": "ciscoEnvMonFanNotification",
    "1.3.6.1.4.1.9.9.13.3.0.5": "ciscoEnvMonRedundantSupplyNotification",
    "1.3.6.1.4.1.9.9.91.2.0.1": "entSensorThresholdNotification",
    "1.3.6.1.4.1.2636.4.1.1": "jnxPowerSupplyFailure",
    "1.3.6.1.4.1.2636.4.1.2": "jnxFanFailure",
    "1.3.6.1.4.1.2636.4.1.3": "jnxOverTemperature",
    "1.3.6.1.2.1.47.2.0.1": "entConfigChange",
    "1.3.6.1.2.1.15.7.2": "bgpBackwardTransition",
    "1.3.6.1.2.1.17.0.1": "newRoot",
    "1.3.6.1.2.1.17.0.2": "topologyChange",
    "1.0.8802.1.1.2.0.0.1": "lldpRemTablesChange",
}


class Trap(NamedTuple):
    """What a device said.

    Attributes:
        oid: its trap's OID, in dots.
        agent: the address that a v1 trap gives for its device; empty for others.
        reply: the answer that an inform waits for; empty for a trap.
    """

    version: int
    community: bytes
    oid: str
    agent: str
    oids: list[bytes]
    values: list[Value]
    reply: bytes

    @property
    def name(self) -> str:
        """Its name, or its OID where it has none here."""
        return NAMES.get(self.oid, self.oid)


def read(data: bytes) -> Trap:
    """Return the trap of a v1 or v2c message.

    Raises:
        Malformed: it is none.
    """
    start, end = ber.expect(data, 0, len(data), ber.SEQUENCE)
    version, at = ber.read_integer(data, start, end)
    if version not in (V1, V2C):
        raise Malformed(f"version {version}")
    start_pdu, at = ber.expect(data, at, end, ber.OCTETS)
    community = data[start_pdu:at]
    if at < end and data[at] == pdu.TRAP_V1:
        return _first(data, at, end, community)
    found = pdu.decode(data, at, end)
    if found.kind == pdu.INFORM:
        body = bytes((pdu.RESPONSE,)) + data[at + 1 : end]
        reply = ber.tlv(ber.SEQUENCE, data[start:at] + body)
    elif found.kind == pdu.TRAP:
        reply = b""
    else:
        raise Malformed(f"a PDU of kind {found.kind:#04x} where a trap belongs")
    return Trap(version, community, _identity(found.oids, found.values), "", found.oids, found.values, reply)


def _identity(oids: list[bytes], values: list[Value]) -> str:
    for name, value in zip(oids, values, strict=True):
        if name == TRAP_OID and isinstance(value, Oid):
            return oid.decode(value)
    raise Malformed("a trap that does not say which")


def _first(data: bytes, at: int, end: int, community: bytes) -> Trap:
    """Return a trap of v1, with the OID that RFC 3584 gives it."""
    start, stop = ber.expect(data, at, end, pdu.TRAP_V1)
    if stop != end:
        raise Malformed("something behind the trap")
    first, at = ber.expect(data, start, end, ber.OID)
    enterprise = oid.decode(data[first:at])
    first, at = ber.expect(data, at, end, 0x40)
    agent = ".".join(map(str, data[first:at])) if at - first == 4 else ""
    generic, at = ber.read_integer(data, at, end)
    specific, at = ber.read_integer(data, at, end)
    _, at = ber.expect(data, at, end, 0x43)
    first, stop = ber.expect(data, at, end, ber.SEQUENCE)
    if stop != end:
        raise Malformed("something behind the variables")
    oids, values = pdu.decode_binds(data, first, end)
    name = f"{enterprise}.0.{specific}" if generic == 6 else f"{oid.decode(_GENERIC)}.{generic + 1}"
    return Trap(V1, community, name, agent, oids, values, b"")


class Keys:
    """Reads traps of v3: the sender is the authority, so the keys are those for its engine."""

    def __init__(self) -> None:
        self._known: dict[tuple[User, bytes], Usm] = {}

    def read(self, data: bytes, users: Iterable[User], now: float) -> tuple[Trap, User]:
        """Return the trap, and the user who sent it.

        Raises:
            Forged: no user's keys fit, it is a replay, or less protected than the user's traps are.
            Malformed: no trap of v3.
        """
        head = usm.header(data)
        name = head.user.decode("utf-8", "replace")
        for user in users:
            if user.name != name:
                continue
            speaker = self._known.get((user, head.engine))
            if speaker is None:
                speaker = Usm(user, 0)
                speaker.meet(head.engine)
            try:
                found = speaker.open(data, now)
            except (SnmpError, usm.Again):
                continue
            if len(self._known) > 10_000:
                self._known.clear()
            self._known[user, head.engine] = speaker
            if found.kind != pdu.TRAP:
                raise Malformed("a v3 message that is no trap; informs of v3 are not taken")
            return Trap(V3, b"", _identity(found.oids, found.values), "", found.oids, found.values, b""), user
        raise Forged("no user of ours sent this")
