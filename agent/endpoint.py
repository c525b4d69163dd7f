"""Where the collector is, what stands before it, and whom to trust there."""

from __future__ import annotations

import _ssl
import binascii

from agent.errors import CertificateError, TransportError

_TLS_1_2 = 0x0303


class Endpoint:
    """Where the collector is."""

    __slots__ = ("host", "port", "tls")

    def __init__(self, host: str, port: int, *, tls: bool) -> None:
        self.host = host
        self.port = port
        self.tls = tls

    @property
    def authority(self) -> str:
        """Host and port as a URL has them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Proxy:
    """An HTTP proxy that connects us through; `head` is the rest of the request to it, which holds its password."""

    __slots__ = ("head", "where")

    def __init__(self, where: Endpoint, user: str, password: str) -> None:
        self.where = where
        self.head = "\r\n"
        if user:
            secret = binascii.b2a_base64(f"{user}:{password}".encode(), newline=False).decode()
            self.head = f"Proxy-Authorization: Basic {secret}\r\n\r\n"


def proxy(url: str, password: str = "") -> Proxy:
    """Return the proxy of a URL such as `http://proxy.example:3128` or `http://user:password@proxy.example:3128`.

    Raises:
        TransportError: it is no such URL; its text, which may hold a password, is not told.
    """
    scheme, _, rest = url.rstrip("/").partition("://")
    account, at, authority = rest.rpartition("@")
    user, colon, own = account.partition(":")
    try:
        if scheme != "http":
            raise TransportError(scheme)
        where = endpoint(f"http://{authority}")
    except TransportError:
        raise TransportError("the proxy is not given as http://HOST:PORT or http://USER:PASSWORD@HOST:PORT") from None
    return Proxy(where, _unquoted(user) if at else "", _unquoted(own) if colon else password)


def _unquoted(text: str) -> str:
    """Return a part of a URL without its %XX; urllib would cost 1 MB."""
    first, *rest = text.split("%")
    data = first.encode()
    for part in rest:
        try:
            data += bytes.fromhex(part[:2]) + part[2:].encode()
        except ValueError:
            data += b"%" + part.encode()
    return data.decode("utf-8", "replace")


def endpoint(url: str) -> Endpoint:
    """Return where a URL such as `https://collector.example:8443` or `https://[::1]:8443` leads.

    Raises:
        TransportError: it is no such URL.
    """
    scheme, _, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    host, bracket, port = authority.rpartition("]") if "]" in authority else ("", "", authority)
    if bracket:
        host = host.lstrip("[")
        port = port.lstrip(":")
    else:
        host, colon, port = authority.partition(":")
        port = port if colon else ""
    number = port or ("443" if scheme == "https" else "80")
    if scheme not in ("https", "http") or not host or path or not number.isdigit() or not 0 < int(number) < 65_536:
        raise TransportError(f"{url} is not an address such as https://collector.example:8443")
    return Endpoint(host, int(number), tls=scheme == "https")


def context(ca: str | None) -> _ssl._SSLContext:
    """Return a TLS context that trusts this CA (PEM) alone; with None it trusts everybody and checks nothing.

    Raises:
        CertificateError: there is no certificate in it.
    """
    made = _ssl._SSLContext(_ssl.PROTOCOL_TLS_CLIENT)  # noqa: SLF001
    made.minimum_version = _TLS_1_2
    if ca is None:
        made.check_hostname = False
        made.verify_mode = _ssl.CERT_NONE
        return made
    try:
        made.load_verify_locations(None, None, ca)
    except (_ssl.SSLError, ValueError, TypeError) as error:
        raise CertificateError("the CA certificate cannot be read; enrol again") from error
    return made
