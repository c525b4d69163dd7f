"""Protocol data units (RFC 3416, RFC 1157): requests are made, answers are read.

An answer is two lists of one length, OIDs as they travelled and values; this is what most of a poll's time goes to.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

from collector.snmp import ber, oid
from collector.snmp.errors import Malformed
from collector.snmp.oid import Oid

GET: Final = 0xA0
GETNEXT: Final = 0xA1
RESPONSE: Final = 0xA2
TRAP_V1: Final = 0xA4
GETBULK: Final = 0xA5
INFORM: Final = 0xA6
TRAP: Final = 0xA7
REPORT: Final = 0xA8

TOO_BIG: Final = 1
NO_SUCH_NAME: Final = 2
GEN_ERR: Final = 5
STATUS: Final = (
    *("noError", "tooBig", "noSuchName", "badValue", "readOnly", "genErr", "noAccess", "wrongType", "wrongLength"),
    *("wrongEncoding", "wrongValue", "noCreation", "inconsistentValue", "resourceUnavailable", "commitFailed"),
    *("undoFailed", "authorizationError", "notWritable", "inconsistentName"),
)

MAX_BINDS: Final = 10_000  # of one message: more do not fit into a datagram
_UNSIGNED: Final = frozenset((0x41, 0x42, 0x43, 0x46, 0x47))  # Counter32, Gauge32, TimeTicks, Counter64, UInteger32
_USUAL: Final = struct.Struct(">2xi2xb2xb")
_OPAQUE_FLOAT: Final = b"\x9f\x78\x04"
_OPAQUE_DOUBLE: Final = b"\x9f\x79\x08"


class Missing:
    """Instead of a value: the device has none there. `END` ends a walk."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


NO_OBJECT: Final = Missing("noSuchObject")
NO_INSTANCE: Final = Missing("noSuchInstance")
END: Final = Missing("endOfMibView")
_NONE: Final = {0x05: None, 0x80: NO_OBJECT, 0x81: NO_INSTANCE, 0x82: END}

Value: TypeAlias = int | float | bytes | Missing | None


class Pdu(NamedTuple):
    """What was read. For an answer, `status` is its error and `at` the variable that caused it, from 1; 0 for none."""

    kind: int
    request: int
    status: int
    at: int
    oids: list[bytes]
    values: list[Value]


def binds(oids: Iterable[bytes]) -> bytes:
    """Return variable bindings that ask for these OIDs."""
    return b"".join([_bind(name, b"\x05\x00") for name in oids])


def _bind(name: bytes, value: bytes) -> bytes:
    body = b"\x06" + ber.length(len(name)) + name + value
    return b"\x30" + ber.length(len(body)) + body


def bindings(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return variable bindings of (OID, encoded value)."""
    return b"".join([_bind(name, value) for name, value in pairs])


def encode(kind: int, request: int, first: int, second: int, bound: bytes) -> bytes:
    """Return a PDU; `first` and `second` are error status and index, or non-repeaters and max-repetitions.

    `request` has at most 31 bits.
    """
    body = (
        b"\x02\x04"
        + request.to_bytes(4, "big")
        + ber.integer(first)
        + ber.integer(second)
        + b"\x30"
        + ber.length(len(bound))
        + bound
    )
    return bytes((kind,)) + ber.length(len(body)) + body


def decode(data: bytes, at: int, end: int) -> Pdu:
    """Return the PDU that fills `data[at:end]`.

    Raises:
        Malformed: there is none, or something follows it.
    """
    kind, at, stop = ber.read(data, at, end)
    if stop != end or not 0xA0 <= kind <= REPORT or kind == TRAP_V1:
        raise Malformed("no PDU that fills its message")
    if (
        data[at : at + 2] == b"\x02\x04"
        and data[at + 6 : at + 8] == b"\x02\x01" == data[at + 9 : at + 11]
        and at + 12 < end
    ):
        request, status, index = _USUAL.unpack_from(data, at)  # the form that nearly all answers have
        at += _USUAL.size
    else:
        request, at = ber.read_integer(data, at, end)
        status, at = ber.read_integer(data, at, end)
        index, at = ber.read_integer(data, at, end)
    start, stop = ber.expect(data, at, end, ber.SEQUENCE)
    if stop != end:
        raise Malformed("something behind the variables")
    oids, values = decode_binds(data, start, end)
    return Pdu(kind, request, status, index, oids, values)


def decode_binds(data: bytes, at: int, end: int) -> tuple[list[bytes], list[Value]]:
    """Return the OIDs and values of the variable bindings that fill `data[at:end]`.

    Each binding's length must be that of its name and its value, so none reaches beyond the end.

    Raises:
        Malformed: they do not fill it, or one is none.
    """
    oids: list[bytes] = []
    values: list[Value] = []
    add_oid, add_value, from_bytes, unsigned = oids.append, values.append, int.from_bytes, _UNSIGNED
    if end > len(data):
        raise Malformed("a length beyond the end of the message")
    try:
        while at < end:
            size = data[at + 1]
            if data[at] != 0x30:
                raise Malformed("a variable that is none")
            at += 2
            if size > 0x7F:
                at, size = _long(data, at, size)
            stop = at + size
            size = data[at + 1]
            if data[at] != 6:
                raise Malformed("a variable without a name")
            at += 2
            if size > 0x7F:
                at, size = _long(data, at, size)
                if size > oid.MAX_LENGTH:
                    raise Malformed(f"an OID of {size} bytes")
            value = at + size
            add_oid(data[at:value])
            tag, size = data[value], data[value + 1]
            value += 2
            if size > 0x7F:
                value, size = _long(data, value, size)
            at = value + size
            if at != stop:
                raise Malformed("a variable that does not fill its length")
            if tag in unsigned:
                add_value(data[value] if size == 1 else from_bytes(data[value:at], "big") if size < 10 else _bad(size))
            elif tag == 4 or tag == 0x40:
                add_value(data[value:at])
            elif tag == 2:
                add_value(from_bytes(data[value:at], "big", signed=True) if size < 9 else _bad(size))
            else:
                add_value(_rare(tag, data[value:at]))
    except IndexError:
        raise Malformed("a message that ends too early") from None
    if at != end:
        raise Malformed("variables that do not fill their length")
    if len(oids) > MAX_BINDS:
        raise Malformed(f"{len(oids)} variables in a message")
    return oids, values


def _bad(size: int) -> int:
    raise Malformed(f"a number of {size} bytes")


def _long(data: bytes, at: int, size: int) -> tuple[int, int]:
    """Return (where the content starts, its size) of a length field in the long form, read up to its first byte."""
    count = size & 0x7F
    if not 0 < count <= 4:
        raise Malformed("a length that is no length")
    return at + count, int.from_bytes(data[at : at + count], "big")


def _rare(tag: int, content: bytes) -> Value:
    if tag == 6:
        if len(content) > oid.MAX_LENGTH:
            raise Malformed(f"an OID of {len(content)} bytes")
        return Oid(content)
    if tag in _NONE:
        return _NONE[tag]
    if tag == 0x44:  # Opaque: net-snmp wraps floats in it
        for head, form in ((_OPAQUE_FLOAT, ">f"), (_OPAQUE_DOUBLE, ">d")):
            if content.startswith(head) and len(content) == len(head) + head[2]:
                return float(struct.unpack(form, content[len(head) :])[0])
        return content
    if tag == 0x45:  # NsapAddress, of SNMPv2 drafts
        return content
    raise Malformed(f"a value of the unknown type {tag:#04x}")
