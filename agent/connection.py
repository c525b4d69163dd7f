"""One keep-alive connection to the collector: HTTP/1.1 over TLS, written by hand, never blocking, through a proxy if
there must be one.

The functions are generators that yield what they wait for, so that the loop goes on with its readings meanwhile.
`_ssl` and `_socket`, which the modules ssl and socket wrap, do all that is needed; the wrapping costs 3.5 MB.
What they do here is held against the ssl module in tests/agent/test_connection.py.
"""

from __future__ import annotations

import _socket
import _ssl
import _thread
import errno
import time

from agent.answer import MAX_HEAD, Answer, length, parse_head
from agent.errors import CertificateError, TransportError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from agent.endpoint import Endpoint, Proxy

    Waiting = Generator["Want", None, None]

READ, WRITE = 1, 4  # POLLIN, POLLOUT
_IN_PROGRESS = (errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", errno.EINPROGRESS))


class Want:
    """What a generator waits for: a file that can be read or written (-1: nothing), or the time `until` to come."""

    __slots__ = ("events", "file", "until")

    def __init__(self, file: int, events: int, until: float) -> None:
        self.file = file
        self.events = events
        self.until = until


class _Closed(Exception):
    """The other end hung up before it answered anything."""


class _Socket(_socket.socket):
    """What TLS can hold on to: it keeps a weak reference, which the C type does not allow."""

    __slots__ = ("__weakref__",)


class Connection:
    """Keeps one connection, and makes it anew when it has gone.

    Of several addresses of the collector one is used until it fails; `fail_over` goes on to the next.
    """

    __slots__ = ("_context", "_endpoint", "_endpoints", "_monotonic", "_proxy", "_socket", "_tls", "sent")

    def __init__(
        self,
        where: Endpoint | list[Endpoint],
        trust: _ssl._SSLContext | None,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        proxy: Proxy | None = None,
    ) -> None:
        self._endpoints = where if isinstance(where, list) else [where]
        self._endpoint = self._endpoints[0]
        self._context = trust
        self._proxy = proxy
        self._monotonic = monotonic
        self._socket: _socket.socket | None = None
        self._tls: Any = None  # a _ssl._SSLSocket, which the stubs do not know
        self.sent = 0

    def close(self) -> None:
        """Let go of the connection; the next request makes a new one."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._tls = None

    def another(self) -> Connection:
        """Return one more connection, over the same ways and with the same trust."""
        return Connection(self._endpoints, self._context, self._monotonic, proxy=self._proxy)

    @property
    def endpoint(self) -> Endpoint:
        """The address that is used now."""
        return self._endpoint

    def fail_over(self) -> bool:
        """Go on to the next address; return whether it is one that was not tried since the first."""
        self.close()
        if self._endpoint is self._endpoints[-1]:
            self._endpoint = self._endpoints[0]
            return False
        self._endpoint = self._endpoints[self._endpoints.index(self._endpoint) + 1]
        return True

    def request(self, head: str, body: bytes, timeout: float) -> Generator[Want, None, Answer]:
        """Send a request (`head` without the Host line and the empty one) and return the answer.

        Raises:
            TransportError: no answer within the timeout, or one that breaks the rules.
            CertificateError: the other end is not the collector.
        """
        where = self._endpoint
        data = f"{head}Host: {where.authority}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        until = self._monotonic() + timeout
        try:
            return (yield from self._exchange(data, until))
        except _ssl.SSLCertVerificationError as error:
            self.close()
            reason = getattr(error, "verify_message", "") or "not verified"
            raise CertificateError(f"the certificate of {where.host}:{where.port} is not trusted: {reason}") from error
        except OSError as error:
            self.close()
            reason = error.strerror or str(error) or type(error).__name__
            raise TransportError(f"{where.host}:{where.port}: {reason}") from error
        except BaseException:
            self.close()
            raise

    def _exchange(self, data: bytes, until: float) -> Generator[Want, None, Answer]:
        kept = self._socket is not None
        while True:
            if self._socket is None:
                yield from self._connect(until)
            try:
                yield from self._send(data, until)
                return (yield from self._receive(until))
            except (_Closed, ConnectionResetError, BrokenPipeError) as error:
                self.close()
                if not kept:
                    raise TransportError(f"{self._endpoint.host} closed the connection without an answer") from error
                kept = False  # a connection that was kept may have timed out there: once more on a new one

    def _connect(self, until: float) -> Waiting:
        addresses = yield from self._resolve(until)
        for number, (family, address) in enumerate(addresses):
            left = len(addresses) - number
            share = self._monotonic() + (until - self._monotonic()) / left
            try:
                yield from self._open(family, address, share)
            except OSError:
                self.close()
                if left == 1:
                    raise
            else:
                return

    def _open(self, family: int, address: tuple[object, ...], until: float) -> Waiting:
        self._socket = made = _Socket(family, _socket.SOCK_STREAM)
        made.setblocking(False)
        made.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        error = made.connect_ex(address)
        if error in _IN_PROGRESS:
            yield from self._wait(WRITE, until)
            error = made.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
        if error:
            raise OSError(error, _reason(error))
        if self._proxy is not None:
            yield from self._tunnel(self._proxy, until)
        if self._endpoint.tls:
            assert self._context is not None  # noqa: S101 - for the type checker
            wrap = self._context._wrap_socket  # type: ignore[attr-defined]  # noqa: SLF001
            self._tls = wrap(made, False, self._endpoint.host)
            yield from self._until_done(self._tls.do_handshake, until)

    def _tunnel(self, proxy: Proxy, until: float) -> Waiting:
        """Have the proxy connect us to the collector; what goes through the tunnel it cannot read, for it is TLS."""
        yield from self._send(f"CONNECT {self._endpoint.authority} HTTP/1.1\r\n{proxy.head}".encode(), until)
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            more = yield from self._more(until)
            if not more or len(data) > MAX_HEAD:
                raise TransportError(f"the proxy {proxy.where.authority} gave no answer")
            data += more
        status, _ = parse_head(data[:end])
        if status == 407:
            raise TransportError(f"the proxy {proxy.where.authority} wants another name or password (407)")
        if status != 200 or len(data) > end + 4:
            raise TransportError(f"the proxy {proxy.where.authority} does not connect us to the collector ({status})")

    def _resolve(self, until: float) -> Generator[Want, None, list[tuple[int, tuple[object, ...]]]]:
        """Return (family, address) to connect to; a name is looked up in a thread, for that may take long."""
        where = self._endpoint if self._proxy is None else self._proxy.where
        host, port = where.host, where.port
        # A text would be encoded by the idna codec, whose tables take 1 MB; only a name outside ASCII needs it.
        name = host.encode("ascii" if host.isascii() else "idna")
        found: list[tuple[int, tuple[object, ...]]] = []
        failed: list[OSError] = []

        def look_up(flags: int) -> None:
            try:
                answers = _socket.getaddrinfo(name, port, 0, _socket.SOCK_STREAM, 0, flags)
                found.extend((family, address) for family, _, _, _, address in answers)
            except OSError as error:
                failed.append(error)

        look_up(_socket.AI_NUMERICHOST)
        if not found:
            failed.clear()
            _thread.start_new_thread(look_up, (0,))
            while not found and not failed:
                self._check(until)
                yield Want(-1, 0, self._monotonic() + 0.02)
        if failed:
            raise TransportError(f"the name {host} cannot be resolved: {failed[0].strerror}")
        return found

    def _check(self, until: float) -> None:
        if self._monotonic() >= until:
            raise TimeoutError(errno.ETIMEDOUT, "no answer in time")

    def _wait(self, events: int, until: float) -> Waiting:
        self._check(until)
        assert self._socket is not None  # noqa: S101 - for the type checker
        yield Want(self._socket.fileno(), events, until)
        self._check(until)

    def _until_done(self, step: Callable[[], object], until: float) -> Waiting:
        """Repeat a step of TLS until it need not wait any more."""
        while True:
            try:
                step()
            except _ssl.SSLWantReadError:
                yield from self._wait(READ, until)
            except _ssl.SSLWantWriteError:
                yield from self._wait(WRITE, until)
            else:
                return

    def _send(self, data: bytes, until: float) -> Waiting:
        assert self._socket is not None  # noqa: S101 - for the type checker
        write = self._tls.write if self._tls is not None else self._socket.send
        rest = memoryview(data)
        while rest:
            try:
                taken = write(rest[:65_536])
            except _ssl.SSLWantReadError:
                yield from self._wait(READ, until)
            except (_ssl.SSLWantWriteError, BlockingIOError):
                yield from self._wait(WRITE, until)
            else:
                rest = rest[taken:]
        self.sent += len(data)

    def _more(self, until: float) -> Generator[Want, None, bytes]:
        """Return some bytes, none at the end."""
        assert self._socket is not None  # noqa: S101 - for the type checker
        read = self._tls.read if self._tls is not None else self._socket.recv
        while True:
            try:
                return read(16_384)
            except (_ssl.SSLWantReadError, BlockingIOError):
                yield from self._wait(READ, until)
            except _ssl.SSLWantWriteError:
                yield from self._wait(WRITE, until)
            except (_ssl.SSLZeroReturnError, _ssl.SSLEOFError):
                return b""

    def _receive(self, until: float) -> Generator[Want, None, Answer]:
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            if len(data) > MAX_HEAD:
                raise TransportError("the answer's head is too long")
            more = yield from self._more(until)
            if not more:
                raise _Closed if not data else TransportError("the answer broke off")
            data += more
        status, headers = parse_head(data[:end])
        body = yield from self._body(data[end + 4 :], length(status, headers), until)
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(status, headers, body)

    def _body(self, data: bytes, size: int, until: float) -> Generator[Want, None, bytes]:
        while len(data) < size:
            more = yield from self._more(until)
            if not more:
                raise TransportError("the answer broke off")
            data += more
        if len(data) > size:
            raise TransportError("there is more than the answer")
        return data


def _reason(error: int) -> str:
    import os

    return os.strerror(error)
