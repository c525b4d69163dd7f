"""The few forms of BER (ITU-T X.690) that SNMP uses, bounded: every length is checked against what is there."""

from __future__ import annotations

from typing import Final

from collector.snmp.errors import Malformed

INTEGER: Final = 0x02
OCTETS: Final = 0x04
NULL: Final = 0x05
OID: Final = 0x06
SEQUENCE: Final = 0x30


def length(size: int) -> bytes:
    """Return the length field for a content of `size` bytes, below 16 MiB."""
    if size < 0x80:
        return bytes((size,))
    if size < 0x100:
        return bytes((0x81, size))
    if size < 0x10000:
        return bytes((0x82, size >> 8, size & 0xFF))
    return b"\x83" + size.to_bytes(3, "big")


def tlv(tag: int, content: bytes) -> bytes:
    """Return a content with its tag and length."""
    return bytes((tag,)) + length(len(content)) + content


def integer(value: int, tag: int = INTEGER) -> bytes:
    """Return an integer in as few bytes as it takes, signed."""
    content = value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)
    return bytes((tag, len(content))) + content


def read(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """Return (tag, start, stop) of the element at `at`; its content is `data[start:stop]`, and stop is at most `end`.

    Raises:
        Malformed: there is no whole element.
    """
    if at + 2 > end:
        raise Malformed("a message that ends too early")
    tag, size = data[at], data[at + 1]
    start = at + 2
    if size > 0x7F:
        count = size & 0x7F
        if not 0 < count <= 4 or start + count > end:
            raise Malformed("a length that is no length")
        size = int.from_bytes(data[start : start + count], "big")
        start += count
    if start + size > end:
        raise Malformed("a length beyond the end of the message")
    return tag, start, start + size


def expect(data: bytes, at: int, end: int, tag: int) -> tuple[int, int]:
    """Return (start, stop) of the element at `at`, which has this tag.

    Raises:
        Malformed: it has another, or is not whole.
    """
    found, start, stop = read(data, at, end)
    if found != tag:
        raise Malformed(f"tag {found:#04x} where {tag:#04x} belongs")
    return start, stop


def read_integer(data: bytes, at: int, end: int, *, most: int = 5) -> tuple[int, int]:
    """Return (value, where it ends) of the integer at `at`, of at most `most` bytes.

    Raises:
        Malformed: there is none.
    """
    start, stop = expect(data, at, end, INTEGER)
    if not 0 < stop - start <= most:
        raise Malformed(f"an integer of {stop - start} bytes")
    return int.from_bytes(data[start:stop], "big", signed=True), stop
