"""Delivers over SMTP (RFC 5321), encrypted unless told otherwise."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from ticketing.adapters import adapter
from ticketing.adapters.adapter import Message
from ticketing.adapters.email.template import compose
from ticketing.errors import SettingsError, TransportError

Address = Annotated[str, msgspec.Meta(pattern=r'^[^@\s<>,;:"()\\]{1,64}@[^@\s<>,;:"()\\]{1,255}$')]
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})
# A wrong password, or a server that wants one first, is the provider's to mend: the mail waits for it.
_MENDABLE: Final = frozenset({530, 534, 535, 538})


class Settings(adapter.Settings, frozen=True):
    """Where the mail goes, and through which server."""

    to: Annotated[list[Address], msgspec.Meta(min_length=1, max_length=50)]
    sender: Address
    host: str
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    ca_file: str = ""  # by default the system's certificate authorities
    user: str = ""
    password_file: str = ""
    sender_name: str = "Watchdesk"
    timeout: Annotated[float, msgspec.Meta(gt=0, le=60)] = 20.0

    def open(self, folder: Path) -> EmailTransport:
        """Return the transport."""
        if self.security == "none" and self.user and self.host not in _LOCAL:
            raise SettingsError("A password is not sent over an open connection; set security", "$.security")
        password = adapter.secret(folder, self.password_file, "$.password_file") if self.password_file else ""
        if bool(self.user) != bool(password):
            raise SettingsError("user and password_file go together", "$.user")
        try:
            context = ssl.create_default_context(cafile=str(folder / self.ca_file) if self.ca_file else None)
        except OSError as error:
            raise SettingsError(f"{self.ca_file} cannot be read ({error})", "$.ca_file") from None
        return EmailTransport(self, password, context)


class EmailTransport:
    """Sends each message over a connection of its own: they are rare, and servers close idle ones."""

    def __init__(self, settings: Settings, password: str, context: ssl.SSLContext) -> None:
        self._settings = settings
        self._password = password
        self._context = context

    def deliver(self, message: Message) -> str:
        """Send the mail; return "": mail has no ticket number. Raises TransportError."""
        mail = compose(message, self._settings.sender, self._settings.sender_name, self._settings.to)
        with _told_apart("connecting"):
            server = self._connect()
        try:
            self._send(server, mail)
        finally:
            server.close()
        return ""

    def _connect(self) -> smtplib.SMTP:
        given = self._settings
        if given.security == "tls":
            secure = smtplib.SMTP_SSL(given.host, given.port, timeout=given.timeout, context=self._context)
            server: smtplib.SMTP = secure
        else:
            server = smtplib.SMTP(given.host, given.port, timeout=given.timeout)
        try:
            if given.security == "starttls":
                server.starttls(context=self._context)
            if given.user:
                server.login(given.user, self._password)
        except (OSError, smtplib.SMTPException):
            server.close()
            raise
        return server

    def _send(self, server: smtplib.SMTP, mail: EmailMessage) -> None:
        with _told_apart("addressing"):
            server.ehlo_or_helo_if_needed()
            code, answer = server.mail(self._settings.sender)
            if code != 250:
                raise smtplib.SMTPSenderRefused(code, answer, self._settings.sender)
            refused = {}
            for address in self._settings.to:
                code, answer = server.rcpt(address)
                if code not in (250, 251):
                    refused[address] = (code, answer)
            if len(refused) == len(self._settings.to):
                raise smtplib.SMTPRecipientsRefused(refused)
        with _told_apart("sending", uncertain=True):
            code, answer = server.data(mail.as_bytes())
            if code != 250:
                raise smtplib.SMTPDataError(code, answer)


@contextmanager
def _told_apart(step: str, *, uncertain: bool = False) -> Iterator[None]:
    """Turn what goes wrong into a TransportError; `uncertain` where silence does not mean that nothing arrived."""
    try:
        yield
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        said = "; ".join(f"{address}: {code} {_text(answer)}" for address, (code, answer) in error.recipients.items())
        raise TransportError(f"{step}: {said}", permanent=min(codes) >= 500) from error
    except smtplib.SMTPResponseException as error:
        permanent = error.smtp_code >= 500 and error.smtp_code not in _MENDABLE
        raise TransportError(f"{step}: {error.smtp_code} {_text(error.smtp_error)}", permanent) from error
    except ssl.SSLCertVerificationError as error:
        raise TransportError(f"{step}: {error.verify_message}") from error
    except (OSError, smtplib.SMTPException) as error:
        raise TransportError(f"{step}: {str(error) or type(error).__name__}", uncertain=uncertain) from error


def _text(answer: bytes | str) -> str:
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
