"""What people do to an incident: pure functions from the incident before to the one after, or `Refused`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ticketing.incident import Cause, PendingReason


class Deed(StrEnum):
    """What a person did; the `action` of the timeline entry."""

    ACKNOWLEDGE = "acknowledge"
    ASSIGN = "assign"
    START = "start"
    COMMENT = "comment"
    PEND = "pend"
    RESUME = "resume"
    RESOLVE = "resolve"
    REOPEN = "reopen"


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Seen: holds until things get worse. Is no work yet, so the incident may still resolve by itself."""


@dataclass(frozen=True, slots=True)
class Assign:
    """Give it to a user, or to nobody (None)."""

    owner: str | None


@dataclass(frozen=True, slots=True)
class Start:
    """Begin to work on it; it is then the actor's if it was nobody's."""


@dataclass(frozen=True, slots=True)
class Comment:
    """Write something; an internal comment is not for the customer's eyes."""

    text: str
    internal: bool = False


@dataclass(frozen=True, slots=True)
class Pend:
    """Wait for somebody or something, until a time or until resumed."""

    reason: PendingReason
    until: float | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Resume:
    """Stop waiting."""


@dataclass(frozen=True, slots=True)
class Resolve:
    """Say that it is done, and what it was."""

    cause: Cause
    text: str = ""


@dataclass(frozen=True, slots=True)
class Reopen:
    """Take a resolved incident up again."""

    text: str = ""


Act = Acknowledge | Assign | Start | Comment | Pend | Resume | Resolve | Reopen

DEEDS: Final[dict[type[Act], Deed]] = {
    Acknowledge: Deed.ACKNOWLEDGE,
    Assign: Deed.ASSIGN,
    Start: Deed.START,
    Comment: Deed.COMMENT,
    Pend: Deed.PEND,
    Resume: Deed.RESUME,
    Resolve: Deed.RESOLVE,
    Reopen: Deed.REOPEN,
}
