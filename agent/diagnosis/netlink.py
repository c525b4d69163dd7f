"""Asking the kernel for routes and neighbours, with all its rules, over rtnetlink(7). Nothing is changed.

Source: linux/netlink.h, linux/rtnetlink.h, linux/neighbour.h.
"""

from __future__ import annotations

import socket
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = struct.Struct("=IHHII")
ROUTE = struct.Struct("=BBBBBBBBI")
NEIGHBOUR = struct.Struct("=BBHiHBB")
GET_ROUTE, NEW_ROUTE, GET_NEIGHBOUR, NEW_NEIGHBOUR = 26, 24, 30, 28
REQUEST, DUMP = 1, 0x300
ERROR, DONE = 2, 3
DESTINATION, OUT, GATEWAY, PRIORITY, PREFERRED = 1, 4, 5, 6, 7
NEIGHBOUR_ADDRESS, NEIGHBOUR_LINK = 1, 2
STATES = {
    1: "incomplete",
    2: "reachable",
    4: "stale",
    8: "delay",
    16: "probe",
    32: "failed",
    64: "noarp",
    128: "permanent",
}
KINDS = {1: "unicast", 2: "local", 6: "blackhole", 7: "unreachable", 8: "prohibited", 9: "throw"}
MAX_BYTES = 4 << 20
SECONDS = 2.0


class Route:
    """Where packets go: the gateway is "" on the same network, `kind` is of KINDS."""

    __slots__ = ("destination", "gateway", "interface", "kind", "metric", "source")

    def __init__(self, destination: str, gateway: str, interface: str, source: str, kind: str, metric: int) -> None:
        self.destination = destination
        self.gateway = gateway
        self.interface = interface
        self.source = source
        self.kind = kind
        self.metric = metric


def route_to(family: int, address: str) -> Route:
    """Return the way that a packet to an address would take now.

    Raises:
        OSError: there is none.
    """
    packed = socket.inet_pton(family, address)
    body = ROUTE.pack(family, len(packed) * 8, 0, 0, 0, 0, 0, 0, 0) + attribute(DESTINATION, packed)
    for kind, message in _ask(GET_ROUTE, REQUEST, body):
        if kind == NEW_ROUTE:
            return route_of(message)
    raise OSError("the kernel tells no route")


def routes(family: int) -> list[Route]:
    """Return the routes of the main table."""
    body = ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)
    return [route_of(message) for kind, message in _ask(GET_ROUTE, REQUEST | DUMP, body)
            if kind == NEW_ROUTE and len(message) >= ROUTE.size and message[4] == 254]  # fmt: skip


def neighbours(family: int) -> dict[str, tuple[str, str]]:
    """Return (state, hardware address) of each neighbour by its address."""
    found = {}
    body = NEIGHBOUR.pack(family, 0, 0, 0, 0, 0, 0)
    for kind, message in _ask(GET_NEIGHBOUR, REQUEST | DUMP, body):
        if kind == NEW_NEIGHBOUR and len(message) >= NEIGHBOUR.size:
            _, _, _, _, state, _, _ = NEIGHBOUR.unpack_from(message)
            told = dict(attributes(message[NEIGHBOUR.size :]))
            link = told.get(NEIGHBOUR_LINK, b"").hex(":")
            found[_address(told.get(NEIGHBOUR_ADDRESS, b""))] = (STATES.get(state, "none"), link)
    return found


def attribute(kind: int, value: bytes) -> bytes:
    """Return an attribute of a message."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the attributes of a message: (kind, value)."""
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            return
        yield kind & 0x3FFF, data[at + 4 : at + length]
        at += length + -length % 4


def route_of(message: bytes) -> Route:
    """Return the route of an rtmsg with its attributes.

    Raises:
        ValueError: it is cut off.
    """
    if len(message) < ROUTE.size:
        raise ValueError("a route that is none")
    _, length, _, _, _, _, _, kind, _ = ROUTE.unpack_from(message)
    told = dict(attributes(message[ROUTE.size :]))
    index = int.from_bytes(told.get(OUT, b""), "little")
    destination = _address(told.get(DESTINATION, b""))
    return Route(
        f"{destination}/{length}" if destination else "default", _address(told.get(GATEWAY, b"")),
        _interface(index), _address(told.get(PREFERRED, b"")), KINDS.get(kind, str(kind)),
        int.from_bytes(told.get(PRIORITY, b""), "little"),
    )  # fmt: skip


def _address(packed: bytes) -> str:
    if len(packed) not in (4, 16):
        return ""
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def _interface(index: int) -> str:
    try:
        return socket.if_indextoname(index) if index else ""
    except OSError:
        return str(index)


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (kind, body) of the messages in what netlink has sent."""
    at = 0
    while at + HEADER.size <= len(data):
        length, kind, _, _, _ = HEADER.unpack_from(data, at)
        if length < HEADER.size:
            return
        yield kind, data[at + HEADER.size : at + length]
        at += length + -length % 4


def _ask(kind: int, flags: int, body: bytes) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as asked:
        asked.settimeout(SECONDS)
        asked.send(HEADER.pack(HEADER.size + len(body), kind, flags, 1, 0) + body)
        taken = 0
        while taken < MAX_BYTES:
            data = asked.recv(1 << 18)
            taken += len(data)
            for one, message in messages(data):
                if one == ERROR:
                    number = -int.from_bytes(message[:4], "little", signed=True)
                    raise OSError(number, _reason(number))
                if one == DONE:
                    return found
                found.append((one, message))
            if not flags & DUMP:
                return found
    return found


def _reason(number: int) -> str:
    import os

    return os.strerror(number)
