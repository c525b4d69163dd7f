"""The ticket as people read it outside the pages: one list of named lines, as plain text and as HTML.

A line that nothing is known about is left out. Everything from outside is data: cut to one line and made harmless in
text, escaped in HTML.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from babel import Locale
from markupsafe import Markup

from ticketing import clean, words
from ticketing.diagnosis.asked import Diagnosis
from ticketing.diagnosis.telling import finding_of, outcome, raw_lines, sentence
from ticketing.evidence import Earlier, Evidence, Happening, threshold_of, unit_of
from ticketing.i18n import translation
from ticketing.incident import MACHINE, Incident, TimelineEntry
from ticketing.web import units

_MAX_SUBJECT: Final = 200
_WIDTH: Final = 9
_NOTHING: Final = Evidence()
_MOVES: Final = ("severity", "priority", "state", "owner", "value")
_ENDS: Final = frozenset({"recover", "resolve"})
_PAGE: Final = Markup(
    '<!doctype html><html lang="{language}"><head><meta charset="utf-8"></head>'
    '<body style="font:15px/1.45 system-ui,sans-serif;color:#1a1d21;max-width:46em">\n{body}</body></html>\n'
)
_HEAD: Final = Markup('<h1 style="font-size:1.15em;border-left:.3em solid {colour};padding-left:.6em">{text}</h1>\n')
_ROW: Final = Markup(
    '<tr><th scope="row" style="text-align:left;vertical-align:top;padding:.2em 1em .2em 0;color:#5b6470;'
    'font-weight:600;white-space:nowrap">{name}</th><td style="padding:.2em 0;white-space:pre-wrap">{text}</td></tr>\n'
)
_FOLDED: Final = Markup('<details><summary>{name}</summary><pre style="white-space:pre-wrap">{text}</pre></details>\n')
MOST_TRIED: Final = 6
_COLOURS: Final = {"critical": "#c4281c", "error": "#c4281c", "warning": "#b86e00", "info": "#2a6fb0"}


def subject(incident: Incident, language: str = "en") -> str:
    """Return the first line: how bad, where, what; such as `[P2][acme/hq] fs01 D: 96% full  [INC-20418]`."""
    place = "/".join(part for part in (incident.customer, incident.site) if part)
    said = clean.line(incident.summary(language), _MAX_SUBJECT)
    if incident.device and incident.device not in said:
        said = f"{incident.device} {said}"
    return f"[P{incident.priority}]{f'[{place}]' if place else ''} {said}  [{incident.number}]"


@dataclass(frozen=True, slots=True)
class Ticket:
    """An incident with its evidence, for a reader of a language in a time zone; `url` is its page."""

    incident: Incident
    evidence: Evidence = _NOTHING
    language: str = "en"
    timezone: str = "UTC"
    url: str = ""

    @property
    def subject(self) -> str:
        """Return the first line, as the incident is now."""
        return subject(self.incident, self.language)

    def text(self) -> str:
        """Return the whole ticket."""
        rows = (f"{name.upper():<{_WIDTH}}{text}" for name, text in self.rows())
        return "\n".join([self.subject, *rows, *([self.url] if self.url else []), *self._raw()]) + "\n"

    def message(self, entries: Sequence[TimelineEntry]) -> str:
        """Return what is told of these entries: of the opening the whole ticket, of what follows the change alone."""
        changes = "".join(f"{self.change(entry)}\n" for entry in entries if entry.action != "open")
        if _opens(entries):
            return f"{self.text()}\n{changes}" if changes else self.text()
        return f"{changes}{self._standing()}\n" + (f"{self.url}\n" if self.url else "")

    def html(self) -> str:
        """Return the whole ticket as an HTML page."""
        return self._page(self._table() + self._folded())

    def message_html(self, entries: Sequence[TimelineEntry]) -> str:
        """Return what `message` tells, as an HTML page."""
        changes = [Markup("<p>{}</p>\n").format(self.change(one)) for one in entries if one.action != "open"]
        if _opens(entries):
            return self._page(Markup("").join([self._table(), *changes, self._folded()]))
        return self._page(Markup("").join([*changes, Markup("<p>{}</p>\n").format(self._standing())]))

    def change(self, entry: TimelineEntry) -> str:
        """Return an entry as one line: `13:05 updated; severity warning→critical; P2→P1`."""
        new, old = entry.data.get("set", {}), entry.data.get("was", {})
        who = "" if entry.actor == MACHINE else f"{clean.line(entry.actor)} "
        parts = [f"{self._clock(entry.at)} {who}{words.action(entry.action, self.language)}"]
        parts += [self._move(name, old[name], new[name]) for name in _MOVES if name in old and name in new]
        if new.get("cause"):
            parts.append(words.cause(str(new["cause"]), self.language))
        if entry.action in _ENDS:
            _ = translation(self.language).gettext
            parts.append(_("after %(time)s") % {"time": self._duration(entry.at - self.incident.active_at)})
        facts = entry.data.get("diagnosis")
        said = sentence(facts, self.language) if facts else str(entry.data.get("text", ""))
        written = clean.line(said, clean.MAX_ANNOTATION)
        return "; ".join([*parts, *([written] if written else [])])

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yield the lines of the ticket under its subject: name and text."""
        for name, text in self._rows():
            said = clean.line(text, clean.MAX_ANNOTATION).strip()
            if said:
                yield name, said

    def _rows(self) -> Iterator[tuple[str, str]]:
        _ = translation(self.language).gettext
        incident, found = self.incident, self.evidence
        yield _("Found"), "; ".join(f"{finding_of(one, self.language)} ({one.what})" for one in found.findings)
        yield _("Impact"), note(incident, "impact", self.language)
        yield _("Device"), " · ".join(part for part in (incident.device, incident.klass, incident.site) if part)
        yield _("What"), self._what()
        yield _("Since"), self._since()
        yield _("Trend"), self._trend()
        yield _("Changed"), "; ".join(self._happened(one) for one in found.changes)
        yield _("Events"), "; ".join(self._happened(one) for one in found.events)
        yield _("Related"), self._related()
        yield _("Tried"), "; ".join(self._tried(one) for one in found.diagnoses[-MOST_TRIED:])
        yield _("Owner"), incident.owner or ""
        yield _("Next"), note(incident, "first_steps", self.language) or note(incident, "next", self.language)
        yield _("Closes"), self._closes()
        yield _("Key"), incident.key

    def _what(self) -> str:
        _ = translation(self.language).gettext
        incident, found = self.incident, self.evidence
        threshold = found.threshold if found.threshold is not None else threshold_of(incident.annotations)
        parts = []
        if incident.value is not None:
            parts.append(self._quantity(incident.value))
        if threshold is not None:
            parts.append(_("threshold %(value)s") % {"value": self._quantity(threshold)})
        if found.normal is not None:
            parts.append(_("usually %(value)s") % {"value": self._quantity(found.normal)})
        return "; ".join([*parts, note(incident, "description", self.language) or incident.alertname])

    def _since(self) -> str:
        translated, incident = translation(self.language), self.incident
        parts = [self._moment(incident.active_at)]
        parts.append(
            translated.ngettext("%(num)s occurrence", "%(num)s occurrences", incident.count) % {"num": incident.count}
        )
        if incident.flapping_since is not None:
            parts.append(translated.gettext("flapping"))
        return " | ".join(parts)

    def _trend(self) -> str:
        _ = translation(self.language).gettext
        found, parts = self.evidence, []
        if found.rate is not None:
            change = "+" * (found.rate > 0) + self._quantity(found.rate)
            parts.append(_("%(change)s an hour") % {"change": change})
        if found.left is not None and math.isfinite(found.left):
            template = _("full in %(time)s") if found.above else _("empty in %(time)s")
            parts.append(template % {"time": self._duration(found.left)})
        return "; ".join([*parts, *([found.spark] if found.spark else [])])

    def _related(self) -> str:
        translated, incident, found = translation(self.language), self.incident, self.evidence
        parts = []
        if incident.parent is not None:
            parts.append(f"{translated.gettext('Part of')} INC-{incident.parent}")
        if incident.members:
            behind = translated.ngettext(
                "%(num)s more incident behind it", "%(num)s more incidents behind it", len(incident.members)
            )
            parts.append(behind % {"num": len(incident.members)})
        if found.attached:
            parts.append(translated.gettext("on this port: %(devices)s") % {"devices": ", ".join(found.attached)})
        if found.neighbours:
            others = ", ".join(f"{one.device or one.site} ({one.number})" for one in found.neighbours)
            parts.append(f"{translated.gettext('the same fault on')} {others}")
        return "; ".join([*parts, *(self._before(one) for one in found.earlier)])

    def _before(self, one: Earlier) -> str:
        _ = translation(self.language).gettext
        ago = _("%(time)s ago") % {"time": self._duration(self.incident.opened_at - one.opened_at)}
        solved = words.cause(one.cause, self.language)
        said = f"“{clean.line(one.said, 120)}”" if one.said else ""
        return " ".join(part for part in (one.number, ago, solved, said) if part)

    def _happened(self, one: Happening) -> str:
        return f"{self._clock(one.at)} {one.kind}: {clean.line(one.text, 160)}"

    def _tried(self, one: Diagnosis) -> str:
        """Return how a diagnosis went: `disk.top_dirs path=/var 12:33 done (audit 9f3c1a2b)`."""
        how = outcome(one.state.value, one.reason, self.language)
        return f"{one.what} {self._clock(one.asked_at)} {how}" + (f" (audit {one.audit[:8]})" if one.audit else "")

    def _raw(self) -> Iterator[str]:
        """Yield what the findings rest on, under everything else."""
        for one in self.evidence.findings:
            lines = raw_lines(one)
            if lines:
                yield ""
                yield f"-- {clean.line(one.what)}"
                yield from (f"   {line}" for line in lines)

    def _folded(self) -> Markup:
        found = [(one, raw_lines(one)) for one in self.evidence.findings]
        return Markup("").join(_FOLDED.format(name=one.what, text="\n".join(lines)) for one, lines in found if lines)

    def _closes(self) -> str:
        if not self.incident.unresolved:
            return ""
        _ = translation(self.language).gettext
        how = _("By itself, as long as nobody has worked on it.")
        if self.incident.worked_on:
            how = _("Somebody has worked on it, so it stays open until a person resolves it.")
        return " ".join(part for part in (note(self.incident, "closes", self.language), how) if part)

    def _standing(self) -> str:
        incident = self.incident
        standing = words.state(incident.state.value, self.language)
        severe = words.severity(incident.severity.value, self.language)
        return f"{incident.number} P{incident.priority} {severe}, {standing}: " + clean.line(
            incident.summary(self.language), _MAX_SUBJECT
        )

    def _move(self, name: str, old: object, new: object) -> str:
        if name == "priority":
            return f"P{old}→P{new}"
        if name == "value" and isinstance(old, int | float) and isinstance(new, int | float):
            return f"{self._quantity(old)}→{self._quantity(new)}"
        shown = {"severity": words.severity, "state": words.state}.get(name)
        pair = [shown(str(one), self.language) if shown else clean.line(str(one or "–")) for one in (old, new)]
        return "→".join(pair)

    def _page(self, body: Markup) -> str:
        head = _HEAD.format(colour=_COLOURS[self.incident.severity.value], text=self.subject)
        link = Markup('<p><a href="{0}">{0}</a></p>\n').format(self.url) if self.url.startswith("http") else Markup("")
        return str(_PAGE.format(language=self.language.replace("_", "-"), body=head + body + link))

    def _table(self) -> Markup:
        rows = Markup("").join(_ROW.format(name=name, text=text) for name, text in self.rows())
        return Markup('<table style="border-collapse:collapse">\n{}</table>\n').format(rows)

    def _quantity(self, value: float) -> str:
        unit = self.evidence.unit or unit_of(self.incident.annotations)
        return units.quantity(value, unit, Locale.parse(self.language))

    def _duration(self, seconds: float) -> str:
        return units.duration(max(0.0, seconds), Locale.parse(self.language))

    def _clock(self, time: float) -> str:
        return self._local(time).strftime("%H:%M")

    def _moment(self, time: float) -> str:
        return self._local(time).strftime("%Y-%m-%d %H:%M:%S %Z")

    def _local(self, time: float) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(time, ZoneInfo(self.timezone))


def note(incident: Incident, name: str, language: str) -> str:
    """Return an annotation of the rule, in the language if the rule has it, "" if it has none."""
    annotations: Mapping[str, str] = incident.annotations
    translated = annotations.get(f"{name}_zh", "") if language.startswith("zh") else ""
    return (translated or annotations.get(name, "")).strip()


def _opens(entries: Sequence[TimelineEntry]) -> bool:
    return any(entry.action == "open" for entry in entries)
