"""Packets that are sent to see what comes back: ICMP echoes, or UDP where those are not allowed; of Linux.

Errors that routers send are read from the socket's error queue (IP_RECVERR, ip(7)), which needs no rights: each tells
who sent it, and holds the beginning of our own packet, by which it is known. Echoes need the group of this process in
net.ipv4.ping_group_range (as most distributions have it), or CAP_NET_RAW; UDP needs nothing.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

V6 = socket.AF_INET6
# linux/in.h, linux/in6.h, linux/errqueue.h
RECVERR: dict[int, tuple[int, int]] = {socket.AF_INET: (socket.IPPROTO_IP, 11), V6: (socket.IPPROTO_IPV6, 25)}
HOPS: dict[int, tuple[int, int]] = {socket.AF_INET: (socket.IPPROTO_IP, 2), V6: (socket.IPPROTO_IPV6, 16)}
DISCOVER: dict[int, tuple[int, int]] = {socket.AF_INET: (socket.IPPROTO_IP, 10), V6: (socket.IPPROTO_IPV6, 23)}
PMTUDISC_PROBE = 3  # do not fragment, and do not believe what is known of the path
ERRQUEUE = 0x2000
EXTENDED = struct.Struct("=IBBBBII")  # errno, origin, type, code, padding, info, data
ORIGINS = (2, 3)  # of ICMP, of ICMPv6
ECHO: dict[int, tuple[int, int]] = {socket.AF_INET: (8, 0), V6: (128, 129)}
HEADERS: dict[int, int] = {socket.AF_INET: 28, V6: 48}  # bytes of IP and of ICMP or UDP
UDP_PORT = 33_434
MARK = b"wdsk"
ANSWERED, EXPIRED, UNREACHABLE, TOO_BIG = "answered", "expired", "unreachable", "too big"


class Reply:
    """What came back for a packet: from whom, after how many seconds; the MTU that a router named, or 0."""

    __slots__ = ("code", "kind", "mtu", "number", "seconds", "source")

    def __init__(self, number: int, kind: str, source: str, seconds: float, *, code: int = 0, mtu: int = 0) -> None:
        self.number = number
        self.kind = kind
        self.source = source
        self.seconds = seconds
        self.code = code
        self.mtu = mtu


class Prober:
    """Sends to one address; `echoes` says whether with ICMP echoes, else it is UDP to ports where nobody listens."""

    def __init__(self, family: int, address: str, *, allow_udp: bool = True) -> None:
        """Open.

        Raises:
            PermissionError: no kind of socket is allowed to us.
            OSError: there is no route.
        """
        self.family = family
        self.address = address
        self.echoes = True
        self._raw = False
        self._sent: dict[int, float] = {}
        self._identity = os.getpid() & 0xFFFF
        self._socket = self._open(allow_udp)
        try:
            self._socket.setblocking(False)
            self._socket.setsockopt(*RECVERR[family], 1)
            if self.echoes:
                self._socket.connect((address, 0))
        except OSError:
            self._socket.close()
            raise

    def _open(self, allow_udp: bool) -> socket.socket:
        protocol = socket.IPPROTO_ICMPV6 if self.family == V6 else socket.IPPROTO_ICMP
        for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
            try:
                opened = socket.socket(self.family, kind, protocol)
            except PermissionError:
                continue
            self._raw = kind == socket.SOCK_RAW
            return opened
        if not allow_udp:
            raise PermissionError("ICMP is not allowed to the agent here (net.ipv4.ping_group_range)")
        self.echoes = False
        return socket.socket(self.family, socket.SOCK_DGRAM)

    def __enter__(self) -> Prober:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def no_fragments(self) -> None:
        """From now on packets are sent whole, or not at all."""
        self._socket.setsockopt(*DISCOVER[self.family], PMTUDISC_PROBE)

    def send(self, number: int, *, hops: int = 0, length: int = 64) -> str:
        """Send a packet of `length` bytes, IP header included; return why the kernel would not, or nothing."""
        if hops:
            self._socket.setsockopt(*HOPS[self.family], hops)
        body = (MARK + struct.pack(">H", number)).ljust(max(6, length - HEADERS[self.family]), b"w")
        for _ in range(3):  # an earlier packet's error is told once to whoever sends next
            self._sent[number] = time.monotonic()
            try:
                if self.echoes:
                    self._socket.send(self._echo(number, body))
                else:
                    self._socket.sendto(body, (self.address, UDP_PORT + number % 100))
            except OSError as error:
                reason = error.strerror or type(error).__name__
                continue
            return ""
        return reason

    def _echo(self, number: int, body: bytes) -> bytes:
        head = struct.pack(">BBHHH", ECHO[self.family][0], 0, 0, self._identity, number)
        if self.family == V6 or not self._raw:
            return head + body
        return head[:2] + struct.pack(">H", checksum(head + body)) + head[4:] + body

    def receive(self, until: float) -> Iterator[Reply]:
        """Yield what comes back until then (time.monotonic())."""
        waiting = select.poll()
        waiting.register(self._socket, select.POLLIN)  # errors are always told
        while (left := until - time.monotonic()) > 0:
            if not waiting.poll(max(1, min(left, 1.0) * 1000)):
                continue
            for read in (self._error, self._answer):
                while (found := read()) is not None:
                    if found.number in self._sent:
                        yield found

    def _error(self) -> Reply | None:
        try:
            data, extra, _, _ = self._socket.recvmsg(2_048, 1_024, ERRQUEUE)
        except OSError:
            return None
        return self._reply_of_error(data, extra) or Reply(-1, "", "", 0.0)

    def _reply_of_error(self, data: bytes, extra: list[tuple[int, int, bytes]]) -> Reply | None:
        number = number_of(data, echo=self.echoes)
        for level, kind, content in extra:
            if (level, kind) == RECVERR[self.family] and len(content) >= EXTENDED.size and number is not None:
                _, origin, icmp, code, _, info, _ = EXTENDED.unpack_from(content)
                if origin not in ORIGINS:  # the kernel's own, of this machine
                    continue
                source = offender(content[EXTENDED.size :])
                what = meaning(self.family, icmp, code)
                if what == UNREACHABLE and not self.echoes and source == self.address:
                    what = ANSWERED  # nobody listens on that port: it has arrived
                return Reply(number, what, source, self._since(number), code=code, mtu=info if what == TOO_BIG else 0)
        return None

    def _answer(self) -> Reply | None:
        try:
            data, where = self._socket.recvfrom(70_000)
        except OSError:
            return None
        if self._raw and self.family == socket.AF_INET and data:
            data = data[(data[0] & 15) * 4 :]
        if not self.echoes or len(data) < 8 or data[0] != ECHO[self.family][1]:
            return Reply(-1, "", "", 0.0)
        number = number_of(data, echo=True)
        mine = not self._raw or data[4:6] == struct.pack(">H", self._identity)
        return Reply(number if number is not None and mine else -1, ANSWERED, where[0], self._since(number or 0))

    def _since(self, number: int) -> float:
        return time.monotonic() - self._sent.get(number, time.monotonic())


def number_of(data: bytes, *, echo: bool) -> int | None:
    """Return the number that we wrote into a packet, of which this is the beginning; None if it is not ours."""
    body = data[8:] if echo else data
    if body[: len(MARK)] == MARK and len(body) >= 6:
        return int.from_bytes(body[4:6], "big")
    return int.from_bytes(data[6:8], "big") if echo and len(data) >= 8 and not body else None


def meaning(family: int, icmp: int, code: int) -> str:
    """Return what a type and code of ICMP or ICMPv6 tell (RFC 792, RFC 4443)."""
    if family == V6:
        return {1: UNREACHABLE, 2: TOO_BIG, 3: EXPIRED}.get(icmp, UNREACHABLE)
    if icmp == 11:
        return EXPIRED
    return TOO_BIG if (icmp, code) == (3, 4) else UNREACHABLE


def offender(data: bytes) -> str:
    """Return the address in a sockaddr_in or sockaddr_in6, as it follows an error; nothing if it is neither."""
    family = int.from_bytes(data[:2], "little")
    if family == socket.AF_INET and len(data) >= 8:
        return socket.inet_ntop(socket.AF_INET, data[4:8])
    if family == V6 and len(data) >= 24:
        return socket.inet_ntop(V6, data[8:24])
    return ""


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def addresses(host: str, port: int = 0) -> list[tuple[int, str]]:
    """Return (family, address) of a name, IPv4 first, each once.

    Raises:
        OSError: there is no such name, or nobody who could tell.
    """
    found = socket.getaddrinfo(host.strip("[]"), port or None, 0, socket.SOCK_STREAM)
    pairs = dict.fromkeys((int(family), str(where[0])) for family, _, _, _, where in found)
    return sorted(pairs, key=lambda pair: pair[0] != socket.AF_INET)[:8]
