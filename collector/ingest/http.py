"""The agents' HTTP/1.1: a small protocol class, for at tens of thousands of pushes a second a framework is the cost."""

import asyncio
import re
import zlib
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, cast

import httptools
import msgspec

from agent import wire
from collector.errors import Refusal

MAX_HEADERS = 8 << 10
IDLE_SECONDS = 180.0
READ_SECONDS = 30.0  # for one request, from its first byte to its last
MAX_PIPELINED = 8
LINGER_SECONDS = 1.0  # after an error, until the sender has heard it: to close at once would take it from the wire
LINGER_BYTES = 2 * wire.MAX_BODY

_DECODERS: Final = {b"": None, b"identity": None, b"deflate": zlib.MAX_WBITS, b"gzip": zlib.MAX_WBITS | 16}


class Request:
    """A request that has arrived whole; its body is as it was sent."""

    __slots__ = ("authorization", "body", "content_type", "encoding", "method", "path", "peer", "sent")

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.method = b""
        self.path = b""
        self.authorization = b""
        self.content_type = b""
        self.encoding = b""
        self.sent: float | None = None
        self.body = b""

    def token(self) -> bytes:
        """Return the bearer token, empty if there is none."""
        scheme, _, token = self.authorization.partition(b" ")
        return token if scheme.lower() == b"bearer" else b""

    def content(self) -> bytes:
        """Return the body without its compression.

        Raises:
            Refusal: 415 for an encoding that is not known, 413 for a body that grows beyond MAX_BODY, 400 for
                one that is not what it claims.
        """
        if self.encoding not in _DECODERS:
            raise Refusal(415, "Content-Encoding is deflate or gzip")
        wbits = _DECODERS[self.encoding]
        return self.body if wbits is None else inflate(self.body, wbits)


def inflate(data: bytes, wbits: int, limit: int = wire.MAX_BODY) -> bytes:
    """Return the data unpacked, never holding more than `limit` bytes of it.

    Raises:
        Refusal: 413 beyond the limit, 400 if it is torn, not compressed, or followed by something else.
    """
    inflater = zlib.decompressobj(wbits)
    try:
        content = inflater.decompress(data, limit + 1)
    except zlib.error as error:
        raise Refusal(400, f"the body is not what its Content-Encoding says: {error}") from error
    if len(content) > limit:
        raise Refusal(413, f"a body may have {limit} bytes when it is unpacked")
    if not inflater.eof or inflater.unused_data:
        raise Refusal(400, "the compressed body is torn, or something follows it")
    return content


def answer(
    status: int, now: float, body: bytes = b"", *, content_type: str = "application/json", more: str = ""
) -> bytes:
    """Return a whole HTTP response; `more` are further header lines, each with its line end."""
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{wire.TIME_HEADER}: {now:.3f}\r\n{more}"
    if status != HTTPStatus.NO_CONTENT:
        head += f"Content-Length: {len(body)}\r\n"
    if body:
        head += f"Content-Type: {content_type}\r\n"
    return head.encode() + b"\r\n" + body


def refusal(error: Refusal, now: float) -> bytes:
    """Return the response that tells a refusal."""
    content: dict[str, object] = {"error": str(error)}
    if error.path:
        content["path"] = error.path
    if error.need:
        content["need"] = [f"{schema:016x}" for schema in error.need]
    more = f"Retry-After: {error.retry_after}\r\n" if error.retry_after else ""
    return answer(error.status, now, msgspec.json.encode(content), more=more)


Reply = Callable[[bytes], None]
Handler = Callable[[Request, Reply], None]


class Connection(asyncio.Protocol):
    """One connection of an agent. `handler(request, reply)` is called for each request; reply is called once, at any
    time; answers leave in the order of their requests.
    """

    def __init__(self, handler: Handler, clock: Callable[[], float], members: set["Connection"], most: int) -> None:
        """`members` are the open connections; beyond `most` of them a new one is closed at once."""
        self._handler = handler
        self._clock = clock
        self._members = members
        self._most = most
        self._parser = httptools.HttpRequestParser(self)
        self._answers: deque[list[bytes]] = deque()  # an empty list: not answered yet
        self._chunks: list[bytes] = []
        self._size = 0
        self._header_size = 0
        self._keep_alive = True
        self._closing = False
        self._refused = False
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

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
        self._restart_timer(IDLE_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Forget the connection; an answer that comes later goes nowhere."""
        self._members.discard(self)
        self._closing = True
        if self._timer:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Feed the parser; what it refuses ends the connection."""
        if self._refused:
            self._discard(len(data))
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            refused = error.__context__
            self._end(refused if isinstance(refused, Refusal) else Refusal(400, "not a request"))
        except httptools.HttpParserError:
            self._end(Refusal(400, "not HTTP/1.1"))

    # httptools

    def on_message_begin(self) -> None:
        """Begin a request."""
        if len(self._answers) >= MAX_PIPELINED:
            raise Refusal(429, "too many requests wait on this connection", retry_after=1)
        self._request = Request(self._peer)
        self._chunks.clear()
        self._size = self._header_size = 0
        self._restart_timer(READ_SECONDS)

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
        self._restart_timer(IDLE_SECONDS)
        slot: list[bytes] = []
        self._answers.append(slot)
        self._handler(request, lambda response: self._reply(slot, response))

    def _reply(self, slot: list[bytes], response: bytes) -> None:
        slot.append(response)
        answers = self._answers
        while answers and answers[0]:
            response = answers.popleft()[0]
            if not self._closing:
                self._transport.write(response)
        if not self._keep_alive and not answers:
            self.close()

    def _end(self, error: Refusal) -> None:
        """Answer with an error, and close soon: what follows on the connection cannot be told from the body."""
        self._refused = True
        self._size = 0
        slot: list[bytes] = []
        self._answers.append(slot)
        self._reply(slot, refusal(error, self._clock()).replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        self._restart_timer(LINGER_SECONDS)

    def _discard(self, size: int) -> None:
        """Let a sender end that does not listen yet, within bounds."""
        self._size += size
        if self._size > LINGER_BYTES:
            self.close()
        else:
            self._restart_timer(LINGER_SECONDS)

    def _restart_timer(self, seconds: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self.close)

    def close(self) -> None:
        """Close the connection when what was written has left."""
        self._closing = True
        self._transport.close()


def _seconds(value: bytes) -> float | None:
    """Return the time of a header, or None if it is none."""
    return float(value) if re.fullmatch(rb"\d{1,11}(\.\d{1,9})?", value) else None
