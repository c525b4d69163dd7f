"""The JSON of a ticket, and its signature as the specification "Standard Webhooks" has it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any, Final

import msgspec

from ticketing import evidence, text
from ticketing.adapters.adapter import Message
from ticketing.incident import TimelineEntry, rfc3339, to_json

_PREFIX: Final = "whsec_"


def compose(message: Message) -> bytes:
    """Return the body; it is data throughout, and whoever shows it must escape it for where it is shown."""
    told = text.Ticket(message.incident, message.evidence, message.language, message.timezone, message.url)
    return msgspec.json.encode(
        {
            "version": 1,
            "key": message.key,
            "type": f"incident.{message.events[-1]}",
            "url": message.url,
            "thread": message.thread,
            "sequence": message.sequence,
            "incident": {**to_json(message.incident), "evidence": evidence.to_json(message.evidence)},
            "changes": [_change(entry) for entry in message.entries],
            "subject": told.subject,
            "text": told.message(message.entries),
        }
    )


def key_of(secret: str) -> bytes:
    """Return the key behind a secret: base64 after `whsec_`, or the text itself. Raises ValueError for bad base64."""
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("what follows whsec_ is no base64") from error


def signature(key: bytes, name: str, timestamp: int, body: bytes) -> str:
    """Return the header `webhook-signature`: HMAC-SHA256 over name, time and body."""
    digest = hmac.new(key, f"{name}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def _change(entry: TimelineEntry) -> dict[str, Any]:
    shown = {name: entry.data[name] for name in ("set", "was", "text") if name in entry.data}
    told = {"at": rfc3339(entry.at), "actor": entry.actor, "action": entry.action, "reason": entry.reason}
    return {**told, "internal": entry.internal, **shown}
