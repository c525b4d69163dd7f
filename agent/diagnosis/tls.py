"""Looking at what a server shows by TLS: its certificates, whether they are trusted, and why not."""

from __future__ import annotations

import socket
import ssl
import time

from agent.heavy.der import Certificate, certificate

SECONDS = 5.0
MAX_CHAIN = 10


class Shown:
    """What a server showed: its certificates, the first its own; why it is not trusted, or nothing; the protocol."""

    __slots__ = ("cipher", "distrust", "error", "protocol", "seconds", "served")

    def __init__(self) -> None:
        self.served: list[Certificate] = []
        self.distrust = ""
        self.error = ""
        self.protocol = ""
        self.cipher = ""
        self.seconds = 0.0


def look_at(host: str, port: int, name: str, seconds: float = SECONDS) -> Shown:
    """Connect twice: once to see all there is, once as somebody who trusts what this machine trusts.

    Raises:
        OSError: no connection.
    """
    shown = Shown()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # it is looked at, not trusted; nothing is sent
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    started = time.monotonic()
    with socket.create_connection((host, port), timeout=seconds) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=name) as secured:
                shown.protocol = secured.version() or ""
                shown.cipher = (secured.cipher() or ("",))[0]
                shown.served = served(secured)
        except (OSError, ValueError) as error:
            shown.error = _reason(error)
            return shown
    shown.seconds = time.monotonic() - started
    shown.distrust = _distrust(host, port, name, seconds)
    return shown


def served(secured: ssl.SSLSocket) -> list[Certificate]:
    """Return the certificates that were sent; Python before 3.13 gives the whole chain by its inner object alone."""
    inner = getattr(secured, "_sslobj", None)
    whole = getattr(inner, "get_unverified_chain", None)
    encoded: list[bytes] = []
    if whole is not None:
        encoded = [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in whole() or ()]
    if not encoded:
        encoded = [secured.getpeercert(binary_form=True) or b""]
    found = []
    for one in encoded[:MAX_CHAIN]:
        try:
            found.append(certificate(one))
        except (ValueError, IndexError):
            continue
    return found


def _distrust(host: str, port: int, name: str, seconds: float) -> str:
    context = ssl.create_default_context()
    try:
        with (
            socket.create_connection((host, port), timeout=seconds) as plain,
            context.wrap_socket(plain, server_hostname=name),
        ):
            return ""
    except ssl.SSLCertVerificationError as error:
        return error.verify_message or str(error)
    except (OSError, ValueError) as error:
        return _reason(error)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "TLS failed").replace("_", " ").lower()
    if isinstance(error, TimeoutError):
        return "no answer"
    return getattr(error, "strerror", None) or type(error).__name__
