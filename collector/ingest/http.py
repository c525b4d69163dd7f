"""Requests and answers of the agents' HTTP/1.1."""

import zlib
from http import HTTPStatus
from typing import Final

import msgspec

from agent import wire
from collector.errors import Refusal

_DECODERS: Final = {b"": None, b"identity": None, b"deflate": zlib.MAX_WBITS, b"gzip": zlib.MAX_WBITS | 16}


class Request:
    """A request that has arrived whole; its body is as it was sent."""

    __slots__ = ("authorization", "body", "content_type", "encoding", "lost", "method", "path", "peer", "sent")

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.method = b""
        self.path = b""
        self.authorization = b""
        self.content_type = b""
        self.encoding = b""
        self.sent: float | None = None
        self.body = b""
        self.lost = False  # nobody is there any more to be answered

    def with_body(self, sent: float | None, body: bytes) -> "Request":
        """Return a request with the same head but its time, and another body."""
        request = Request(self.peer)
        request.method, request.path, request.authorization = self.method, self.path, self.authorization
        request.content_type, request.encoding = self.content_type, self.encoding
        request.sent, request.body = sent, body
        return request

    def token(self) -> bytes:
        """Return the bearer token, empty if there is none."""
        scheme, _, token = self.authorization.partition(b" ")
        return token if scheme.lower() == b"bearer" else b""

    def content(self, limit: int = wire.MAX_BODY) -> bytes:
        """Return the body without its compression.

        Raises:
            Refusal: 415 for an encoding that is not known, 413 for a body that grows beyond `limit` bytes, 400 for
                one that is not what it claims.
        """
        if self.encoding not in _DECODERS:
            raise Refusal(415, "Content-Encoding is deflate or gzip")
        wbits = _DECODERS[self.encoding]
        if len(self.body) > limit:
            raise Refusal(413, f"a body may have {limit} bytes")
        return self.body if wbits is None else inflate(self.body, wbits, limit)


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


def closing(response: bytes) -> bytes:
    """Return the response with the word that the connection ends with it."""
    return response.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)


def with_lines(response: bytes, lines: bytes) -> bytes:
    """Return a response without a body with further header lines."""
    return response[:-2] + lines + b"\r\n"


def refusal(error: Refusal, now: float) -> bytes:
    """Return the response that tells a refusal."""
    content: dict[str, object] = {"error": str(error)}
    if error.path:
        content["path"] = error.path
    if error.need:
        content["need"] = [f"{schema:016x}" for schema in error.need]
    more = f"Retry-After: {error.retry_after}\r\n" if error.retry_after else ""
    return answer(error.status, now, msgspec.json.encode(content), more=more)
