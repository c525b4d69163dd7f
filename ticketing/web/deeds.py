"""Forms on the incident page, read into what the store can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ticketing.incident import Cause, Incident, PendingReason, State
from ticketing.web.errors import BadRequest, Missing
from ticketing.web.visit import Visit
from ticketing.work import (
    Acknowledge,
    Act,
    Assign,
    Comment,
    Deed,
    Merge,
    Pend,
    Reopen,
    Resolve,
    Resume,
    Split,
    Start,
)

MAX_TEXT: Final = 8_000  # characters of a comment

# Which deeds a state leaves room for; the store has the last word.
_ROOM: Final[Mapping[State, frozenset[Deed]]] = {
    State.SUPPRESSED: frozenset({Deed.ASSIGN, Deed.COMMENT, Deed.SPLIT}),
    State.OPEN: frozenset({Deed.ACKNOWLEDGE, Deed.ASSIGN, Deed.START, Deed.COMMENT, Deed.PEND, Deed.RESOLVE}),
    State.ACKNOWLEDGED: frozenset({Deed.ASSIGN, Deed.START, Deed.COMMENT, Deed.PEND, Deed.RESOLVE}),
    State.IN_PROGRESS: frozenset({Deed.ASSIGN, Deed.COMMENT, Deed.PEND, Deed.RESOLVE}),
    State.PENDING: frozenset({Deed.ASSIGN, Deed.COMMENT, Deed.RESUME, Deed.RESOLVE}),
    State.RECOVERED: frozenset({Deed.ASSIGN, Deed.COMMENT, Deed.RESOLVE}),
    State.RESOLVED: frozenset({Deed.COMMENT, Deed.REOPEN}),
    State.CLOSED: frozenset({Deed.COMMENT}),
}
_OF_CUSTOMERS: Final = frozenset({Deed.COMMENT})


class Incomplete(Exception):
    """A form without what it needs: `text` or `number` is missing, or the text is too `long`."""


def possible(incident: Incident, visit: Visit) -> frozenset[str]:
    """Return the deeds that the page offers this viewer."""
    room = _ROOM[incident.state]
    if incident.unresolved:
        room |= {Deed.MERGE if incident.parent is None else Deed.SPLIT}
    return frozenset(deed.value for deed in (room if visit.staff else room & _OF_CUSTOMERS))


def read(name: str, visit: Visit) -> Act:
    """Return what a form asks for.

    Raises:
        Missing: no such deed, or not for this viewer.
        Incomplete: a field is empty that must not be, or too long.
        BadRequest: a choice that the form does not offer.
    """
    if name not in set(Deed) or not (visit.staff or Deed(name) in _OF_CUSTOMERS):
        raise Missing
    text = visit.form.get("text", "").replace("\r\n", "\n").strip()
    if len(text) > MAX_TEXT:
        raise Incomplete("long")
    try:
        return _act(Deed(name), text, visit)
    except ValueError:
        raise BadRequest from None


def _act(deed: Deed, text: str, visit: Visit) -> Act:
    match deed:
        case Deed.ACKNOWLEDGE:
            return Acknowledge()
        case Deed.ASSIGN:
            return Assign(visit.viewer.name if visit.form.get("owner", "me") == "me" else None)
        case Deed.START:
            return Start()
        case Deed.COMMENT:
            if not text:
                raise Incomplete("text")
            return Comment(text, internal=visit.staff and visit.form.get("internal") == "1")
        case Deed.PEND:
            return Pend(PendingReason(visit.form.get("reason", "")), text=text)
        case Deed.RESUME:
            return Resume()
        case Deed.RESOLVE:
            return Resolve(Cause(visit.form.get("cause", "")), text=_duplicate_of(visit) or text)
        case Deed.MERGE:
            return Merge(int(visit.form.get("parent", "").strip().upper().removeprefix("INC-") or "0"), text=text)
        case Deed.SPLIT:
            return Split(text=text)
        case Deed.REOPEN:
            return Reopen(text)


def _duplicate_of(visit: Visit) -> str:
    """Return the words for the incident that this one repeats, "" if the form names none. Raises Incomplete."""
    number = visit.form.get("of", "").strip().upper().removeprefix("INC-")
    if not number:
        return ""
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        raise Incomplete("number")
    return f"INC-{number}"


def version(act: Act, visit: Visit) -> int | None:
    """Return the version that the person saw. A comment needs none: it takes nothing from anybody."""
    if isinstance(act, Comment):
        return None
    text = visit.form.get("version", "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadRequest
    return int(text)
