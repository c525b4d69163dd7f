"""Asking what is named in the configuration: HTTP, TCP, ICMP. Redirects are not followed, bodies are bounded."""

from __future__ import annotations

import http.client
import socket
import ssl
import sys
from urllib.parse import urlsplit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.heavy.tools import Command

MAX_BODY = 4 << 20
REQUESTS = 3


class Answer:
    """What came back; `not_after` is when the certificate that was shown expires."""

    __slots__ = ("body", "not_after", "status")

    def __init__(self, status: int, body: bytes, not_after: float | None) -> None:
        self.status = status
        self.body = body
        self.not_after = not_after


def get(url: str, timeout: float) -> Answer:
    """Ask once.

    Raises:
        OSError: no connection, no answer in time, a certificate that is not trusted.
        ValueError: not an address, or not HTTP.
    """
    where = urlsplit(url)
    if where.scheme not in ("http", "https") or not where.hostname:
        raise ValueError(f"{url} is no address of HTTP")
    if where.scheme == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            where.hostname, where.port, timeout=timeout, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=timeout)
    try:
        path = (where.path or "/") + (f"?{where.query}" if where.query else "")
        connection.connect()
        not_after = _expiry(connection.sock)
        connection.request("GET", path, headers={"User-Agent": "watchdesk-agent", "Accept": "*/*"})
        answer = connection.getresponse()
        return Answer(answer.status, answer.read(MAX_BODY), not_after)
    except http.client.HTTPException as error:
        raise ValueError(f"not HTTP: {type(error).__name__}") from error
    finally:
        connection.close()


def _expiry(connected: object) -> float | None:
    if not isinstance(connected, ssl.SSLSocket):
        return None
    told = (connected.getpeercert() or {}).get("notAfter")
    return float(ssl.cert_time_to_seconds(told)) if isinstance(told, str) else None


def connect(host: str, port: int, timeout: float) -> None:
    """Connect, and hang up.

    Raises:
        OSError: nobody listens there, or not in time.
    """
    socket.create_connection((host, port), timeout=timeout).close()


def ping(command: Command, host: str, timeout: float) -> tuple[float, float | None] | None:
    """Return (share that was lost, seconds to the answer), or None if there is no ping."""
    if not host or host.startswith("-") or len(host.split()) != 1:
        return 1.0, None
    each = max(1, int(timeout / REQUESTS))
    if sys.platform == "win32":
        words = ["ping", "-n", str(REQUESTS), "-w", str(each * 1000), host]
    else:
        words = ["ping", "-n", "-c", str(REQUESTS), "-i", "0.2", "-W", str(each), host]
    told = command(words, timeout=timeout + 2)
    if told.code == 127:
        return None
    return answered(told.text)


def answered(text: str) -> tuple[float, float | None]:
    """Return (share that was lost, mean seconds) of ping's summary on Linux, macOS or Windows."""
    loss = 1.0
    seconds = None
    for line in text.splitlines():
        for word in line.replace("(", " ").split():
            if word.endswith("%") and "loss" in line and word[:-1].replace(".", "", 1).isdigit():
                loss = float(word[:-1]) / 100
        if "min/avg/max" in line:
            seconds = float(line.partition("=")[2].split("/")[1]) / 1000
        elif "Average = " in line:
            digits = line.partition("Average = ")[2].removesuffix("ms").strip()
            seconds = float(digits) / 1000 if digits.isdigit() else None
    return loss, seconds
