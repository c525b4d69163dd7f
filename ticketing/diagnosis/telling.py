"""What a diagnosis says to people: one sentence first, in the reader's language; what is different after a recovery."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ticketing import clean
from ticketing.diagnosis.asked import Diagnosis, Purpose, State
from ticketing.diagnosis.compare import Change, compare
from ticketing.i18n import translation

_MAX_PLACES: Final = 32
_MAX_LINES: Final = 80


def told(one: Diagnosis, before: Diagnosis | None) -> dict[str, Any]:
    """Return the data of the timeline's entry about a diagnosis that is over; `before` is what it is compared with."""
    facts: dict[str, Any] = {
        "uid": one.uid,
        "what": clean.line(one.what, 200),
        "state": one.state.value,
        "reason": one.reason,
        "finding": one.finding,
        "finding_id": one.finding_id,
        "finding_values": dict(one.finding_values),
        "by": one.by,
    }
    if one.purpose is Purpose.RECOVERY:
        facts["recovery"] = True
    if before is not None and one.state is State.DONE:
        facts["before"] = {
            "finding": before.finding,
            "finding_id": before.finding_id,
            "finding_values": dict(before.finding_values),
        }
        facts["changes"] = [msgspec.to_builtins(change) for change in compare(before.data, one.data)]
    return {"text": sentence(facts, "en"), "diagnosis": facts}


def sentence(facts: Mapping[str, Any], language: str) -> str:
    """Return what an entry's `data["diagnosis"]` says, for a reader of a language."""
    _ = translation(language).gettext
    what = str(facts.get("what", ""))
    if facts.get("state") != State.DONE:
        return f"{what}: {outcome(str(facts.get('state', '')), str(facts.get('reason', '')), language)}"
    said = finding(facts, language)
    before = facts.get("before")
    if not isinstance(before, Mapping):
        return f"{said} ({what})"
    lines = [_("Before: %(finding)s") % {"finding": finding(before, language)}]
    lines.append(_("After: %(finding)s") % {"finding": said})
    lines += [Change(**change).text() for change in facts.get("changes", ())]
    return "\n".join([*lines, f"({what})"])


def finding(facts: Mapping[str, Any], language: str) -> str:
    """Return a finding in a language, as the device said it where that language has no words for it."""
    said, msgid, values = str(facts.get("finding", "")), facts.get("finding_id"), facts.get("finding_values")
    if not language.startswith("zh") or not msgid or not isinstance(values, Mapping):
        return said
    template = translation(language).gettext(str(msgid))
    if template == msgid:
        return said
    try:
        return clean.paragraph(template % dict(list(values.items())[:_MAX_PLACES]), 1_000)
    except (KeyError, TypeError, ValueError):
        return said


def finding_of(one: Diagnosis, language: str) -> str:
    """Return a diagnosis' finding in a language, as one line."""
    facts = {"finding": one.finding, "finding_id": one.finding_id, "finding_values": one.finding_values}
    return clean.line(finding(facts, language), 1_000)


def raw_lines(one: Diagnosis) -> list[str]:
    """Return what a finding rests on as lines, the first of them; none if there is nothing."""
    if not one.data:
        return []
    shown = json.dumps(msgspec.json.decode(one.data), indent=1, ensure_ascii=False).splitlines()
    lines = [clean.line(" " * (len(line) - len(line.lstrip())) + line.lstrip(), 200) for line in shown[:_MAX_LINES]]
    return [*lines, "…"] if len(shown) > _MAX_LINES else lines


def outcome(state: str, reason: str, language: str) -> str:
    """Return how a diagnosis stands, or why it ended without a finding."""
    _ = translation(language).gettext
    words = {
        State.WAITING: _("waiting for the device to fetch it"),
        State.SENT: _("the device has it"),
        State.ASKING: _("its user is being asked"),
        State.RUNNING: _("running"),
        State.DONE: _("done"),
        State.REFUSED: _("refused by the device, which does not trust the request"),
        State.DENIED: _("not allowed on this device"),
        State.FAILED: _("failed"),
        State.TIMEOUT: _("no answer in time"),
        State.REVOKED: _("its user ended it"),
    }
    word = words.get(State(state), state) if state in set(State) else state
    return f"{word}: {reason}" if reason else word
