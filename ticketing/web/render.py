"""Renders the templates: one environment for each language, everything escaped, every word through gettext."""

from __future__ import annotations

import datetime
import hashlib
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jinja2
from babel import Locale
from babel.dates import format_datetime
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, Response

from ticketing.diagnosis.telling import finding_of, outcome, raw_lines, sentence
from ticketing.incident import rfc3339
from ticketing.web import units, wording
from ticketing.web.catalogue import translations
from ticketing.web.visit import LANGUAGES, Visit, back

_HERE: Final = Path(__file__).parent
_STATIC: Final = {"watchdesk.css": "text/css", "watchdesk.js": "text/javascript", "watchdesk.svg": "image/svg+xml"}
_FORMATS: Final = {
    "clock": "d MMM HH:mm:ss 'UTC'",
    "tick": "HH:mm",
    "second": "HH:mm:ss",
    "full": "d MMM y HH:mm:ss 'UTC'",
}


class Pages:
    """The templates and the static files, read once."""

    def __init__(self) -> None:
        self._files = {name: (_HERE / "static" / name).read_bytes() for name in _STATIC}
        self._hashes = {name: hashlib.sha256(data).hexdigest()[:12] for name, data in self._files.items()}
        self._environments = {language: self._environment(language) for language in LANGUAGES}

    def page(self, visit: Visit, name: str, status: int = 200, /, **context: Any) -> Response:
        """Return the page of a template in the visit's language."""
        template = self._environments[visit.language].get_template(name)
        ground = {"visit": visit, "here": back(visit.request), "frame": None, "section": "", "languages": LANGUAGES}
        return HTMLResponse(template.render({**ground, **context}), status)

    def error(self, visit: Visit, status: int) -> Response:
        """Return the page that says in a sentence what is wrong, and in another what to do."""
        gettext = translations(visit.language).gettext
        texts = {
            400: (gettext("That was not understood"), gettext("Go back, and try it again from our page.")),
            403: (gettext("This form is no longer valid"), gettext("Go back, reload the page, and send it again.")),
            404: (gettext("Nothing here"), gettext("It does not exist, or it is not yours to see.")),
            413: (gettext("That is too long"), gettext("Go back and shorten it; what you typed is still there.")),
            503: (gettext("Not able to answer just now"), gettext("The database is busy. Try again in a few seconds.")),
        }
        headline, advice = texts[status]
        return self.page(visit, "error.html", status, headline=headline, advice=advice)

    def quantity(self, visit: Visit, value: float, unit: str) -> str:
        """Return a value with its unit in the visit's language."""
        return units.quantity(value, unit, Locale.parse(visit.language))

    def static(self, name: str, version: str) -> Response | None:
        """Return a static file; one asked for with its version is kept by the browser for good."""
        if name not in self._files:
            return None
        fits = version == self._hashes[name]
        return Response(
            self._files[name],
            media_type=_STATIC[name],
            headers={"Cache-Control": "public, max-age=31536000, immutable" if fits else "no-cache"},
        )

    def _environment(self, language: str) -> jinja2.Environment:
        locale = Locale.parse(language)
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_HERE / "templates"),
            extensions=["jinja2.ext.i18n"],
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.policies["ext.i18n.trimmed"] = True
        environment.install_gettext_translations(translations(language), newstyle=True)  # type: ignore[attr-defined]
        environment.globals["static"] = lambda name: f"/static/{name}?v={self._hashes[name]}"
        environment.filters.update(_filters(locale))
        return environment


def _filters(locale: Locale) -> Mapping[str, Any]:
    return {
        "iso": rfc3339,
        "spell": lambda time, how, now: _spell(time, how, now, locale),
        "duration": lambda seconds: units.duration(seconds, locale),
        "quantity": lambda value, unit="", signed=False: (
            "+" * (signed and value > 0) + units.quantity(value, unit, locale)
        ),
        "number": lambda value: units.number(value, locale),
        "share": lambda fraction: min(1.0, max(0.0, fraction)) if math.isfinite(fraction) else 0.0,
        "strong": _strong,
        "brief": wording.brief,
        "note": wording.note,
        "facts": wording.facts,
        "finding": lambda one, language: finding_of(one, language),
        "sentence": sentence,
        "outcome": lambda one, language: outcome(one.state.value, one.reason, language),
        "raw": lambda one: "\n".join(raw_lines(one)),
    }


def _spell(time: float, how: str, now: float, locale: Locale) -> str:
    """Return a time for readers without our script: an age as it is now, a moment in UTC and said so."""
    if how in {"age", "left"}:
        return units.duration(math.floor(max(0.0, now - time if how == "age" else time - now)), locale)
    moment = datetime.datetime.fromtimestamp(time, datetime.UTC)
    return format_datetime(moment, _FORMATS[how], locale=locale)


def _strong(text: str) -> Markup:
    """Return a text with its numbers in bold."""
    return Markup(re.sub(r"(?<![#\w])\d[\d.,]*", r"<b>\g<0></b>", str(escape(text))))  # noqa: S704 - escaped just before
