"""A device that replays a recording over SNMP v1 and v2c, on a loopback address, and can be made to misbehave.

A recording is what snmpsim takes: a line `OID|tag|value` for each object, tag `4x` for a value in hex.
"""

from __future__ import annotations

import asyncio
import bisect
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, cast

from collector.snmp import ber, oid, pdu

FOLDER: Final = Path(__file__).parent / "recordings"
Binding = tuple[bytes, bytes]  # OID, encoded value
_INTEGERS: Final = {"2", "65", "66", "67", "70", "71"}


def value(tag: str, text: str) -> bytes:
    """Return the BER of a value as it stands in a recording."""
    number = tag.rstrip("x")
    if tag.endswith("x"):
        return ber.tlv(int(number), bytes.fromhex(text))
    if number in _INTEGERS:
        return ber.integer(int(text), int(number))
    if number == "6":
        return ber.tlv(6, oid.encode(text))
    if number == "64":
        return ber.tlv(64, bytes(map(int, text.split("."))))
    return ber.tlv(int(number), text.encode("latin-1"))


def recorded(text: str) -> dict[str, bytes]:
    """Return the objects of a recording: OID → encoded value."""
    objects: dict[str, bytes] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, tag, content = line.split("|", 2)
            objects[name.strip()] = value(tag, content)
    return objects


def recording(name: str) -> dict[str, bytes]:
    """Return the objects of one of the recordings that come with the tests."""
    return recorded((FOLDER / f"{name}.snmprec").read_text(encoding="latin-1"))


class Device(asyncio.DatagramProtocol):
    """Answers with its objects, which may be changed while it runs.

    Attributes:
        asked: requests so far.
        respond: replaces the making of an answer: (kind, request id, first, second, OIDs) → datagrams.
        largest: variables in an answer, at most.
    """

    def __init__(self, objects: dict[str, bytes], community: bytes = b"public") -> None:
        self.community = community
        self.asked: list[tuple[int, list[str]]] = []
        self.largest = 100
        self.silent = False
        self.respond: Callable[[Device, int, int, int, int, list[bytes]], Iterable[bytes]] = Device.honest
        self.version = 1
        self.last = ("", 0)
        self.change(objects)

    def change(self, objects: dict[str, bytes]) -> None:
        """Have these objects from now on."""
        ordered = sorted((oid.parse(name), content) for name, content in objects.items())
        self.keys = [key for key, _ in ordered]
        self.bindings: list[Binding] = [(oid.encode(key), content) for key, content in ordered]
        self.objects = dict(objects)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self.transport.get_extra_info("sockname")[:2]
        return str(host), int(port)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.last = addr
        start, end = ber.expect(data, 0, len(data), ber.SEQUENCE)
        self.version, at = ber.read_integer(data, start, end)
        first, at = ber.expect(data, at, end, ber.OCTETS)
        if self.silent or self.version > 1 or data[first:at] != self.community:
            return
        asked = pdu.decode(data, at, end)
        self.asked.append((asked.kind, [oid.decode(name) for name in asked.oids]))
        for answer in self.respond(self, asked.kind, asked.request, asked.status, asked.at, asked.oids):
            self.transport.sendto(answer, addr)

    def honest(self, kind: int, request: int, first: int, second: int, oids: list[bytes]) -> Iterator[bytes]:
        """Yield the answer that an agent in order gives."""
        found: list[Binding] = []
        for position, name in enumerate(oids):
            key = oid.parse(oid.decode(name)) if name else (0, 0)
            if kind == pdu.GET:
                at = bisect.bisect_left(self.keys, key)
                there = at < len(self.keys) and self.keys[at] == key
                missing = b"\x81\x00"
            else:
                at = bisect.bisect_right(self.keys, key)
                there = at < len(self.keys)
                missing = b"\x82\x00"
            if not there and self.version == 0:
                yield self.message(request, pdu.NO_SUCH_NAME, position + 1, [(name, b"\x05\x00") for name in oids])
                return
            if kind != pdu.GETBULK:
                found.append(self.bindings[at] if there else (name, missing))
                continue
            rows = self.bindings[at : at + min(second, self.largest)]
            found += rows if len(rows) == second or len(rows) == self.largest else [*rows, (name, missing)]
        yield self.message(request, 0, 0, found)

    def message(self, request: int, status: int, index: int, found: list[Binding]) -> bytes:
        """Return an answer."""
        body = pdu.encode(pdu.RESPONSE, request, status, index, pdu.bindings(found))
        return ber.tlv(ber.SEQUENCE, ber.integer(self.version) + ber.tlv(ber.OCTETS, self.community) + body)


@asynccontextmanager
async def device(
    objects: dict[str, bytes], *, host: str = "127.0.0.1", port: int = 0, community: bytes = b"public"
) -> AsyncIterator[Device]:
    """Run a device until the end of the block."""
    loop = asyncio.get_running_loop()
    transport, made = await loop.create_datagram_endpoint(lambda: Device(objects, community), local_addr=(host, port))
    try:
        yield made
    finally:
        transport.close()
