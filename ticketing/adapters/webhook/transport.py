"""Delivers by POST over HTTP/1.1; an answer of 2xx is the only yes."""

from __future__ import annotations

import http.client
import re
import ssl
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec

from ticketing import clean
from ticketing.adapters import adapter
from ticketing.adapters.adapter import Message
from ticketing.adapters.webhook.template import compose, key_of, signature
from ticketing.errors import SettingsError, TransportError

_ANSWER: Final = 4_096  # bytes of an answer that are read
_WAIT: Final = 3_600.0  # seconds that a recipient may ask us to wait at most
# The server is there and does not want this message, now or ever; all else may be better another time.
_FINAL: Final = frozenset({400, 405, 406, 410, 411, 413, 414, 415, 422, 431})


class Settings(adapter.Settings, frozen=True):
    """Where to POST, and what signs it."""

    url: Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s\x00-\x1f]+$", max_length=2000)]
    secret_file: str = ""
    ca_file: str = ""
    headers_file: str = ""  # lines of `Name: value` that are sent along, such as Authorization
    timeout: Annotated[float, msgspec.Meta(gt=0, le=60)] = 20.0

    def open(self, folder: Path) -> WebhookTransport:
        """Return the transport."""
        key = b""
        if self.secret_file:
            try:
                key = key_of(adapter.secret(folder, self.secret_file, "$.secret_file"))
            except ValueError as error:
                raise SettingsError(str(error), "$.secret_file") from None
        try:
            context = ssl.create_default_context(cafile=str(folder / self.ca_file) if self.ca_file else None)
        except OSError as error:
            raise SettingsError(f"{self.ca_file} cannot be read ({error})", "$.ca_file") from None
        headers = _headers(adapter.secret(folder, self.headers_file, "$.headers_file")) if self.headers_file else {}
        return WebhookTransport(self, key, context, headers)


class WebhookTransport:
    """Makes one connection for each message, follows no redirect, and reads little of the answer."""

    def __init__(self, settings: Settings, key: bytes, context: ssl.SSLContext, headers: dict[str, str]) -> None:
        self._settings = settings
        self._key = key
        self._context = context
        self._headers = headers

    def deliver(self, message: Message) -> str:
        """POST the message; return "". Raises TransportError."""
        body, stamp = compose(message), int(message.at)
        headers = {
            **self._headers,
            "Content-Type": "application/json",
            "User-Agent": "Watchdesk",
            "Webhook-Id": message.key,
            "Webhook-Timestamp": str(stamp),
            "Idempotency-Key": message.key,
        }
        if self._key:
            headers["Webhook-Signature"] = signature(self._key, message.key, stamp, body)
        self._post(body, headers)
        return ""

    def _post(self, body: bytes, headers: dict[str, str]) -> None:
        url = urlsplit(self._settings.url)
        connection = self._connection(url.hostname or "", url.port)
        sent = False
        try:
            connection.connect()
            target = url.path or "/"
            connection.request("POST", f"{target}?{url.query}" if url.query else target, body, headers)
            sent = True
            answer = connection.getresponse()
            said = answer.read1(_ANSWER)
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            raise TransportError(f"{type(error).__name__}: {error}", uncertain=sent) from error
        finally:
            connection.close()
        if not 200 <= answer.status < 300:
            raise _refusal(answer, said)

    def _connection(self, host: str, port: int | None) -> http.client.HTTPConnection:
        if self._settings.url.startswith("https:"):
            return http.client.HTTPSConnection(host, port, timeout=self._settings.timeout, context=self._context)
        return http.client.HTTPConnection(host, port, timeout=self._settings.timeout)


def _refusal(answer: http.client.HTTPResponse, said: bytes) -> TransportError:
    text = clean.line(said.decode("utf-8", "replace"), 200)
    # A server that failed half-way may have taken it.
    return TransportError(
        f"HTTP {answer.status} {text}".strip(),
        permanent=answer.status in _FINAL,
        uncertain=answer.status >= 500 and answer.status != http.HTTPStatus.SERVICE_UNAVAILABLE,
        retry_after=_retry_after(answer.headers.get("Retry-After", "")),
    )


def _retry_after(text: str) -> float | None:
    """Return the seconds of a Retry-After header (RFC 9110, 10.2.3); dates are left to our own backoff."""
    return min(float(text), _WAIT) if re.fullmatch(r"[0-9]{1,9}", text.strip()) else None


def _headers(text: str) -> dict[str, str]:
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if not re.fullmatch(r"[A-Za-z0-9-]{1,64}", name.strip()) or not value.strip().isprintable():
            raise SettingsError("a line is not `Name: value`", "$.headers_file")
        found[name.strip()] = value.strip()
    return found
