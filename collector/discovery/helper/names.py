"""What machines call themselves, in DHCP options (RFC 2132) and mDNS answers (RFC 6762); bounded, never an error."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

MOST_RECORDS: Final = 64
MOST_NAMES: Final = 8
MOST_LABELS: Final = 32
LONGEST: Final = 63
_ADDRESS_RECORDS: Final = (1, 28)  # A, AAAA
_SERVICE: Final = 12  # PTR


def clean(data: bytes) -> str:
    """Return a name in printable characters, bounded; what is not UTF-8 is read as Latin-1."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return "".join(c for c in text if c.isprintable()).strip()[:LONGEST]


def dhcp_options(data: bytes) -> dict[int, bytes]:
    """Return the options of a DHCP message, up to the first that is cut off."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        if at + 2 > len(data) or at + 2 + data[at + 1] > len(data):
            break
        found[data[at]] = data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]
    return found


def of_mdns(data: bytes) -> tuple[str, ...]:
    """Return the host names of an mDNS answer, and the services that it offers (`_ipp._tcp`)."""
    found: list[str] = []
    for kind, owner, _ in _records(data):
        labels = owner.split(".")
        if kind in _ADDRESS_RECORDS:
            name = owner
        elif kind == _SERVICE and len(labels) >= 2 and labels[-2].startswith("_") and not owner.startswith("_services"):
            name = ".".join(labels[-3:-1])
        else:
            continue
        if name and name not in found:
            found.append(name)
    return tuple(found[:MOST_NAMES])


def _records(data: bytes) -> Iterator[tuple[int, str, bytes]]:
    """Yield type, owner and content of the answers, authorities and additional records."""
    if len(data) < 12 or not data[2] & 0x80:  # a question shows nothing of who asks
        return
    questions, *counts = struct.unpack(">4H", data[4:12])
    at = 12
    for _ in range(min(questions, MOST_RECORDS)):
        _, at = _name(data, at)
        at += 4
    for _ in range(min(sum(counts), MOST_RECORDS)):
        owner, at = _name(data, at)
        if at + 10 > len(data):
            return
        kind, _, _, size = struct.unpack(">HHIH", data[at : at + 10])
        at += 10 + size
        if at > len(data):
            return
        yield kind, owner, data[at - size : at]


def _name(data: bytes, at: int) -> tuple[str, int]:
    """Return a name and the place behind it; a pointer may only lead back, so that none goes in a circle."""
    labels: list[str] = []
    behind, floor = 0, at
    for _ in range(MOST_LABELS):
        if at >= len(data):
            return "", len(data)
        size = data[at]
        if size >= 0xC0:
            if at + 2 > len(data):
                return "", len(data)
            behind = behind or at + 2
            at = struct.unpack(">H", data[at : at + 2])[0] & 0x3FFF
            if at >= floor:
                return "", behind
            floor = at
            continue
        if not size:
            return ".".join(labels), behind or at + 1
        if size > 63 or at + 1 + size > len(data):
            return "", len(data)
        labels.append(clean(data[at + 1 : at + 1 + size]))
        at += 1 + size
    return "", len(data)
