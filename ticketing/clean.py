"""Makes text from outside harmless before it is stored: device names, labels and sentences are data, never markup.

What is taken away is what acts on a terminal, a mail header or the reading order rather than being read: ANSI escapes,
control characters, line breaks in what is one line, bidirectional overrides, invisible characters. HTML, formulas and
template braces are text and stay; whoever writes them into a page or a sheet escapes them there.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from ticketing.alert import Alert

MAX_NAME: Final = 64  # customers, sites, fingerprints
MAX_DEVICE: Final = 255
MAX_ALERTNAME: Final = 128
MAX_LABEL: Final = 1_024
MAX_ANNOTATION: Final = 4_096
MAX_LABELS: Final = 64
MAX_TEXT: Final = 16_384

_ANSI: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])"  # CSI, OSC, the rest
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
_BREAKS: Final = re.compile(r"\r\n|[\r\u0085\u2028\u2029]")
_JOINERS: Final = "\u200c\u200d"  # spelling needs them in several scripts, and emoji do


def line(text: str, limit: int = MAX_LABEL) -> str:
    """Return the text as one harmless line; one that is too long ends in a hash, so that it stays distinct."""
    if text.isprintable() and len(text) <= limit:
        return text
    return _shorten(_harmless(text, breaks=" "), limit)


def paragraph(text: str, limit: int = MAX_TEXT) -> str:
    """Return the text harmless, with its line breaks as line feeds."""
    if text.isprintable() and len(text) <= limit:
        return text
    return _shorten(_harmless(text, breaks="\n"), limit)


def alert(dirty: Alert) -> Alert:
    """Return the alert with harmless and bounded text; itself if there is nothing to do, which is nearly always."""
    if _is_clean(dirty):
        return dirty
    return replace(
        dirty,
        customer=line(dirty.customer, MAX_NAME),
        site=line(dirty.site, MAX_NAME),
        device=line(dirty.device, MAX_DEVICE),
        name=line(dirty.name, MAX_ALERTNAME),
        fingerprint=line(dirty.fingerprint, MAX_NAME),
        labels=_mapping(dirty.labels, line, MAX_LABEL),
        annotations=_mapping(dirty.annotations, paragraph, MAX_ANNOTATION),
    )


def _is_clean(dirty: Alert) -> bool:
    # One look at everything together, for this runs for every alert of a storm. What is long is cleaned one by one.
    labels, annotations = dirty.labels, dirty.annotations
    names = (dirty.customer, dirty.site, dirty.device, dirty.name, dirty.fingerprint)
    text = "".join((*names, *labels, *labels.values(), *annotations, *annotations.values()))
    return (
        text.isprintable()
        and len(text) <= MAX_LABEL
        and max(map(len, names)) <= MAX_NAME
        and len(labels) <= MAX_LABELS
        and len(annotations) <= MAX_LABELS
    )


def _mapping(texts: Mapping[str, str], cleaner: Callable[[str, int], str], limit: int) -> dict[str, str]:
    kept = sorted(texts.items())[:MAX_LABELS] if len(texts) > MAX_LABELS else texts.items()
    return {line(name, MAX_ALERTNAME): cleaner(text, limit) for name, text in kept}


def _harmless(text: str, breaks: str) -> str:
    text = _BREAKS.sub("\n", _ANSI.sub("", text))
    return "".join(_character(character, breaks) for character in text)


def _character(character: str, breaks: str) -> str:
    if character.isprintable():
        return character
    if character == "\n":
        return breaks
    if character == "\t":
        return " "
    category = unicodedata.category(character)
    if category == "Cs":
        return "\ufffd"  # half a surrogate pair cannot be encoded
    return character if category in {"Zs", "Co", "Cn"} or character in _JOINERS else ""


def _shorten(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    digest = hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
    return f"{text[: limit - 9]}…{digest}"
