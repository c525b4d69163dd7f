"""What people do to an incident: pure functions from the incident before to the one after, or `Refused`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, assert_never

from msgspec.structs import replace

from ticketing import clean
from ticketing.decide import Reason
from ticketing.errors import Refused
from ticketing.incident import Cause, Hold, Incident, PendingReason, State, TimelineEntry
from ticketing.life import difference, working_state


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
    MERGE = "merge"
    SPLIT = "split"


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


@dataclass(frozen=True, slots=True)
class Merge:
    """Say that it is a part of another incident's fault (its id); correlation leaves it there."""

    parent: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class Split:
    """Say that it has a cause of its own; correlation never puts it under another again."""

    text: str = ""


Act = Acknowledge | Assign | Start | Comment | Pend | Resume | Resolve | Reopen | Merge | Split

DEEDS: Final[dict[type[Act], Deed]] = {
    Acknowledge: Deed.ACKNOWLEDGE,
    Assign: Deed.ASSIGN,
    Start: Deed.START,
    Comment: Deed.COMMENT,
    Pend: Deed.PEND,
    Resume: Deed.RESUME,
    Resolve: Deed.RESOLVE,
    Reopen: Deed.REOPEN,
    Merge: Deed.MERGE,
    Split: Deed.SPLIT,
}

_WORKABLE: Final = frozenset({State.OPEN, State.ACKNOWLEDGED, State.IN_PROGRESS, State.PENDING})


_TEXTS: Final = (Comment, Pend, Resolve, Reopen, Merge, Split)


def performed(before: Incident, act: Act, actor: str, now: float) -> Incident:
    """Return the incident after what a person does. Raises Refused if it does not fit the incident's state."""
    news = _news(before, act, actor, now)
    return replace(before, updated_at=now, noted_at=now, version=before.version + 1, **news)


def entry(before: Incident, after: Incident, act: Act, actor: str) -> TimelineEntry:
    """Return the timeline's entry of what a person did. Raises Refused for an empty comment."""
    text = clean.paragraph(act.text).strip() if isinstance(act, _TEXTS) else ""
    if isinstance(act, Comment) and not text:
        raise Refused("the comment is empty")
    data = difference(before, after)
    return TimelineEntry(
        id=0,
        incident=after.id,
        version=after.version,
        at=after.updated_at,
        actor=actor,
        action=DEEDS[type(act)].value,
        reason=Reason.BY_PERSON.value,
        internal=isinstance(act, Comment) and act.internal,
        data={**data, "text": text} if text else data,
    )


def _news(before: Incident, act: Act, actor: str, now: float) -> dict[str, Any]:
    match act:
        case Comment():
            return {"comments": before.comments + 1}
        case Reopen():
            return _reopened(before, actor)
    if not before.unresolved:
        raise Refused(f"{before.number} is {before.state.value}")
    match act:
        case Assign(owner):
            return {"owner": owner}
        case Resolve(cause):
            over = {"state": State.RESOLVED, "resolved_at": now, "resolved_by": actor, "cause": cause}
            return {**_NOT_WAITING, **_FREE, "flapping_since": None, **over}
        case Merge(parent):
            if parent == before.id:
                raise Refused("an incident is no part of itself")
            held = {"state": State.SUPPRESSED, "hold": Hold.PARENT, "hold_until": None}
            return {**_NOT_WAITING, **held, "parent": parent, "placed_by": actor}
        case Split():
            opens = {"opened_at": now} if before.hidden_since is not None else {}
            state = working_state(before) if before.state is State.SUPPRESSED else before.state
            return {**_FREE, **opens, "hidden_since": None, "state": state, "parent": None, "placed_by": actor}
    if before.state is State.SUPPRESSED:
        raise Refused(f"{before.number} is suppressed; work on what it is a part of, or split it off")
    if before.state not in _WORKABLE:
        raise Refused(f"{before.number} has recovered; resolve it, or wait whether it comes back")
    match act:
        case Acknowledge():
            if before.state is not State.OPEN:
                raise Refused(f"{before.number} is {before.state.value} already")
            return {"state": State.ACKNOWLEDGED, **_seen(before, actor, now)}
        case Start() | Resume():
            if before.state is State.IN_PROGRESS or (isinstance(act, Resume) and before.state is not State.PENDING):
                raise Refused(f"{before.number} is {before.state.value}")
            return {"state": State.IN_PROGRESS, **_NOT_WAITING, **_seen(before, actor, now), **_taken(before, actor)}
        case Pend(reason, until):
            if until is not None and until <= now:
                raise Refused("the time to wait for is past")
            waits = {"pending_reason": reason, "pending_until": until}
            return {"state": State.PENDING, **waits, **_seen(before, actor, now)}
    assert_never(act)


_NOT_WAITING: Final = {"pending_reason": None, "pending_until": None}
_FREE: Final = {"hold": None, "hold_until": None}


def _seen(before: Incident, actor: str, now: float) -> dict[str, Any]:
    return {} if before.acknowledged_at is not None else {"acknowledged_at": now, "acknowledged_by": actor}


def _taken(before: Incident, actor: str) -> dict[str, Any]:
    return {} if before.owner is not None else {"owner": actor}


def _reopened(before: Incident, actor: str) -> dict[str, Any]:
    if before.state is not State.RESOLVED:
        raise Refused(f"{before.number} is {before.state.value}; only a resolved incident can be reopened")
    over = dict.fromkeys(("recovered_at", "resolved_at", "resolved_by", "cause"))
    return {**over, "state": State.IN_PROGRESS, **_taken(before, actor)}
