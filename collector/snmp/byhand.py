"""SNMP by hand: what the commands of `watchdesk snmp` do."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from typing import Final

from collector.snmp import finding, oid, pdu
from collector.snmp.channel import Channel, Speaker, ask
from collector.snmp.compiled import DESCR, OBJECT_ID, compiled
from collector.snmp.errors import ProfileError, SnmpError
from collector.snmp.oid import Oid, decode
from collector.snmp.pdu import GET, Missing, Value
from collector.snmp.plan import Plan, subtree
from collector.snmp.profile import Profile, Profiles
from collector.snmp.recording import read as read_file
from collector.snmp.recording import replay
from collector.snmp.service import resolve
from collector.snmp.shapes import Memory, Shapes
from collector.snmp.text import text
from collector.snmp.walk import Budget, Result
from collector.snmp.walk import walk as walk_device

_NAMES: Final = {
    **{
        name: f"1.3.6.1.2.1.1.{number}"
        for number, name in enumerate(
            ("sysDescr", "sysObjectID", "sysUpTime", "sysContact", "sysName", "sysLocation", "sysServices"), 1
        )
    },
    "system": "1.3.6.1.2.1.1",
    "ifTable": "1.3.6.1.2.1.2.2",
    "ifXTable": "1.3.6.1.2.1.31.1.1",
    "ifDescr": "1.3.6.1.2.1.2.2.1.2",
    "ifOperStatus": "1.3.6.1.2.1.2.2.1.8",
    "ifName": "1.3.6.1.2.1.31.1.1.1.1",
    "ifAlias": "1.3.6.1.2.1.31.1.1.1.18",
}
_PATIENT: Final = Budget(seconds=300.0, rows=1_000_000, size=64 << 20)


@dataclass(frozen=True, slots=True)
class Target:
    """A device that is asked by hand."""

    host: str
    port: int
    speaker: Speaker
    timeout: float


@dataclass(frozen=True, slots=True)
class Tried:
    """What a profile gives of a device: series with their values, in Prometheus' text format."""

    profile: str
    title: str
    series: list[str]
    problem: str = ""


@contextmanager
def _channel(target: Target) -> Iterator[Channel]:
    channel = Channel(time.monotonic, SystemRandom(), timeouts=(target.timeout,) * 3)
    channel.open()
    try:
        yield channel
    finally:
        channel.close()


async def _address(target: Target) -> tuple[str, int]:
    found = await resolve(target.host, target.port)
    if found is None:
        raise SnmpError(f"{target.host} is no host that is known here.")
    return found


def number(name: str) -> str:
    """Return the OID of a name (of those that everybody knows), or what is an OID already.

    Raises:
        SnmpError: it is neither.
    """
    first, dot, rest = name.strip().lstrip(".").partition(".")
    full = f"{_NAMES[first]}{dot}{rest}" if first in _NAMES else name
    try:
        oid.parse(full)
    except ValueError as error:
        raise SnmpError(f"{name!r} is no OID; names are {', '.join(_NAMES)}.") from error
    return full


async def get(target: Target, names: Sequence[str]) -> list[str]:
    """Return a line for each object.

    Raises:
        SnmpError: the device does not answer, or not with them.
    """
    address = await _address(target)
    with _channel(target) as channel:
        wanted = [oid.encode(number(name)) for name in names]
        answer = await ask(channel, address, target.speaker, GET, pdu.binds(wanted))
    if answer.status:
        status = pdu.STATUS[answer.status] if 0 < answer.status < len(pdu.STATUS) else str(answer.status)
        raise SnmpError(f"{target.host} answers {status}.")
    return [shown(name, value) for name, value in zip(answer.oids, answer.values, strict=True)]


async def walk(target: Target, below: str, *, recording: bool = False) -> tuple[list[str], str]:
    """Return a line for each object below an OID, and what went wrong."""
    address = await _address(target)
    start = number(below)
    with _channel(target) as channel:
        plan = Plan((), (subtree(start),))
        result = await walk_device(channel, address, target.speaker, plan, budget=_PATIENT)
    line = _recorded if recording else shown
    lines = [line(name, value) for name, value in zip(result.oids, result.values, strict=True)]
    return lines, f"{target.host}: {result.error}" if result.error else ""


def shown(name: bytes, value: Value) -> str:
    """Return an object as people read it."""
    if isinstance(value, Oid):
        return f"{decode(name)} = OID: {decode(value)}"
    if isinstance(value, bytes):
        plain = text(value)
        printable = value.rstrip(b"\0").isascii() and len(plain) >= len(value.rstrip(b"\0").strip())
        return f'{decode(name)} = STRING: "{plain}"' if printable else f"{decode(name)} = HEX: {value.hex(' ')}"
    return f"{decode(name)} = {value}"


def _recorded(name: bytes, value: Value) -> str:
    if isinstance(value, Oid):
        return f"{decode(name)}|6|{decode(value)}"
    if isinstance(value, bytes):
        return f"{decode(name)}|4x|{value.hex()}"
    if isinstance(value, Missing) or value is None:
        return f"{decode(name)}|5|"
    if isinstance(value, float):
        return f"{decode(name)}|4|{value}"
    return f"{decode(name)}|{2 if value < 2**31 else 70}|{value}"


async def test(targets: Sequence[tuple[str, Target]], profiles: Profiles) -> dict[str, str]:
    """Return facts about a device: the first of the targets that answers, or why none did."""
    facts: dict[str, str] = {}
    for name, target in targets:
        address = await _address(target)
        facts["address"] = f"{address[0]} port {address[1]}"
        with _channel(target) as channel:
            started = time.monotonic()
            try:
                system = await finding.identify(channel, address, target.speaker)
            except SnmpError as error:
                facts[f"credential {name}"] = str(error)
                await asyncio.sleep(finding.PAUSE if len(targets) > 1 else 0)
                continue
            took = time.monotonic() - started
            profile = profiles.match(system.object_id, system.descr)
            facts |= {f"credential {name}": "answers", "answers": f"in {1000 * took:.1f} ms"}
            facts |= {"sysName": system.name, "sysDescr": system.descr, "sysObjectID": system.object_id}
            facts |= {"profile": f"{profile.name} ({profile.title})"}
            return facts
    return facts


async def try_profile(target: Target, profiles: Profiles, name: str = "") -> Tried:
    """Poll a device once with all that its profile has."""
    address = await _address(target)
    with _channel(target) as channel:
        system = await finding.identify(channel, address, target.speaker)
        profile = profiles.get(name) if name else profiles.match(system.object_id, system.descr)
        ready = compiled(profile)
        result = await walk_device(channel, address, target.speaker, ready.plan, budget=_PATIENT)
    return tried(profile, result)


def read_recording(path: Path, profiles: Profiles, name: str = "") -> Tried:
    """Try a profile on a recording.

    Raises:
        ProfileError: the file is no recording.
    """
    try:
        objects = read_file(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ProfileError(f"{path} is no recording: {error}.") from error
    known = dict(objects)
    object_id, descr = known.get(OBJECT_ID), known.get(DESCR)
    which = decode(object_id) if isinstance(object_id, Oid) else ""
    profile = profiles.get(name) if name else profiles.match(which, text(descr))
    return tried(profile, replay(objects, compiled(profile).plan))


def _plain(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def tried(profile: Profile, result: Result) -> Tried:
    """Return what a profile gives of what a device told."""
    names = [*result.scalars, *result.oids]
    values = [*result.scalars.values(), *result.values]
    readings = Shapes().readings(Memory(), compiled(profile), names, values)
    numbers = readings.values(values)
    lines = [
        f"{series} {_plain(value)}"
        for series, value in zip(readings.series, numbers.tolist(), strict=True)
        if not math.isnan(value)
    ]
    return Tried(profile.name, profile.title, lines, str(result.error) if result.error else "")
