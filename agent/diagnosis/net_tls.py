"""net.tls, net.http, cert.chain: what a server shows and answers, and what is wrong with its certificates."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import time
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from agent.diagnosis.arguments import PATH, target, text, url, whole
from agent.diagnosis.catalogue import Found, diagnosis
from agent.diagnosis.errors import NotFound
from agent.diagnosis.tls import SECONDS, look_at
from agent.diagnosis.words import DAY, moment
from agent.heavy.der import certificates
from agent.redact import clean, redact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.diagnosis.catalogue import Look
    from agent.diagnosis.tls import Shown
    from agent.heavy.der import Certificate

SOON = 21  # days
OLD = ("SSLv3", "TLSv1", "TLSv1.1")
MAX_FILE = 1 << 20
MAX_BODY = 1 << 20
SLOW = 3.0
REDIRECTS = range(301, 309)
PARTS = ("resolve", "connect", "tls", "answer")

FINE = "certificate of %(host)s:%(port)s is good until %(date)s (%(days)s days)"
EXPIRED = "certificate of %(host)s:%(port)s expired %(days)s days ago (%(date)s)"
EXPIRED_TODAY = "certificate of %(host)s:%(port)s expired %(hours)s hours ago (%(date)s)"
SOON_OVER = "certificate of %(host)s:%(port)s expires in %(days)s days (%(date)s)"
NOT_YET = "certificate of %(host)s:%(port)s is valid from %(date)s only; the clock here may be wrong"
WRONG_NAME = "certificate of %(host)s:%(port)s is for %(names)s, not for %(name)s"
SELF_SIGNED = "certificate of %(host)s:%(port)s is signed by itself (%(subject)s): nobody vouches for it"
NO_ISSUER = (
    "certificate of %(host)s:%(port)s is signed by %(issuer)s, whose certificate the server does not send and "
    "this machine does not have"
)
UNTRUSTED = "certificate of %(host)s:%(port)s is not trusted here: %(reason)s"
CHAIN_EXPIRED = (
    "certificate of %(host)s:%(port)s is good, but that of %(subject)s in its chain expired %(days)s days ago"
)
OLD_TLS = "%(host)s:%(port)s speaks %(protocol)s, which is out of date; its certificate is good for %(days)s days"
NO_TLS = "%(host)s:%(port)s takes connections, but does not come to an agreement on TLS: %(reason)s"
NO_CONNECTION = "No connection to %(host)s:%(port)s: %(reason)s"
FILE_EXPIRED = "certificate %(subject)s in %(path)s expired %(days)s days ago (%(date)s)"
FILE_FINE = "certificate %(subject)s in %(path)s is good until %(date)s (%(days)s days)"

STATUS = "%(url)s answers %(status)s %(reason)s after %(milliseconds)s ms"
REDIRECT = "%(url)s answers %(status)s and sends to %(location)s"
SERVER_ERROR = "%(url)s fails: %(status)s %(reason)s, after %(milliseconds)s ms"
CLIENT_ERROR = "%(url)s is refused: %(status)s %(reason)s"
SLOWLY = "%(url)s answers %(status)s, but slowly: %(part)s takes %(milliseconds)s of %(whole)s ms"
NO_HTTP = "%(url)s cannot be had: %(part)s fails, %(reason)s"

CERTIFICATE = {
    "subject": "name", "issuer": "name", "not_before": "number", "not_after": "number", "names": ["name"],
    "days": "number",
}  # fmt: skip
CHAIN = {
    "chain": [CERTIFICATE], "protocol": "name", "cipher": "name", "distrust": "name", "milliseconds": "number",
}  # fmt: skip
TLS_FINDINGS = (
    FINE, EXPIRED, EXPIRED_TODAY, SOON_OVER, NOT_YET, WRONG_NAME, SELF_SIGNED, NO_ISSUER, UNTRUSTED, CHAIN_EXPIRED,
    OLD_TLS, NO_TLS, NO_CONNECTION,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Where to look; `name` is the one to ask for, if it is not `host`."""

    host: str = target()
    port: int = whole(443, 1, 65_535)
    name: str = target("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Where to look: a file or a port of this machine by `source` (`443/tcp`), else a host."""

    source: str = text("", most=256, pattern=rf"{PATH}|\d{{1,5}}/tcp|")
    host: str = target("")
    port: int = whole(443, 1, 65_535)


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """What to ask for; nothing behind a question mark."""

    url: str = url()


@diagnosis("net.tls", Tls, privacy="health", seconds=20, findings=TLS_FINDINGS, output=CHAIN)
def tls(look: Look, asked: Tls) -> Found:
    """What a server shows by TLS: whether its certificate is good, for whom, and until when."""
    return _examine(look, asked.host, asked.port, asked.name or asked.host.strip("[]"))


@diagnosis(
    "cert.chain", Chain, privacy="health", seconds=20, findings=(*TLS_FINDINGS, FILE_EXPIRED, FILE_FINE), output=CHAIN
)
def chain(look: Look, asked: Chain) -> Found:
    """A chain of certificates, of a server or in a file: who signed what, and what is missing or over."""
    port, mark, kind = asked.source.partition("/")
    if port.isdecimal() and mark and kind == "tcp":
        return _examine(look, "127.0.0.1", int(port), "localhost", named=False)
    if asked.source:
        return _of_file(look, asked.source)
    if not asked.host:
        raise NotFound("a source or a host to look at")
    return _examine(look, asked.host, asked.port, asked.host.strip("[]"))


def _examine(look: Look, host: str, port: int, name: str, *, named: bool = True) -> Found:
    try:
        shown = look_at(host, port, name)
    except OSError as error:
        reason = error.strerror or ("no answer" if isinstance(error, TimeoutError) else type(error).__name__)
        return Found(NO_CONNECTION, {"host": host, "port": port, "reason": reason})
    data: dict[str, object] = {
        "chain": [_row(one, look.now) for one in shown.served], "protocol": shown.protocol, "cipher": shown.cipher,
        "distrust": shown.distrust, "milliseconds": round(1000 * shown.seconds, 1),
    }  # fmt: skip
    text, values = judge(shown, name, look.now, named=named)
    return Found(text, {"host": host, "port": port, "name": name, **values}, data)


def _row(one: Certificate, now: float) -> dict[str, object]:
    return {
        "subject": one.subject, "issuer": one.issuer, "not_before": one.not_before, "not_after": one.not_after,
        "names": one.names[:50], "days": round((one.not_after - now) / DAY, 1),
    }  # fmt: skip


def judge(shown: Shown, name: str, now: float, *, named: bool = True) -> tuple[str, dict[str, str | float]]:
    """Return what is wrong, the plainest cause first; `named` unless it is asked by a name that it need not have."""
    if not shown.served:
        return NO_TLS, {"reason": shown.error or "no certificate was sent"}
    leaf = shown.served[0]
    values = _dates(leaf.not_after, now)
    if leaf.not_after < now:
        return (EXPIRED if now - leaf.not_after >= DAY else EXPIRED_TODAY), values
    if leaf.not_before > now:
        return NOT_YET, {"date": moment(leaf.not_before, now)}
    over = next((one for one in shown.served[1:] if one.not_after < now), None)
    if over is not None and shown.distrust:
        return CHAIN_EXPIRED, {"subject": clean(over.subject, 100), **_dates(over.not_after, now)}
    if named and not covers(leaf, name):
        return WRONG_NAME, {"names": clean(", ".join(leaf.names[:5]) or leaf.subject, 200)}
    if shown.distrust and named:
        if leaf.issuer == leaf.subject:
            return SELF_SIGNED, {"subject": clean(leaf.subject, 100)}
        if "local issuer" in shown.distrust:
            return NO_ISSUER, {"issuer": clean(shown.served[-1].issuer, 100)}
        return UNTRUSTED, {"reason": clean(shown.distrust, 200)}
    if shown.protocol in OLD:
        return OLD_TLS, {"protocol": shown.protocol, **values}
    return (SOON_OVER if leaf.not_after - now < SOON * DAY else FINE), values


def _dates(at: float, now: float) -> dict[str, str | float]:
    return {
        "days": int(abs(at - now) // DAY), "hours": int(abs(at - now) // 3600),
        "date": time.strftime("%Y-%m-%d %H:%M", time.localtime(at)),
    }  # fmt: skip


def covers(leaf: Certificate, name: str) -> bool:
    """Whether a certificate is for a name: exactly, or by a star for its first part (RFC 6125)."""
    wanted = name.lower().rstrip(".")
    for one in leaf.names or [leaf.subject]:
        known = one.lower().rstrip(".")
        if known == wanted or (known.startswith("*.") and wanted.partition(".")[2] == known[2:] and "." in wanted):
            return True
    return False


def _of_file(look: Look, path: str) -> Found:
    """Look at the certificates in a file; nothing else of it is told."""
    where = look.host.root + path
    try:
        if os.path.getsize(where) > MAX_FILE:
            raise NotFound(f"{path} is too large to be a certificate")
        with open(where, "rb") as file:
            found = certificates(file.read(MAX_FILE))
    except OSError as error:
        raise NotFound(f"{path}: {error.strerror}") from error
    if not found:
        raise NotFound(f"a certificate in {path}")
    first = min(found, key=lambda one: one.not_after)
    values = {"subject": clean(first.subject, 100), "path": path, **_dates(first.not_after, look.now)}
    data = {"chain": [_row(one, look.now) for one in found[:20]]}
    return Found(FILE_EXPIRED if first.not_after < look.now else FILE_FINE, values, data)


@diagnosis(
    "net.http", Http, privacy="health", seconds=25,
    findings=(STATUS, REDIRECT, SERVER_ERROR, CLIENT_ERROR, SLOWLY, NO_HTTP),
    output={"status": "number", "reason": "name", "server": "name", "type": "name", "location": "text",
            "bytes": "number", **dict.fromkeys(PARTS, "number")},
)  # fmt: skip
def http_(_look: Look, asked: Http) -> Found:
    """Whether an address of HTTP answers, with what, and what takes the time; redirects are told, not followed."""
    address = redact(asked.url.partition("?")[0], 300)
    steps = Steps()
    try:
        return _told(address, _get(urlsplit(asked.url), steps), steps.times)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Found(NO_HTTP, {"url": address, "part": steps.now, "reason": _why(error)}, _milliseconds(steps.times))
    finally:
        steps.close()


class Steps:
    """How long each part took, which one is under way, and what is to be closed at the end."""

    __slots__ = ("_since", "now", "opened", "times")

    def __init__(self) -> None:
        self.times: dict[str, float] = {}
        self.now = ""
        self._since = 0.0
        self.opened: list[http.client.HTTPConnection | socket.socket] = []

    def next(self, part: str) -> None:
        """Begin a part; "" ends the last."""
        now = time.monotonic()
        if self.now:
            self.times[self.now] = now - self._since
        self.now, self._since = part or self.now, now

    def close(self) -> None:
        """Hang up."""
        for one in self.opened:
            one.close()


def _get(where: SplitResult, steps: Steps) -> http.client.HTTPResponse:
    host, port = where.hostname or "", where.port or (443 if where.scheme == "https" else 80)
    steps.next("resolve")
    family, kind, protocol, _, place = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0]
    steps.next("connect")
    plain = socket.socket(family, kind, protocol)
    steps.opened.append(plain)
    plain.settimeout(SECONDS)
    plain.connect(place)
    if where.scheme == "https":
        steps.next("tls")
        plain = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
    steps.next("answer")
    connection = http.client.HTTPConnection(host, port, timeout=SECONDS)
    steps.opened.insert(0, connection)
    connection.sock = plain
    connection.request("GET", where.path or "/", headers={"User-Agent": "watchdesk-agent", "Accept": "*/*"})
    answer = connection.getresponse()
    steps.next("")
    return answer


def _milliseconds(times: dict[str, float]) -> dict[str, object]:
    return {name: round(1000 * seconds, 1) for name, seconds in times.items()}


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return clean(error.verify_message, 200)
    if isinstance(error, TimeoutError):
        return "no answer"
    return clean(getattr(error, "strerror", None) or type(error).__name__, 200)


def _told(address: str, answer: http.client.HTTPResponse, times: dict[str, float]) -> Found:
    length = len(answer.read(MAX_BODY))
    location = redact((answer.getheader("Location") or "").partition("?")[0], 300)
    server, kind = answer.getheader("Server") or "", answer.getheader("Content-Type") or ""
    data: dict[str, object] = {
        "status": answer.status, "reason": clean(answer.reason, 60), "server": clean(server, 100),
        "type": clean(kind, 100), "location": location, "bytes": length, **_milliseconds(times),
    }  # fmt: skip
    whole = sum(times.values())
    slowest = max(times, key=lambda name: times[name])
    values: dict[str, str | float] = {
        "url": address, "status": answer.status, "reason": clean(answer.reason, 60), "location": location,
        "milliseconds": round(1000 * whole), "whole": round(1000 * whole), "part": slowest,
    }  # fmt: skip
    if answer.status >= 500:
        return Found(SERVER_ERROR, values, data)
    if answer.status >= 400:
        return Found(CLIENT_ERROR, values, data)
    if answer.status in REDIRECTS and location:
        return Found(REDIRECT, values, data)
    if whole > SLOW:
        return Found(SLOWLY, {**values, "milliseconds": round(1000 * times[slowest])}, data)
    return Found(STATUS, values, data)
