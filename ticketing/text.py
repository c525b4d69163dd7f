"""The ticket as plain text, for mails, terminals and other helpdesks: the ideal ticket, as far as is known.

A line that nothing is known about is left out. The words are those of the pages, so that both say the same.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Final

from ticketing import clean
from ticketing.i18n import translation
from ticketing.incident import Incident, TimelineEntry, rfc3339

_MAX_SUBJECT: Final = 200
_WIDTH: Final = 9
_MOVES: Final = ("severity", "priority", "state", "owner")


def subject(incident: Incident, language: str = "en") -> str:
    """Return the first line: how bad, where, what; such as `[P2][acme/hq] fs01 D: 96% full  [INC-20418]`."""
    place = "/".join(part for part in (incident.customer, incident.site) if part)
    said = clean.line(incident.summary(language), _MAX_SUBJECT)
    if incident.device and incident.device not in said:
        said = f"{incident.device} {said}"
    return f"[P{incident.priority}]{f'[{place}]' if place else ''} {said}  [{incident.number}]"


def ticket(incident: Incident, language: str = "en") -> str:
    """Return the whole ticket, without its timeline."""
    lines = [subject(incident, language)]
    for name, text in _parts(incident, language):
        if text:
            lines.append(f"{name.upper():<{_WIDTH}}{clean.line(text, clean.MAX_ANNOTATION)}")
    return "\n".join(lines) + "\n"


def change(entry: TimelineEntry) -> str:
    """Return an entry as one line, in UTC: `13:05 update  severity warning→critical  priority P2→P1`."""
    at = datetime.datetime.fromtimestamp(entry.at, datetime.UTC).strftime("%H:%M")
    new, old = entry.data.get("set", {}), entry.data.get("was", {})
    moves = [f"{name} {_shown(name, old[name])}→{_shown(name, new[name])}" for name in _MOVES if name in old]
    written = clean.line(str(entry.data.get("text", "")), clean.MAX_ANNOTATION)
    return "  ".join(part for part in (f"{at} {entry.action}", *moves, written) if part)


def _parts(incident: Incident, language: str) -> list[tuple[str, str]]:
    _ = translation(language).gettext
    closes = _("By itself, as long as nobody has worked on it.")
    if incident.worked_on:
        closes = _("Somebody has worked on it, so it stays open until a person resolves it.")
    since = rfc3339(incident.active_at) or ""
    if incident.flapping_since is not None:
        since += f"  {_('flapping')}"
    return [
        (_("Impact"), _note(incident.annotations, "impact", language)),
        (_("Device"), " ".join(part for part in (incident.device, incident.klass) if part)),
        (_("What"), _note(incident.annotations, "description", language)),
        (_("Since"), since),
        (_("Owner"), incident.owner or ""),
        (_("Do now"), _note(incident.annotations, "next", language)),
        (_("Closes"), closes if incident.unresolved else ""),
        (_("Key"), incident.key),
    ]


def _note(annotations: Mapping[str, str], name: str, language: str) -> str:
    translated = annotations.get(f"{name}_zh", "") if language.startswith("zh") else ""
    return translated or annotations.get(name, "")


def _shown(name: str, value: object) -> str:
    return f"P{value}" if name == "priority" else str(value or "–")
