"""Enrolling this machine with a token, and retiring it. Runs as a command, so it may import what it likes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import platform
import sys
from typing import NamedTuple

from agent import __version__
from agent.answer import Answer
from agent.connection import Connection
from agent.endpoint import Proxy, context, endpoint
from agent.errors import EnrolmentError, TransportError
from agent.loop import complete
from agent.state import Enrolment

PREFIX = "wde_"
TIMEOUT = 20.0
SYSTEMS = {"linux": "linux", "win32": "windows", "darwin": "macos"}


class Token(NamedTuple):
    """What an enrolment token says: where to go, the SHA-256 of the CA that is to be found there, and the secret."""

    url: str
    fingerprint: str
    secret: str


def read_token(text: str) -> Token:
    """Return what a token says.

    Raises:
        EnrolmentError: it is no token, or only a part of one.
    """
    broken = EnrolmentError("this is not a whole enrolment token; copy it again, from wde_ to its end")
    text = text.strip()
    if not text.startswith(PREFIX):
        raise broken
    encoded = text[len(PREFIX) :]
    try:
        said = json.loads(base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        raise broken from None
    if not isinstance(said, dict) or not isinstance(said.get("u"), str) or not isinstance(said.get("s"), str):
        raise broken
    fingerprint = said.get("f", "")
    if not isinstance(fingerprint, str) or (said["u"].startswith("https:") and len(fingerprint) != 64):
        raise broken
    return Token(said["u"].rstrip("/"), fingerprint.lower(), said["s"])


def fetch_ca(token: Token, proxy: Proxy | None = None) -> str:
    """Return the collector's CA, once its fingerprint is the one that the token names; "" for a plain http:// URL.

    Raises:
        EnrolmentError: it is another.
        TransportError: it cannot be had.
    """
    where = endpoint(token.url)
    if not where.tls:
        return ""
    connection = Connection(where, context(None), proxy=proxy)
    answer = complete(connection.request("GET /v1/ca HTTP/1.1\r\n", b"", TIMEOUT))
    connection.close()
    if answer.status != 200:
        raise TransportError(
            f"{token.url} answered {answer.status} when asked for its CA; is it a Watchdesk collector?"
        )
    import ssl  # late: the running agent does without

    text = answer.body.decode("ascii", "replace")
    try:
        der = ssl.PEM_cert_to_DER_cert(text)
    except ValueError:
        raise EnrolmentError(f"what {token.url} gave as its CA is no certificate") from None
    if not hmac.compare_digest(hashlib.sha256(der).hexdigest(), token.fingerprint):
        raise EnrolmentError(
            f"the CA of {token.url} is not the one that the token names: something stands between, "
            "or the token is of another collector; nothing was sent"
        )
    return text


def enrol(token: Token, *, name: str = "", klass: str = "", proxy: Proxy | None = None) -> Enrolment:
    """Ask the collector to take this machine in; the name is this machine's unless another is given.

    Raises:
        EnrolmentError: it refuses, and why.
        TransportError: it cannot be reached.
    """
    ca = fetch_ca(token, proxy)
    request = {
        "token": token.secret,
        "hostname": name or platform.node().split(".")[0],
        "os": SYSTEMS.get(sys.platform, sys.platform),
        "version": __version__,
    }
    if klass:
        request["class"] = klass
    answer = _post(token.url, ca, "/v1/enrol", "", json.dumps(request).encode(), proxy)
    said = _read(answer)
    if answer.status != 201:
        raise EnrolmentError(_refusal(answer.status, said))
    device, secret, interval = said.get("device"), said.get("token"), said.get("interval", 10.0)
    if not isinstance(device, str) or not isinstance(secret, str) or not secret.isprintable() or " " in secret:
        raise TransportError(f"{token.url} gave no device and token; is it a Watchdesk collector?")
    if not isinstance(interval, int | float) or not 1 <= interval <= 3_600:
        interval = 10.0
    key = said.get("diagnosis_key", "")
    return Enrolment(_line(device), token.url, float(interval), secret, ca, _key(key) if isinstance(key, str) else "")


def retire(enrolment: Enrolment, proxy: Proxy | None = None) -> None:
    """Tell the collector that this machine is no longer watched, and its token void.

    Raises:
        TransportError: it could not be told.
    """
    answer = _post(enrolment.url, enrolment.ca, "/v1/retire", enrolment.token, b"", proxy)
    if answer.status not in (200, 204, 401):  # 401: it is retired already
        raise TransportError(f"the collector answered {answer.status}")


def _post(url: str, ca: str, path: str, bearer: str, body: bytes, proxy: Proxy | None) -> Answer:
    where = endpoint(url)
    connection = Connection(where, context(ca) if where.tls else None, proxy=proxy)
    head = f"POST {path} HTTP/1.1\r\nContent-Type: application/json\r\n"
    if bearer:
        head += f"Authorization: Bearer {bearer}\r\n"
    try:
        return complete(connection.request(head, body, TIMEOUT))
    finally:
        connection.close()


def _read(answer: Answer) -> dict[str, object]:
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _key(text: str) -> str:
    """Return the key that requests for diagnoses are signed with, if it is one: 32 bytes in base64."""
    try:
        return text if len(base64.b64decode(text, validate=True)) == 32 else ""
    except (ValueError, binascii.Error):
        return ""


def _refusal(status: int, said: dict[str, object]) -> str:
    why = _line(str(said.get("error", "")))[:200]
    if status == 403:
        return f"the token is not valid: {why or 'wrong, expired or used'}; ask for a new one"
    if status == 409:
        return f"a device of this name is enrolled and alive: {why}; retire it there, or use --name"
    return f"the collector refused with {status}: {why or 'it did not say why'}"


def _line(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
