"""The mail of a ticket: headers that keep a conversation together and answering machines quiet, text and HTML.

Threads as RFC 5322 (3.6.4) has them; `Auto-Submitted` as RFC 3834; `X-Auto-Response-Suppress` is Exchange's.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

from ticketing import clean, text
from ticketing.adapters.adapter import Message


def compose(message: Message, sender: str, sender_name: str, to: Sequence[str]) -> EmailMessage:
    """Return the mail. Its Message-ID is the same on every try, so that a repetition can be told."""
    mail = EmailMessage(policy=policy.SMTP)
    root = _message_id(message, 0)
    mail["From"] = _address(sender, clean.line(sender_name))
    mail["To"] = [_address(address) for address in to]
    subject = text.subject(message.opening, message.language)
    mail["Subject"] = subject if message.sequence == 0 else f"Re: {subject}"
    mail["Date"] = format_datetime(datetime.fromtimestamp(message.entries[0].at, UTC))
    mail["Message-ID"] = _message_id(message, message.sequence)
    if message.sequence:
        mail["In-Reply-To"] = root
        mail["References"] = root
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail["Precedence"] = "bulk"
    mail["X-Watchdesk-Incident"] = message.incident.number
    mail["X-Watchdesk-Key"] = clean.line(message.incident.key).encode("ascii", "backslashreplace").decode()
    if message.incident.priority == 1:
        mail["Importance"] = "high"
    told = text.Ticket(message.incident, message.evidence, message.language, message.timezone, message.url)
    mail.set_content(told.message(message.entries), cte="quoted-printable")
    mail.add_alternative(told.message_html(message.entries), subtype="html", cte="quoted-printable")
    return mail


def _message_id(message: Message, sequence: int) -> str:
    return f"<inc-{message.thread}.{sequence}@{message.domain}>"


def _address(address: str, name: str = "") -> Address:
    user, _, domain = address.rpartition("@")
    return Address(name, user, domain)
