"""ICMP echo to many hosts from one socket for each address family.

The unprivileged ping socket is used where the system allows it (net.ipv4.ping_group_range), a raw one otherwise. An
answer counts if it carries the random token of a request that waits, and comes from the host that was asked.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

MOST_AT_ONCE: Final = 64
RECEIVE_BUFFER: Final = 4 << 20
_HEAD: Final = struct.Struct(">BBHHH")  # type, code, checksum, identifier, sequence
_TOKEN: Final = struct.Struct(">8sQ")
_MAGIC: Final = b"watchdsk"
_ECHO: Final[dict[int, tuple[int, int]]] = {socket.AF_INET: (8, 0), socket.AF_INET6: (128, 129)}  # request, reply
_PROTOCOLS: Final[dict[int, int]] = {socket.AF_INET: socket.IPPROTO_ICMP, socket.AF_INET6: socket.IPPROTO_ICMPV6}
_LOG = logging.getLogger(__name__)

Done = Callable[[float | None], None]


@dataclass(slots=True)
class _Waiting:
    host: str
    sent: float
    done: Done
    timer: asyncio.TimerHandle


class Pinger:
    """Sends echo requests on the running event loop, from `open` to `close`.

    Attributes:
        problem: why nothing can be sent; empty if it can.
    """

    def __init__(self, random: Random, timeout: float) -> None:
        self.problem = ""
        self.sent = 0
        self.strange = 0
        self._random = random
        self._timeout = timeout
        self._waiting: dict[int, _Waiting] = {}
        self._sockets: dict[int, tuple[socket.socket, bool]] = {}  # with whether it is raw

    def open(self) -> None:
        """Make the sockets; where none is allowed, `problem` says so."""
        loop = asyncio.get_running_loop()
        for family in _ECHO:
            try:
                made, raw = _socket(family)
            except OSError as error:
                if family == socket.AF_INET:
                    self.problem = f"no ICMP: {error}; it takes net.ipv4.ping_group_range or CAP_NET_RAW"
                    _LOG.warning("%s", self.problem)
                continue
            self._sockets[family] = made, raw
            loop.add_reader(made.fileno(), self._readable, made, family, raw)

    def close(self) -> None:
        """Close the sockets; nobody who waits hears of it."""
        loop = asyncio.get_running_loop()
        for made, _ in self._sockets.values():
            loop.remove_reader(made.fileno())
            made.close()
        self._sockets.clear()
        for waiting in self._waiting.values():
            waiting.timer.cancel()
        self._waiting.clear()

    def ping(self, host: str, done: Done) -> None:
        """Send one request to an IP address; `done` gets the round-trip time in seconds, or None."""
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        token = self._random.getrandbits(64)
        timer = loop.call_later(self._timeout, self._late, token)
        self._waiting[token] = _Waiting(host, time.perf_counter(), done, timer)
        found = self._sockets.get(family)
        if found is None:
            return
        self.sent += 1
        try:
            found[0].sendto(_message(family, token), (host, 0))
        except OSError as error:  # no route, a full buffer: it is not answered
            _LOG.debug("not sent to %s: %s", host, error)

    def _late(self, token: int) -> None:
        waiting = self._waiting.pop(token, None)
        if waiting:
            waiting.done(None)

    def _readable(self, made: socket.socket, family: int, raw: bool) -> None:
        for _ in range(MOST_AT_ONCE):
            try:
                data, source = made.recvfrom(2048)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error of an earlier request
                continue
            self._take(data, str(source[0]), family, raw)

    def _take(self, data: bytes, source: str, family: int, raw: bool) -> None:
        at = (data[0] & 15) * 4 if raw and family == socket.AF_INET and data else 0
        if len(data) < at + _HEAD.size + _TOKEN.size or data[at] != _ECHO[family][1]:
            return
        magic, token = _TOKEN.unpack_from(data, at + _HEAD.size)
        waiting = self._waiting.get(token) if magic == _MAGIC else None
        if waiting is None or waiting.host.partition("%")[0] != source.partition("%")[0]:
            self.strange += 1
            return
        del self._waiting[token]
        waiting.timer.cancel()
        waiting.done(time.perf_counter() - waiting.sent)


def _socket(family: int) -> tuple[socket.socket, bool]:
    """Return a socket for echo requests, and whether it is raw.

    Raises:
        OSError: neither kind is allowed.
    """
    protocol = _PROTOCOLS[family]
    try:
        made, raw = socket.socket(family, socket.SOCK_DGRAM, protocol), False
    except PermissionError:
        made, raw = socket.socket(family, socket.SOCK_RAW, protocol), True
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    return made, raw


def _message(family: int, token: int) -> bytes:
    kind = _ECHO[family][0]
    body = _TOKEN.pack(_MAGIC, token)
    head = _HEAD.pack(kind, 0, 0, token & 0xFFFF, 1)
    checksum = 0 if family == socket.AF_INET6 else _checksum(head + body)  # of IPv6 the system makes it
    return _HEAD.pack(kind, 0, checksum, token & 0xFFFF, 1) + body


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
