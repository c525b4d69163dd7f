"""The index of a row: sub-identifiers behind the OID of a column, taken apart as its table says."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from collector.snmp import oid
from collector.snmp.text import text

Parts = Sequence[int]


def labels(spec: Sequence[str], content: bytes) -> dict[str, str] | None:
    """Return name → value for the parts of an index; None if it is not of this form."""
    parts = oid.decode_parts(content)
    found: dict[str, str] = {}
    at = 0
    for entry in spec:
        name, _, kind = entry.partition(":")
        taken = _take(kind or "integer", parts[at:])
        if taken is None:
            return None
        value, used = taken
        at += used
        if name != "_":
            found[name] = value
    return found if at == len(parts) else None


def _take(kind: str, parts: Parts) -> tuple[str, int] | None:
    """Return (value, parts used) of the next element of an index."""
    if not parts:
        return None
    if kind == "integer":
        return str(parts[0]), 1
    if kind == "rest":
        return ".".join(map(str, parts)), len(parts)
    if kind == "ip":
        return (".".join(map(str, parts[:4])), 4) if len(parts) >= 4 else None
    if kind == "mac":
        return (":".join(f"{part & 255:02x}" for part in parts[:6]), 6) if len(parts) >= 6 else None
    if kind == "text":  # a string to the end, without its length (IMPLIED)
        return _string(parts), len(parts)
    size = parts[1] if kind == "inet" and len(parts) > 1 else parts[0]
    start = 2 if kind == "inet" else 1
    content = parts[start : start + size]
    if len(content) != size:
        return None
    if kind == "inet":  # InetAddressType and InetAddress
        value = str(ip_address(bytes(part & 255 for part in content))) if size in (4, 16) else _string(content)
        return value, start + size
    return _string(content), start + size


def _string(parts: Parts) -> str:
    return text(bytes(part & 255 for part in parts))
