"""Recordings of devices: a line `OID|type|value` for each object, as snmpsim takes them and net-snmp's tools print."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from collector.snmp import oid
from collector.snmp.oid import Oid
from collector.snmp.pdu import Value
from collector.snmp.plan import Plan
from collector.snmp.walk import Result

Object = tuple[bytes, Value]
_INTEGERS: Final = frozenset(("2", "65", "66", "67", "70", "71"))
_ESCAPED: Final = re.compile(rb"\\x([0-9a-fA-F]{2})")


def read(content: bytes) -> list[Object]:
    """Return the objects of a recording in the order of their OIDs.

    Raises:
        ValueError: a line that is not of this form, with its number.
    """
    found: list[tuple[tuple[int, ...], Value]] = []
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip() or line.startswith(b"#"):
            continue
        try:
            name, kind, value = line.split(b"|", 2)
            found.append((oid.parse(name.decode()), _value(kind.decode(), value)))
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
    found.sort(key=lambda one: one[0])
    return [(oid.encode(parts), value) for parts, value in found]


def _value(kind: str, content: bytes) -> Value:
    tag, _, module = kind.partition(":")
    if module:
        content = _first(content)
    number = tag.rstrip("xe")
    if tag.endswith("x"):
        content = bytes.fromhex(content.decode())
    elif tag.endswith("e"):
        content = _ESCAPED.sub(lambda match: bytes((int(match[1], 16),)), content)
    if number in _INTEGERS:
        return int(content)
    if number == "6":
        return Oid(oid.encode(content.decode()))
    if number == "64" and not tag.endswith("x"):
        parts = content.split(b".")
        return bytes(int(part) for part in parts) if len(parts) == 4 and all(map(bytes.isdigit, parts)) else content
    if number in {"4", "64", "68"}:
        return content
    if number == "5":
        return None
    raise ValueError(f"{kind!r} is no type")


def _first(content: bytes) -> bytes:
    """Return the value with which one of snmpsim's variation modules begins: `min=1,max=2,initial=2`."""
    pairs = (pair.partition(b"=") for pair in content.split(b","))
    given = {name.strip(): value for name, _, value in pairs}
    return next((given[name] for name in (b"value", b"initial", b"min") if name in given), b"0")


def replay(objects: Sequence[Object], plan: Plan) -> Result:
    """Return what a poll of the recorded device by this plan gives."""
    result = Result()
    known = dict(objects)
    result.scalars = {name: known[name] for name in plan.scalars if known.get(name) is not None}
    for name, value in objects:
        if any(span.holds(name) for span in plan.spans):
            result.oids.append(name)
            result.values.append(value)
    return result
