"""Words for what the timeline keeps as names, in the reader's language; a name without a word is shown as it is."""

from __future__ import annotations

from collections.abc import Callable

from ticketing.i18n import translation


def action(name: str, language: str) -> str:
    """Return what happened, such as "reopened"."""
    return _actions(translation(language).gettext).get(name, name)


def cause(name: str, language: str) -> str:
    """Return what it was, such as "threshold too low"."""
    return _causes(translation(language).gettext).get(name, name)


def state(name: str, language: str) -> str:
    """Return where it stands, such as "in progress"."""
    return _states(translation(language).gettext).get(name, name)


def severity(name: str, language: str) -> str:
    """Return how bad it is."""
    return _severities(translation(language).gettext).get(name, name)


def _actions(_: Callable[[str], str]) -> dict[str, str]:
    return {
        "open": _("opened"),
        "reopen": _("reopened"),
        "update": _("updated"),
        "change_severity": _("severity changed"),
        "recover": _("recovered"),
        "resolve": _("resolved"),
        "enter_flapping": _("flapping"),
        "leave_flapping": _("no longer flapping"),
        "resume": _("waiting is over"),
        "close": _("closed"),
        "suppress": _("put under another, or held back"),
        "release": _("opened by itself"),
        "raise": _("priority raised"),
        "merge": _("merged it"),
        "split": _("split it off"),
        "acknowledge": _("acknowledged it"),
        "assign": _("gave it to somebody"),
        "start": _("started to work on it"),
        "comment": _("wrote"),
        "diagnose": _("examined"),
        "pend": _("is waiting"),
    }


def _causes(_: Callable[[str], str]) -> dict[str, str]:
    return {
        "fixed": _("fixed"),
        "workaround": _("worked around"),
        "went_away": _("went away by itself"),
        "not_a_fault": _("not a fault"),
        "threshold_too_low": _("threshold too low"),
        "duplicate": _("a duplicate"),
        "other": _("something else"),
    }


def _states(_: Callable[[str], str]) -> dict[str, str]:
    return {
        "suppressed": _("suppressed"),
        "open": _("open"),
        "acknowledged": _("acknowledged"),
        "in_progress": _("in progress"),
        "pending": _("pending"),
        "recovered": _("recovered"),
        "resolved": _("resolved"),
        "closed": _("closed"),
    }


def _severities(_: Callable[[str], str]) -> dict[str, str]:
    return {"critical": _("critical"), "error": _("error"), "warning": _("warning"), "info": _("info")}
