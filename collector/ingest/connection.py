"""One connection of an agent: a small protocol class, for at tens of thousands of pushes a second a framework is the
cost.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol, cast

import httptools

from agent import wire
from collector.errors import Refusal
from collector.ingest.http import Request, closing, refusal
from collector.ingest.repeated import RepeatedHead

MAX_HEADERS: Final = 8 << 10
IDLE_SECONDS: Final = 180.0
READ_SECONDS: Final = 30.0  # for one request, from its first byte to its last
SWEEP_SECONDS: Final = 2.0  # how often connections are asked whether their time is over
MAX_PIPELINED: Final = 8
LINGER_SECONDS: Final = 1.0  # after an error, until the sender has heard it: to close at once would take it away
LINGER_BYTES: Final = 2 * wire.MAX_BODY
FAILURE: Final = b"HTTP/1.1 500 "

Reply = Callable[[bytes], None]
Slot = list[bytes]  # the answer to a request; empty: not answered yet


class Handler(Protocol):
    """What takes the requests of all connections.

    `arrived` collects what came on connections whose head is known; `wake` is called by who adds the first to it.
    """

    arrived: list[tuple[Connection, bytes]]

    def wake(self) -> None:
        """See to it that `receive` of each connection in `arrived` is called, or its push taken, in this order."""

    def handle(self, request: Request, reply: Reply) -> None:
        """Take a request; `reply` is called once, at any time."""

    def push(self, connection: Connection, slot: Slot, head: RepeatedHead, sent: float | None, body: bytes) -> None:
        """Take a push whose head is known; `connection.reply(slot, …)` is called once, at any time."""

    def failed(self) -> bytes:
        """Return the answer to a request that raised what nobody expected; it is being handled."""


class Connection(asyncio.Protocol):
    """Feeds a handler with requests; answers leave in the order of their requests.

    Attributes:
        head: of the pushes that come again and again, once one came.
        answers: a slot for each request that was not answered.
    """

    def __init__(self, handler: Handler, clock: Callable[[], float], members: set[Connection], most: int) -> None:
        """`members` are the open connections; beyond `most` of them a new one is closed at once."""
        self._handler = handler
        self._clock = clock
        self._members = members
        self._most = most
        self._parser = httptools.HttpRequestParser(self)
        self._arrived = handler.arrived
        self.answers: deque[Slot] = deque()
        self._chunks: list[bytes] = []
        self._size = 0
        self._header_size = 0
        self._keep_alive = True
        self._closing = False
        self._refused = False
        self._inside = False  # a request has begun and is not whole
        self._whole = 0  # requests that were parsed
        self.head: RepeatedHead | None = None
        self._age = 0.0  # seconds, about, since the last byte; inside a request since its first one

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        if len(self._members) >= self._most:
            self._closing = self._refused = True
            transport.close()
            return
        self._members.add(self)
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if peer else ""
        self._request = Request(self._peer)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Forget the connection; an answer that comes later goes nowhere."""
        self._members.discard(self)
        if not self._refused:
            self._request.lost = True
        self._closing = True

    def data_received(self, data: bytes) -> None:
        """Take what comes: at once, or where pushes are expected together with those of other connections."""
        if self.head is None:
            self.receive(data)
            return
        if not self._inside:
            self._age = 0.0
        self._arrived.append((self, data))
        if len(self._arrived) == 1:
            self._handler.wake()

    def receive(self, data: bytes) -> None:
        """Take pushes whose head is known, and all else by way of the parser."""
        if self._refused:
            self._discard(len(data))
            return
        if not self._inside:
            self._age = 0.0
            if self.head is not None:
                data = self._push(self.head, data)
                if not data:
                    return
        whole, fresh = self._whole, not self._inside
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            refused = error.__context__
            self._end(refused if isinstance(refused, Refusal) else Refusal(400, "not a request"))
        except httptools.HttpParserError:
            self._end(Refusal(400, "not HTTP/1.1"))
        else:
            if fresh and self._whole == whole + 1 and not self._inside:
                self.head = RepeatedHead.of(data, self._request)

    def _push(self, head: RepeatedHead, data: bytes) -> bytes:
        """Hand over the pushes that `data` begins with and that are whole; return what is left."""
        at = 0
        while len(self.answers) < MAX_PIPELINED:
            found = head.find(data, at)
            if found is None:
                break
            sent, start, at = found
            slot: Slot = []
            self.answers.append(slot)
            self._hand_over(slot, partial(self._handler.push, self, slot, head, sent, data[start:at]))
            if at == len(data) or self._refused:
                return b""
        return data[at:] if at else data

    # httptools

    def on_message_begin(self) -> None:
        """Begin a request."""
        if len(self.answers) >= MAX_PIPELINED:
            raise Refusal(429, "too many requests wait on this connection", retry_after=1)
        self._inside = True
        self._age = 0.0
        self._request = Request(self._peer)
        self._chunks.clear()
        self._size = self._header_size = 0

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request's path."""
        self._count_header(len(url))
        self._request.path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take the few headers that matter."""
        self._count_header(len(name) + len(value))
        request = self._request
        match name.lower():
            case b"authorization":
                request.authorization = value
            case b"content-type":
                request.content_type = value
            case b"content-encoding":
                request.encoding = value.lower()
            case b"content-length":
                if value.isdigit() and (len(value) > 10 or int(value) > wire.MAX_BODY):
                    raise Refusal(413, f"a body may have {wire.MAX_BODY} bytes")
            case b"expect":
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            case b"watchdesk-time":
                request.sent = _seconds(value)

    def _count_header(self, size: int) -> None:
        self._header_size += size
        if self._header_size > MAX_HEADERS:
            raise Refusal(431, "the headers are too long")

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._size += len(body)
        if self._size > wire.MAX_BODY:
            raise Refusal(413, f"a body may have {wire.MAX_BODY} bytes")
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        """Hand the request over."""
        request, chunks = self._request, self._chunks
        request.body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        request.method = self._parser.get_method()
        self._keep_alive = self._parser.should_keep_alive()
        self._inside = False
        self._whole += 1
        slot: Slot = []
        self.answers.append(slot)
        self._hand_over(slot, partial(self._handler.handle, request, partial(self.answer, slot)))

    def _hand_over(self, slot: Slot, take: Callable[[], None]) -> None:
        try:
            take()
        except Exception:  # noqa: BLE001 - a fault of ours: it is told and logged, and no other connection feels it
            self._failed(slot, self._handler.failed())

    def answer(self, slot: Slot, response: bytes) -> None:
        """Answer a request that was not a usual push; with an error of ours, close the connection, too."""
        if response.startswith(FAILURE):
            self._failed(slot, response)
        else:
            self.reply(slot, response)

    def _failed(self, slot: Slot, response: bytes) -> None:
        self._refused, self._keep_alive = True, False
        self.reply(slot, response)

    def reply(self, slot: Slot, response: bytes) -> None:
        """Answer a request."""
        answers = self.answers
        slot.append(response)
        while answers and (first := answers[0]):
            del answers[0]
            if not self._closing:
                self._transport.write(first[0])
        if not self._keep_alive and not answers:
            self.close()

    def _end(self, error: Refusal) -> None:
        """Answer with an error, and close soon: what follows on the connection cannot be told from the body."""
        self._refused = True
        self._size = 0
        self._age = 0.0
        slot: Slot = []
        self.answers.append(slot)
        self.reply(slot, closing(refusal(error, self._clock())))
        asyncio.get_running_loop().call_later(LINGER_SECONDS, self.sweep, LINGER_SECONDS)

    def _discard(self, size: int) -> None:
        """Let a sender end that does not listen yet, within bounds."""
        self._age = 0.0
        self._size += size
        if self._size > LINGER_BYTES:
            self.close()

    def sweep(self, seconds: float) -> None:
        """Let time pass; close the connection if it was idle, or a request in coming, for too long."""
        self._age += seconds
        allowed = LINGER_SECONDS if self._refused else READ_SECONDS if self._inside else IDLE_SECONDS
        if self._age >= allowed:
            self.close()

    def close(self) -> None:
        """Close the connection when what was written has left."""
        self._closing = True
        self._transport.close()


def _seconds(value: bytes) -> float | None:
    """Return the time of a header, or None if it is none."""
    return float(value) if re.fullmatch(rb"\d{1,11}(\.\d{1,9})?", value) else None
