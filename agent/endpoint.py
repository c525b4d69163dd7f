"""Where the collector is, and whom to trust there."""

from __future__ import annotations

import _ssl

from agent.errors import CertificateError, TransportError

_TLS_1_2 = 0x0303


class Endpoint:
    """Where the collector is."""

    __slots__ = ("host", "port", "tls")

    def __init__(self, host: str, port: int, *, tls: bool) -> None:
        self.host = host
        self.port = port
        self.tls = tls


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
