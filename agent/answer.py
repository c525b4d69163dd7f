"""What comes back over HTTP/1.1: small, and by the rules, or not taken."""

from __future__ import annotations

from agent.errors import TransportError

MAX_HEAD = 16 << 10
MAX_ANSWER = 256 << 10


class Answer:
    """What the collector said; header names are in lower case."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


def parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Return (status, headers) of an answer's head.

    Raises:
        TransportError: it is not HTTP/1.
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    code = rest[:3]
    if version not in ("HTTP/1.1", "HTTP/1.0") or not code.isdigit() or len(code) != 3 or not code.isascii():
        raise TransportError(f"not an answer of HTTP: {first[:60]!r}")
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise TransportError(f"not a header of HTTP: {line[:60]!r}")
        headers[name.lower()] = value.strip()
    return int(code), headers


def length(status: int, headers: dict[str, str]) -> int:
    """Return how long the body is.

    Raises:
        TransportError: it does not say, or it is too long.
    """
    if status in (204, 304):
        return 0
    said = headers.get("content-length", "")
    if not said.isdigit() or not said.isascii() or "transfer-encoding" in headers:
        raise TransportError("the answer does not say how long it is")
    if int(said) > MAX_ANSWER:
        raise TransportError(f"an answer of {int(said)} bytes, at most {MAX_ANSWER}")
    return int(said)
