"""SNMP v1 and v2c messages: a version, a community, a PDU."""

from __future__ import annotations

from typing import Final

from collector.snmp import ber, pdu
from collector.snmp.errors import Forged, Malformed
from collector.snmp.pdu import Pdu

V1: Final = 0
V2C: Final = 1
V3: Final = 3


class Community:
    """Speaks v1 or v2c with one community."""

    __slots__ = ("_head", "community", "version")

    def __init__(self, community: bytes, version: int = V2C) -> None:
        self.community = community
        self.version = version
        self._head = b"\x02\x01" + bytes((version,)) + ber.tlv(ber.OCTETS, community)

    def pack(self, request: int, kind: int, first: int, second: int, bound: bytes, now: float) -> bytes:  # noqa: ARG002
        """Return a whole message; see `pdu.encode`."""
        message = self._head + pdu.encode(kind, request, first, second, bound)
        return b"\x30" + ber.length(len(message)) + message

    def open(self, data: bytes, now: float) -> Pdu:  # noqa: ARG002
        """Return the PDU of an answer.

        Raises:
            Malformed: no message of this version.
            Forged: of another version or community.
        """
        start, end = ber.expect(data, 0, len(data), ber.SEQUENCE)
        if not data.startswith(self._head, start):
            raise Forged("an answer of another version or community")
        return pdu.decode(data, start + len(self._head), end)


def identify(data: bytes) -> tuple[int, int]:
    """Return (version, request id or, of v3, message id) of a message, before anything of it is trusted.

    Raises:
        Malformed: it is none.
    """
    try:
        at = 2 if data[1] < 0x80 else 2 + (data[1] & 0x7F)
        if data[at + 2] < V3 and data[at + 4] < 0x80:  # the usual form of v1 and v2c
            version = data[at + 2]
            at += 5 + data[at + 4]
            at += 2 if data[at + 1] < 0x80 else 2 + (data[at + 1] & 0x7F)
            if data[at : at + 2] == b"\x02\x04" and at + 6 <= len(data):
                return version, int.from_bytes(data[at + 2 : at + 6], "big", signed=True)
    except IndexError:
        raise Malformed("a message that ends too early") from None
    start, end = ber.expect(data, 0, len(data), ber.SEQUENCE)
    version, at = ber.read_integer(data, start, end)
    if version == V3:
        at, _ = ber.expect(data, at, end, ber.SEQUENCE)
    elif version in (V1, V2C):
        _, at = ber.expect(data, at, end, ber.OCTETS)
        _, at, _ = ber.read(data, at, end)
    else:
        raise Malformed(f"a message of version {version}")
    return version, ber.read_integer(data, at, end)[0]
