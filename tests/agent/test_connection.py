"""The connection: trust, timeouts, and answers that are none."""

import socket
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from agent.answer import MAX_ANSWER, Answer, length, parse_head
from agent.connection import Connection
from agent.endpoint import context, endpoint
from agent.errors import CertificateError, TransportError
from agent.loop import complete
from tests.agent.authority import Authority

Serve = Callable[[socket.socket], None]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@contextmanager
def server(serve: Serve, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[int]:
    """A server that gives each connection to `serve`; yields its port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.bind((host, 0))
    listener.listen()
    ended = threading.Event()

    def one(connection: socket.socket) -> None:
        connection.settimeout(10)
        with suppress(OSError), connection:
            if tls is None:
                serve(connection)
                return
            with tls.wrap_socket(connection, server_side=True) as wrapped:
                serve(wrapped)

    def accept() -> None:
        while not ended.is_set():
            with suppress(OSError):
                threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def answering(data: bytes, *, then_hang: bool = False) -> Serve:
    def serve(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(data)
        if then_hang:
            connection.recv(1)

    return serve


def ask(port: int, *, host: str = "127.0.0.1", ca: str | None = None, timeout: float = 5.0) -> Answer:
    where = endpoint(f"{'https' if ca else 'http'}://{host}:{port}")
    connection = Connection(where, context(ca) if ca else None)
    try:
        return complete(connection.request("GET / HTTP/1.1\r\n", b"", timeout))
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [
        ("https://collector.example:8443", "collector.example", 8443, True),
        ("https://collector.example", "collector.example", 443, True),
        ("http://192.0.2.1", "192.0.2.1", 80, False),
        ("https://[2001:db8::1]:8443", "2001:db8::1", 8443, True),
        ("https://[::1]", "::1", 443, True),
        ("https://a:1/", "a", 1, True),
    ],
)
def test_addresses(url: str, host: str, port: int, tls: bool) -> None:
    found = endpoint(url)
    assert (found.host, found.port, found.tls) == (host, port, tls)


@pytest.mark.parametrize("url", ["", "collector", "ftp://a", "https://", "https://a:b", "https://a:0", "https://a/b"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(TransportError, match="is not an address"):
        endpoint(url)


@pytest.mark.parametrize("names", [("127.0.0.1",), ("::1", "127.0.0.1")])
def test_the_right_ca_and_name_are_trusted(authority: Authority, names: tuple[str, ...]) -> None:
    with server(answering(OK), authority.server_context(*names), names[0]) as port:
        host = f"[{names[0]}]" if ":" in names[0] else names[0]
        assert ask(port, host=host, ca=authority.pem).body == b"hi"


def test_a_name_is_looked_up_and_checked(authority: Authority) -> None:
    with server(answering(OK), authority.server_context("localhost")) as port:
        assert ask(port, host="localhost", ca=authority.pem).status == 200


def test_another_ca_is_not_trusted(authority: Authority) -> None:
    other = Authority("Test CA")  # of the same name
    with (
        server(answering(OK), other.server_context("127.0.0.1")) as port,
        pytest.raises(CertificateError, match="is not trusted"),
    ):
        ask(port, ca=authority.pem)


@pytest.mark.parametrize("names", [("192.0.2.1",), ("localhost",), ("127.0.0.2", "collector.example")])
def test_a_certificate_for_another_host_is_not_trusted(authority: Authority, names: tuple[str, ...]) -> None:
    with (
        server(answering(OK), authority.server_context(*names)) as port,
        pytest.raises(CertificateError, match="is not trusted"),
    ):
        ask(port, ca=authority.pem)


def test_old_versions_of_tls_are_not_spoken(authority: Authority) -> None:
    old = authority.server_context("127.0.0.1")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with server(answering(OK), old) as port, pytest.raises(TransportError):
        ask(port, ca=authority.pem)


def test_the_context_is_what_the_ssl_module_would_make(authority: Authority) -> None:
    """`_ssl` is used without `ssl` around it: what that would have set must be set all the same."""
    ours = context(authority.pem)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    theirs.minimum_version = ssl.TLSVersion.TLSv1_2
    theirs.load_verify_locations(cadata=authority.pem)
    for name in ("check_hostname", "verify_mode", "verify_flags", "options", "protocol", "minimum_version"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.get_ciphers() == theirs.get_ciphers()
    assert ours.get_ca_certs() == theirs.get_ca_certs()


@pytest.mark.parametrize("pem", ["", "rubbish", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_broken_ca_is_an_error_that_says_so(pem: str) -> None:
    with pytest.raises(CertificateError, match="enrol again"):
        context(pem)


@pytest.mark.parametrize(
    "data",
    [
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 20\r\n\r\n",
        b"HTTP/1.1 \xb2\xb0\xb0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n : x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1e3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        b"HTTP/1.1 200",
        b"X" * 100_000,
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000,
        b"",
    ],
)
def test_rubbish_is_an_error(data: bytes) -> None:
    with server(answering(data)) as port, pytest.raises(TransportError):
        ask(port)


def test_a_redirect_is_an_answer_like_any_other_and_not_followed() -> None:
    followed = threading.Event()

    def elsewhere(_connection: socket.socket) -> None:
        followed.set()

    with server(elsewhere) as other:
        data = f"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:{other}/\r\nContent-Length: 0\r\n\r\n".encode()
        with server(answering(data)) as port:
            assert ask(port).status == 301
    assert not followed.is_set()


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nh"])
def test_silence_ends_at_the_timeout(data: bytes) -> None:
    with server(answering(data, then_hang=True)) as port, pytest.raises(TransportError, match="no answer in time"):
        ask(port, timeout=0.3)


def test_a_slow_drip_ends_at_the_timeout() -> None:
    def drip(connection: socket.socket) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000:
            connection.sendall(bytes([byte]))
            time.sleep(0.02)

    with server(drip) as port, pytest.raises(TransportError, match="no answer in time"):
        ask(port, timeout=0.5)


def test_a_handshake_that_never_comes_ends_at_the_timeout(authority: Authority) -> None:
    def silent(connection: socket.socket) -> None:
        connection.recv(10_000)
        time.sleep(3)

    with server(silent) as port, pytest.raises(TransportError, match="no answer in time"):
        ask(port, ca=authority.pem, timeout=0.3)


def test_a_closed_port_is_told_plainly() -> None:
    with server(answering(OK)) as port:
        pass
    with pytest.raises(TransportError, match=rf"127\.0\.0\.1:{port}: Connection refused"):
        ask(port)


def test_a_name_that_does_not_exist_is_told_plainly() -> None:
    with pytest.raises(TransportError, match=r"the name nowhere\.invalid cannot be resolved|no answer in time"):
        ask(1, host="nowhere.invalid")


def test_a_connection_is_kept_and_made_anew_when_it_was_closed(authority: Authority) -> None:
    connections = []

    def two_each(connection: socket.socket) -> None:
        connections.append(1)
        for _ in range(2):
            if connection.recv(65_536):
                connection.sendall(OK)

    with server(two_each, authority.server_context("127.0.0.1")) as port:
        connection = Connection(endpoint(f"https://127.0.0.1:{port}"), context(authority.pem))
        for _ in range(5):
            assert complete(connection.request("GET / HTTP/1.1\r\n", b"", 5.0)).body == b"hi"
            time.sleep(0.02)
        connection.close()
    assert len(connections) == 3


def test_a_large_body_is_sent_whole(authority: Authority) -> None:
    got = []

    def count(connection: socket.socket) -> None:
        size = 0
        while size < 3_000_000:
            size += len(connection.recv(65_536))
        got.append(size)
        connection.sendall(OK)

    with server(count, authority.server_context("127.0.0.1")) as port:
        connection = Connection(endpoint(f"https://127.0.0.1:{port}"), context(authority.pem))
        complete(connection.request("POST / HTTP/1.1\r\n", bytes(3_000_000), 10.0))
        connection.close()
    assert got[0] > 3_000_000


def test_an_answer_without_a_body_need_not_say_how_long_it_is() -> None:
    assert length(204, {}) == 0
    with pytest.raises(TransportError):
        length(200, {})
    with pytest.raises(TransportError):
        length(200, {"content-length": str(MAX_ANSWER + 1)})


def test_header_names_are_in_lower_case() -> None:
    assert parse_head(b"HTTP/1.1 204 No Content\r\nWatchdesk-Time:  1.5 ") == (204, {"watchdesk-time": "1.5"})
