"""What the diagnoses of network gear find: functions from what a device told to a sentence and data."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from collector.diagnosis import ports
from collector.diagnosis.ports import Port
from collector.discovery.tables import PLAN as TABLES
from collector.discovery.tables import Neighbour, Tables
from collector.discovery.tables import read as read_tables
from collector.snmp import oid
from collector.snmp.byhand import tried
from collector.snmp.device import SnmpDevice
from collector.snmp.plan import Plan, plan
from collector.snmp.text import text
from collector.snmp.walk import Result

MOST: Final = 200  # things in an answer
_LOG: Final = {"severity": 3, "name": 4, "text": 5}  # of CISCO-SYSLOG-MIB's history
_LOG_PREFIX: Final = "1.3.6.1.4.1.9.9.41.1.2.3.1"
_LOG_PLAN: Final = plan([], [oid.encode(f"{_LOG_PREFIX}.{number}") for number in _LOG.values()])
_ROOM: Final = re.compile(
    r"temperature|humidity|component|fan|power|ups|sensor|battery|prtMarker|hrPrinter", re.IGNORECASE
)
_SERIES: Final = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")


@dataclass(frozen=True, slots=True)
class Found:
    """A readable sentence, and what it rests on."""

    finding: str
    data: dict[str, Any]


class NotFound(Exception):
    """There is nothing of the kind on this device; the message says so."""


@dataclass(frozen=True, slots=True)
class Gear:
    """How network gear is asked: `walk` by a plan; the devices of the same customer that are polled."""

    walk: Callable[[SnmpDevice, Plan], Awaitable[Result]]
    others: Callable[[SnmpDevice], list[SnmpDevice]]


async def interface(gear: Gear, device: SnmpDevice, port: str = "") -> Found:
    """Tell of one port, or of all that are not well."""
    every = await _ports(gear, device)
    if port:
        one = _named(every, port)
        return Found(one.described(), {"ports": [one.facts()]})
    unwell = [one for one in every if one.unwell]
    data = {"ports": [one.facts() for one in unwell[:MOST]], "all": len(every)}
    if not unwell:
        return Found(f"All {len(every)} ports are well", data)
    worst = max(unwell, key=lambda one: one.errors)
    return Found(f"{len(unwell)} of {len(every)} ports are not well; {worst.described()}", data)


async def neighbours(gear: Gear, device: SnmpDevice) -> Found:
    """Tell who says that it is connected."""
    found = (await _tables(gear, device)).neighbours
    data = {"neighbours": [_neighbour(one) for one in found[:MOST]]}
    if not found:
        raise NotFound("no neighbour tells of itself (LLDP, CDP)")
    said = "; ".join(f"{one.port}: {one.name or one.mac} {one.remote_port}".strip() for one in found[:5])
    return Found(f"{len(found)} neighbours: {said}", data)


async def port_clients(gear: Gear, device: SnmpDevice, port: str) -> Found:
    """Tell which machines were learned on a port."""
    found = await _tables(gear, device)
    macs = sorted(mac for mac, where in found.learned.items() if where.casefold() == port.casefold())
    addresses = {mac: address for address, mac in found.arp.items()}
    data = {"clients": [{"name": mac, "address": addresses.get(mac, "")} for mac in macs[:MOST]]}
    said = ", ".join(f"{mac} {addresses.get(mac, '')}".strip() for mac in macs[:5])
    return Found(f"{len(macs)} machines were learned on {port}" + (f": {said}" if said else ""), data)


async def mac(gear: Gear, device: SnmpDevice, mac: str) -> Found:
    """Tell on which port a hardware address was learned."""
    wanted = mac.casefold().replace("-", ":")
    where = (await _tables(gear, device)).learned.get(wanted)
    if where is None:
        raise NotFound(f"{wanted} was not learned on any port")
    return Found(f"{wanted} was learned on {where}", {"name": wanted, "port": where})


async def arp(gear: Gear, device: SnmpDevice, address: str = "") -> Found:
    """Tell which hardware address an IP address has, or all of them."""
    found = (await _tables(gear, device)).arp
    if address:
        if address not in found:
            raise NotFound(f"{address} is not in the ARP table")
        return Found(f"{address} is at {found[address]}", {"entries": [{"address": address, "mac": found[address]}]})
    twice = {one for one in found.values() if list(found.values()).count(one) > 1}
    data = {"entries": [{"address": one, "mac": where} for one, where in list(found.items())[:MOST]]}
    more = f"; {len(twice)} hardware addresses have more than one" if twice else ""
    return Found(f"{len(found)} IP addresses are known{more}", data)


async def environment(gear: Gear, device: SnmpDevice) -> Found:
    """Tell of temperatures, fans, power: all that the device's profile knows of its surroundings."""
    if device.compiled is None:
        raise NotFound("its kind is not known yet")
    told = tried(device.compiled.profile, await _walk(gear, device, device.compiled.plan))
    found = [match.groups() for match in map(_SERIES.fullmatch, told.series) if match and _ROOM.search(match[1])]
    if not found:
        raise NotFound("it tells nothing of its surroundings")
    readings = [{"metric": name, "labels": labels or "", "value": float(value)} for name, labels, value in found]
    ill = [one for one in readings if one["metric"] == "watchdesk_component_healthy" and one["value"] == 0]
    warm = [one for one in readings if "temperature" in str(one["metric"])]
    hottest = max(warm, key=lambda one: float(str(one["value"])), default=None)
    said = f"{len(ill)} components are not well: " + "; ".join(str(one["labels"]) for one in ill[:5]) if ill else ""
    heat = f"the warmest sensor reads {hottest['value']:g} °C ({hottest['labels']})" if hottest else ""
    words = "; ".join(part for part in (said, heat) if part) or f"{len(readings)} readings, no component is ill"
    return Found(words, {"readings": readings[:MOST]})


async def log(gear: Gear, device: SnmpDevice, count: int = 20) -> Found:
    """Tell the newest messages of the device's own log, where it can be read by SNMP."""
    result = await _walk(gear, device, _LOG_PLAN)
    rows: dict[tuple[int, ...], dict[str, Any]] = {}
    prefixes = {oid.encode(f"{_LOG_PREFIX}.{number}"): key for key, number in _LOG.items()}
    for name, value in zip(result.oids, result.values, strict=True):
        for prefix, key in prefixes.items():
            if name.startswith(prefix):
                row = rows.setdefault(oid.decode_parts(name[len(prefix) :]), {})
                row[key] = text(value) if isinstance(value, bytes) else value
    newest = [rows[index] for index in sorted(rows, reverse=True)[:count]]
    if not newest:
        raise NotFound("it keeps no log that can be read by SNMP")
    first = newest[0]
    return Found(
        f"The newest of {len(rows)} messages: {first.get('name', '')} {first.get('text', '')}", {"log": newest}
    )


async def link_ends(gear: Gear, device: SnmpDevice, port: str) -> Found:
    """Compare both ends of a link."""
    one = _named(await _ports(gear, device), port)
    neighbour = next((each for each in (await _tables(gear, device)).neighbours if each.port == one.name), None)
    if neighbour is None:
        raise NotFound(f"{one.described()}; nobody tells of itself at its other end (LLDP, CDP)")
    there = neighbour.name or neighbour.mac
    other_device = next((each for each in gear.others(device) if _is(each, neighbour)), None)
    if other_device is None:
        raise NotFound(f"{one.described()}; the other end is {there} {neighbour.remote_port}, which is not polled")
    other = ports.named(await _ports(gear, other_device), neighbour.remote_port)
    if other is None:
        raise NotFound(f"{one.described()}; {there} has no port {neighbour.remote_port!r}")
    here = device.polled.device.name
    wrong = ports.compared(here, one, other_device.polled.device.name, other)
    data = {"ends": [{"device": here, **one.facts()}, {"device": other_device.polled.device.name, **other.facts()}]}
    agree = f"Both ends agree: {one.described()}; {other.described()}"
    return Found("; ".join(wrong) if wrong else agree, data)


EXAMINATIONS: Final[dict[str, Callable[..., Awaitable[Found]]]] = {
    "snmp.interface": interface,
    "snmp.neighbours": neighbours,
    "snmp.port_clients": port_clients,
    "snmp.mac": mac,
    "snmp.arp": arp,
    "snmp.environment": environment,
    "snmp.log": log,
    "snmp.link_ends": link_ends,
}


async def _walk(gear: Gear, device: SnmpDevice, plan: Plan) -> Result:
    result = await gear.walk(device, plan)
    if result.error is not None:
        raise result.error
    return result


async def _ports(gear: Gear, device: SnmpDevice) -> list[Port]:
    result = await _walk(gear, device, ports.PLAN)
    return list(ports.read(result.oids, result.values).values())


async def _tables(gear: Gear, device: SnmpDevice) -> Tables:
    result = await _walk(gear, device, TABLES)
    return read_tables(result.scalars, result.oids, result.values)


def _named(every: list[Port], port: str) -> Port:
    found = ports.named(every, port)
    if found is None:
        raise NotFound(f"it has no port {port!r}")
    return found


def _neighbour(one: Neighbour) -> dict[str, str]:
    plain = {"port": one.port, "how": one.how, "mac": one.mac, "name": one.name}
    return {**plain, "address": one.address, "remote_port": one.remote_port}


def _is(device: SnmpDevice, neighbour: Neighbour) -> bool:
    """Whether a device is the one that a neighbour says to be: by its own name, the register's, or its address."""
    names = {device.name.casefold(), device.polled.device.name.casefold()} - {""}
    said = neighbour.name.casefold()
    return said in names or said.partition(".")[0] in names or neighbour.address in (device.address[0], "-")
