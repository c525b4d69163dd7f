"""One UDP socket for all devices: requests go out, answers find whom they are for, silence is asked again.

An answer counts if it has the id of a request that waits, and comes from the address that was asked. Ids are random,
so that nobody who does not see the requests can guess them.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol, TypeAlias

from collector.snmp.community import identify
from collector.snmp.errors import Forged, Malformed, Refused, Silent, SnmpError
from collector.snmp.pdu import Pdu
from collector.snmp.usm import Again

TIMEOUTS: Final = (1.0, 2.0, 3.0)  # seconds for each try
RECEIVE_BUFFER: Final = 8 << 20
MOST_AT_ONCE: Final = 64  # datagrams that are read before others have their turn
MOST_AGAIN: Final = 4  # exchanges that v3 may add to a request: discovery, time
_SWEEP: Final = 0.1
_FORCED_BUFFER: Final = 33  # SO_RCVBUFFORCE, which needs a privilege
_LOG = logging.getLogger(__name__)

Address: TypeAlias = tuple[str, int]


class Speaker(Protocol):
    """Makes messages and reads answers, for one device: `community.Community`, `usm.Usm`."""

    @property
    def version(self) -> int:
        """0, 1 or 3."""

    def pack(self, request: int, kind: int, first: int, second: int, bound: bytes, now: float) -> bytes:
        """Return a whole message."""

    def open(self, data: bytes, now: float) -> Pdu:
        """Return the PDU of an answer."""


class Asker(Protocol):
    """Who gets the answer to a request."""

    def answered(self, pdu: Pdu, size: int) -> None:
        """Take an answer of so many bytes."""

    def failed(self, error: SnmpError) -> None:
        """Take that there is none."""


@dataclass(slots=True, eq=False)
class Request:
    """A request that waits for its answer."""

    address: Address
    speaker: Speaker
    kind: int
    first: int
    second: int
    bound: bytes
    asker: Asker
    tries: int = 0
    again: int = 0
    number: int = 0


@dataclass(slots=True)
class Counters:
    """What a channel saw since its start."""

    sent: int = 0
    received: int = 0
    retried: int = 0
    silent: int = 0
    strange: int = 0  # answers that nobody waits for, or that came from elsewhere
    malformed: int = 0
    forged: int = 0


@dataclass(slots=True)
class _Waiting:
    due: float
    request: Request
    number: int


class Channel:
    """Sends and receives on the running event loop, from `open` to `close`."""

    def __init__(
        self, clock: Callable[[], float], random: Random, *, timeouts: tuple[float, ...] = TIMEOUTS, source: str = ""
    ) -> None:
        """`clock` is monotonic; `random` gives the ids; `source` is an IPv4 address to send from."""
        self.counters = Counters()
        self._clock = clock
        self._random = random
        self._timeouts = timeouts
        self._source = source
        self._pending: dict[int, Request] = {}
        self._waiting: list[deque[_Waiting]] = [deque() for _ in timeouts]  # by the number of the try: each in order
        self._sockets: dict[int, socket.socket] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        """Begin to work on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(_SWEEP, self._sweep)

    def close(self) -> None:
        """Cease; nobody who waits hears of it."""
        if self._timer:
            self._timer.cancel()
        for opened in self._sockets.values():
            if self._loop:
                self._loop.remove_reader(opened.fileno())
            opened.close()
        self._sockets.clear()
        self._pending.clear()

    @property
    def waiting(self) -> int:
        """Requests that are not answered yet."""
        return len(self._pending)

    def ask(self, request: Request) -> None:
        """Send a request; its asker is told of the answer, or that there is none, later."""
        number = self._random.getrandbits(31)
        while number in self._pending:
            number = self._random.getrandbits(31)
        request.number = number
        self._pending[number] = request
        now = self._clock()
        self._waiting[request.tries].append(_Waiting(now + self._timeouts[request.tries], request, number))
        message = request.speaker.pack(number, request.kind, request.first, request.second, request.bound, now)
        self.counters.sent += 1
        try:
            self._socket(request.address).sendto(message, request.address)
        except OSError as error:  # a full buffer, no route, a refusal of before: the try counts as unanswered
            _LOG.debug("not sent to %s: %s", request.address[0], error)

    def drop(self, request: Request) -> None:
        """Do not wait for this answer any more."""
        if self._pending.get(request.number) is request:
            del self._pending[request.number]

    def _socket(self, address: Address) -> socket.socket:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        opened = self._sockets.get(family)
        if opened is None:
            opened = self._sockets[family] = socket.socket(family, socket.SOCK_DGRAM)
            opened.setblocking(False)
            try:
                opened.setsockopt(socket.SOL_SOCKET, _FORCED_BUFFER, RECEIVE_BUFFER)
            except OSError:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            if self._source and family == socket.AF_INET:
                opened.bind((self._source, 0))
            if self._loop is None:
                raise RuntimeError("the channel is not open")
            self._loop.add_reader(opened.fileno(), self._readable, opened)
        return opened

    def _readable(self, opened: socket.socket) -> None:
        receive = opened.recvfrom
        for _ in range(MOST_AT_ONCE):
            try:
                data, source = receive(65535)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error of an earlier datagram: its request times out by itself
                continue
            self.counters.received += 1
            self._take(data, source)

    def _take(self, data: bytes, source: tuple[str, int] | tuple[str, int, int, int]) -> None:
        try:
            version, number = identify(data)
        except Malformed:
            self.counters.malformed += 1
            return
        request = self._pending.get(number)
        if request is None or source[:2] != request.address or version != request.speaker.version:
            self.counters.strange += 1
            return
        try:
            pdu = request.speaker.open(data, self._clock())
        except Again:
            self._again(request)
            return
        except Forged as error:
            self.counters.forged += 1
            _LOG.debug("%s: %s", source[0], error)
            return  # the true answer may still come
        except Malformed as error:
            self.counters.malformed += 1
            del self._pending[number]
            request.asker.failed(error)
            return
        except Refused as error:
            del self._pending[number]
            request.asker.failed(error)
            return
        if pdu.request != number:
            self.counters.strange += 1
            return
        del self._pending[number]
        request.asker.answered(pdu, len(data))

    def _again(self, request: Request) -> None:
        del self._pending[request.number]
        request.again += 1
        if request.again > MOST_AGAIN:
            request.asker.failed(Refused("the device asks for ever for another time or engine"))
            return
        self.ask(request)

    def _sweep(self) -> None:
        now = self._clock()
        for tries, queue in enumerate(self._waiting):
            while queue and queue[0].due <= now:
                waited = queue.popleft()
                request = waited.request
                if self._pending.get(waited.number) is not request:
                    continue
                del self._pending[waited.number]
                if tries + 1 < len(self._timeouts):
                    self.counters.retried += 1
                    request.tries = tries + 1
                    self.ask(request)
                else:
                    self.counters.silent += 1
                    request.asker.failed(Silent(f"no answer from {request.address[0]}"))
        if self._loop:
            self._timer = self._loop.call_later(_SWEEP, self._sweep)


class _Future:
    """An asker that ends in a future."""

    def __init__(self, future: asyncio.Future[Pdu]) -> None:
        self._future = future

    def answered(self, pdu: Pdu, size: int) -> None:  # noqa: ARG002
        if not self._future.done():
            self._future.set_result(pdu)

    def failed(self, error: SnmpError) -> None:
        if not self._future.done():
            self._future.set_exception(error)


async def ask(channel: Channel, address: Address, speaker: Speaker, kind: int, bound: bytes, most: int = 0) -> Pdu:
    """Send one request and return its answer; `most` is max-repetitions of a GETBULK.

    Raises:
        SnmpError: there is none, or it is a refusal.
    """
    future: asyncio.Future[Pdu] = asyncio.get_running_loop().create_future()
    request = Request(address, speaker, kind, 0, most, bound, _Future(future))
    channel.ask(request)
    try:
        return await future
    finally:
        channel.drop(request)
