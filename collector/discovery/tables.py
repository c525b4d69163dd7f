"""The tables that tell who is connected where: LLDP, CDP, forwarding (BRIDGE, Q-BRIDGE) and ARP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from collector.snmp import oid
from collector.snmp.errors import SnmpError
from collector.snmp.pdu import Value
from collector.snmp.plan import Plan, plan
from collector.snmp.text import mac, text

_LLDP: Final = "1.0.8802.1.1.2.1"
_COLUMNS: Final = {
    "if_mac": "1.3.6.1.2.1.2.2.1.6",
    "if_descr": "1.3.6.1.2.1.2.2.1.2",
    "if_name": "1.3.6.1.2.1.31.1.1.1.1",
    "bridge_port": "1.3.6.1.2.1.17.1.4.1.2",
    "fdb": "1.3.6.1.2.1.17.4.3.1.2",
    "vlan_fdb": "1.3.6.1.2.1.17.7.1.2.2.1.2",
    "arp": "1.3.6.1.2.1.4.22.1.2",
    "neighbours": "1.3.6.1.2.1.4.35.1.4",  # ipNetToPhysicalTable: IPv4 and IPv6
    "address": "1.3.6.1.2.1.4.20.1.1",
    "address_port": "1.3.6.1.2.1.4.34.1.3",  # ipAddressTable
    "next_hop": "1.3.6.1.2.1.4.21.1.7.0.0.0",  # the default route in RFC 1213's table, RFC 2096's and RFC 4292's
    "forward_hop": "1.3.6.1.2.1.4.24.4.1.4.0.0.0.0.0.0.0.0",
    "route_port": "1.3.6.1.2.1.4.24.7.1.7.1.4.0.0.0.0.0",
    "lldp_port": f"{_LLDP}.3.7.1.3",
    "lldp_port_descr": f"{_LLDP}.3.7.1.4",
    "lldp_chassis": f"{_LLDP}.4.1.1.5",
    "lldp_remote_port": f"{_LLDP}.4.1.1.7",
    "lldp_name": f"{_LLDP}.4.1.1.9",
    "cdp_address": "1.3.6.1.4.1.9.9.23.1.2.1.1.4",
    "cdp_name": "1.3.6.1.4.1.9.9.23.1.2.1.1.6",
    "cdp_remote_port": "1.3.6.1.4.1.9.9.23.1.2.1.1.7",
}
_OWN_CHASSIS: Final = oid.encode(f"{_LLDP}.3.2.0")
_BRIDGE: Final = oid.encode("1.3.6.1.2.1.17.1.1.0")
PLAN: Final[Plan] = plan([_OWN_CHASSIS, _BRIDGE], [oid.encode(name) for name in _COLUMNS.values()])

Row = tuple[tuple[int, ...], Value]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Who is at the other end of a port, by its own words; what it does not say is empty."""

    port: str
    how: str  # lldp or cdp
    mac: str = ""
    name: str = ""
    address: str = ""
    remote_port: str = ""


@dataclass(frozen=True, slots=True)
class Tables:
    """What one device knows of its surroundings; MAC addresses as `text.mac` writes them."""

    macs: frozenset[str] = frozenset()
    ports: dict[int, str] = field(default_factory=dict)  # ifIndex → name
    neighbours: tuple[Neighbour, ...] = ()
    learned: dict[str, str] = field(default_factory=dict)  # MAC → port
    arp: dict[str, str] = field(default_factory=dict)  # IP → MAC
    arp_ports: dict[str, str] = field(default_factory=dict)  # IP → port on which it is
    addresses: frozenset[str] = frozenset()  # its own
    gateways: tuple[str, ...] = ()  # the next hops of its default route


def read(scalars: dict[bytes, Value], names: Sequence[bytes], values: Sequence[Value]) -> Tables:
    """Return the tables in the variables of a walk by PLAN; rows that are not in order are left out."""
    rows: dict[str, list[Row]] = {name: [] for name in _COLUMNS}
    prefixes = {oid.encode(column): name for name, column in _COLUMNS.items()}
    lengths = sorted({len(prefix) for prefix in prefixes}, reverse=True)
    for name, value in zip(names, values, strict=True):
        for length in lengths:
            found = prefixes.get(name[:length])
            if found is not None:
                with suppress(SnmpError):
                    rows[found].append((oid.decode_parts(name[length:]), value))
                break
    ports = {index[0]: text(value) for index, value in [*rows["if_descr"], *rows["if_name"]] if len(index) == 1}
    macs = {mac(value) for _, value in rows["if_mac"] if isinstance(value, bytes)}
    macs |= {mac(value) for value in (scalars.get(_OWN_CHASSIS), scalars.get(_BRIDGE)) if isinstance(value, bytes)}
    neighbours = list(_arp(rows))
    return Tables(
        frozenset(macs - {"", "00:00:00:00:00:00"}),
        ports,
        (*_lldp(rows), *_cdp(rows, ports)),
        dict(_learned(rows, ports)),
        {address: hardware for address, hardware, _ in neighbours},
        {address: ports[port] for address, _, port in neighbours if port in ports},
        frozenset(_addresses(rows)),
        tuple(dict.fromkeys(_gateways(rows))),
    )


def _arp(rows: dict[str, list[Row]]) -> Iterator[tuple[str, str, int]]:
    """Yield IP address, MAC address and ifIndex of neighbours."""
    for index, value in rows["arp"]:
        if len(index) == 5 and isinstance(value, bytes) and mac(value):
            yield ".".join(map(str, index[1:])), mac(value), index[0]
    for index, value in rows["neighbours"]:
        address = _inet(index[1:])
        if address and isinstance(value, bytes) and mac(value):
            yield address, mac(value), index[0]


def _inet(index: tuple[int, ...]) -> str:
    """Return the IP address that an index is: InetAddressType, length, bytes (RFC 4001); empty if it is none."""
    if index[:2] not in ((1, 4), (2, 16)) or len(index) != 2 + index[1] or max(index) > 255:
        return ""
    return str(ip_address(bytes(index[2:])))


def _addresses(rows: dict[str, list[Row]]) -> Iterator[str]:
    """Yield the device's own addresses, those of loopback left out: many devices have them."""
    listed = [".".join(map(str, index)) for index, _ in rows["address"] if len(index) == 4 and max(index) < 256]
    for address in [*listed, *(_inet(index) for index, _ in rows["address_port"])]:
        if address and not ip_address(address).is_loopback and not ip_address(address).is_unspecified:
            yield address


def _gateways(rows: dict[str, list[Row]]) -> Iterator[str]:
    hops = [value for name in ("next_hop", "forward_hop") for _, value in rows[name]]
    for value in hops:
        if isinstance(value, bytes) and len(value) == 4 and any(value):
            yield ".".join(map(str, value))
    for index, _ in rows["route_port"]:
        address = _inet(index[-6:]) if len(index) >= 6 else ""
        if address and address != "0.0.0.0":  # noqa: S104 - "no next hop", and nothing listens there
            yield address


def _lldp(rows: dict[str, list[Row]]) -> Iterator[Neighbour]:
    local = {index[0]: text(value) for index, value in rows["lldp_port_descr"] if len(index) == 1}
    local |= {index[0]: text(value) for index, value in rows["lldp_port"] if len(index) == 1 and _is_text(value)}
    names, remote = dict(rows["lldp_name"]), dict(rows["lldp_remote_port"])
    for index, value in rows["lldp_chassis"]:
        if len(index) == 3:
            chassis = mac(value) if isinstance(value, bytes) else ""
            port = local.get(index[1], str(index[1]))
            yield Neighbour(port, "lldp", chassis, text(names.get(index)), "", text(remote.get(index)))


def _is_text(value: Value) -> bool:
    return isinstance(value, bytes) and value.isascii() and text(value).isprintable() and bool(text(value))


def _cdp(rows: dict[str, list[Row]], ports: dict[int, str]) -> Iterator[Neighbour]:
    addresses, remote = dict(rows["cdp_address"]), dict(rows["cdp_remote_port"])
    for index, value in rows["cdp_name"]:
        content = addresses.get(index)
        address = ".".join(map(str, content)) if isinstance(content, bytes) and len(content) == 4 else ""
        port = ports.get(index[0], str(index[0])) if index else ""
        yield Neighbour(port, "cdp", "", text(value), address, text(remote.get(index)))


def _learned(rows: dict[str, list[Row]], ports: dict[int, str]) -> Iterator[tuple[str, str]]:
    interfaces = {index[0]: value for index, value in rows["bridge_port"] if len(index) == 1}
    for index, value in [*rows["fdb"], *rows["vlan_fdb"]]:
        interface = interfaces.get(value) if isinstance(value, int) else None
        if isinstance(interface, int) and interface in ports and len(index) >= 6:
            yield mac(bytes(part & 255 for part in index[-6:])), ports[interface]
