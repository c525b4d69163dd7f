"""Object identifiers: as people write them (`1.3.6.1.2.1.1.3.0`) and as they travel (the content of a BER OID)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from collector.snmp.errors import Malformed

MAX_LENGTH: Final = 640  # bytes: 128 sub-identifiers of 5 bytes, the bound of SMIv2
MAX_PARTS: Final = 128
MAX_PART: Final = 2**32 - 1


class Oid(bytes):
    """The value of a variable that is an object identifier, encoded."""

    __slots__ = ()

    def __str__(self) -> str:
        return decode(self)


def parse(text: str) -> tuple[int, ...]:
    """Return the parts of a dotted OID; a leading dot is allowed.

    Raises:
        ValueError: not numbers with dots, or out of bounds.
    """
    parts = tuple(int(part) for part in text.strip().lstrip(".").split("."))
    if not 2 <= len(parts) <= MAX_PARTS or not all(0 <= part <= MAX_PART for part in parts):
        raise ValueError(f"{text!r} is no OID")
    if parts[0] > 2 or (parts[0] < 2 and parts[1] > 39):
        raise ValueError(f"{text!r} is no OID: it cannot begin with {parts[0]}.{parts[1]}")
    return parts


def encode(oid: str | Iterable[int]) -> bytes:
    """Return an OID as it travels.

    Raises:
        ValueError: it is none.
    """
    parts = parse(oid) if isinstance(oid, str) else tuple(oid)
    return encode_parts((parts[0] * 40 + parts[1], *parts[2:]))


def encode_parts(parts: Iterable[int]) -> bytes:
    """Return sub-identifiers as they travel: what an index adds to the OID of a column."""
    out = bytearray()
    for part in parts:
        if part < 128:
            out.append(part)
            continue
        group = [part & 0x7F]
        part >>= 7
        while part:
            group.append(part & 0x7F | 0x80)
            part >>= 7
        out += bytes(reversed(group))
    return bytes(out)


def decode_parts(content: bytes) -> tuple[int, ...]:
    """Return the sub-identifiers of (a piece of) an OID.

    Raises:
        Malformed: one of more than 32 bits, one that does not end, or too many.
    """
    parts: list[int] = []
    value = 0
    if len(content) > MAX_LENGTH:
        raise Malformed(f"an OID of {len(content)} bytes")
    for byte in content:
        value = value << 7 | byte & 0x7F
        if byte < 128:
            parts.append(value)
            value = 0
        elif value > MAX_PART >> 7:
            raise Malformed("a sub-identifier of more than 32 bits")
    if content and content[-1] >= 128:
        raise Malformed("an OID that does not end")
    return tuple(parts)


def decode(content: bytes) -> str:
    """Return a whole OID in dots.

    Raises:
        Malformed: it is none.
    """
    parts = decode_parts(content)
    if not parts:
        return "0.0"
    first = min(parts[0] // 40, 2)
    return ".".join(map(str, (first, parts[0] - 40 * first, *parts[1:])))


def increases(before: bytes, after: bytes, common: int = 0) -> bool:
    """Whether `after` comes behind `before` in the order of OIDs, which is not quite that of their bytes.

    Their first `common` bytes are known to be the same whole sub-identifiers.
    """
    if common:
        before, after = before[common:], after[common:]
    if after.startswith(before):
        return len(after) > len(before)
    at = 0
    for one, other in zip(before, after, strict=False):
        if one != other:
            break
        at += 1
    else:
        return False  # `after` is the beginning of `before`
    while at and before[at - 1] & 0x80:
        at -= 1
    return _part(before, at) < _part(after, at)


def _part(content: bytes, start: int) -> tuple[int, bytes]:
    """Return the sub-identifier at `start` in a form that compares as its number does."""
    end = start
    while end < len(content) - 1 and content[end] & 0x80:
        end += 1
    part = content[start : end + 1].lstrip(b"\x80")
    return len(part), part
