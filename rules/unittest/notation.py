"""Series and their values as unit tests write them: `up{job="x"}` and `1+2x3 _ _x2 stale NaN` (promtool's notation)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

from rules.labels import NAME, Labels
from rules.rings import STALE
from rules.template.constants import unquote

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_METRIC: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_STRING: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|`[^`]*`', re.DOTALL)

_NUMBER: Final = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_WORD: Final = r"(?i:nan|inf)(?![0-9a-zA-Z_:])"
_ITEM: Final = re.compile(
    rf"(?P<blank>_)(?:x(?P<gaps>[0-9]+))?|(?P<stale>stale)"
    rf"|(?P<value>[-+]?(?:{_NUMBER}|{_WORD}))(?:(?P<step>[-+](?:{_NUMBER}|{_WORD}))?x(?P<times>[0-9]+))?"
)


class NotationError(Exception):
    """A series or its values that cannot be read."""


def series(text: str) -> Labels:
    """The label set that a series is written as, nothing for an empty one; NotationError if it is none."""
    at = _skip(text, 0)
    if at == len(text):
        return Labels()
    own: dict[str, str] = {}
    name = _METRIC.match(text, at)
    if name:
        own[NAME] = name[0]
        at = _skip(text, name.end())
    if text[at : at + 1] == "{":
        at = _labels(text, _skip(text, at + 1), own)
    elif not name:
        raise NotationError(f"{_shown(text)}: expected a metric name or {{")
    if at < len(text):
        raise NotationError(f"{_shown(text)}: unexpected {_shown(text[at:])}")
    return Labels({label: value for label, value in own.items() if value})


def _labels(text: str, at: int, own: dict[str, str]) -> int:
    """Read labels up to the brace; returns the offset behind it."""
    while text[at : at + 1] != "}":
        label = _LABEL.match(text, at) or _STRING.match(text, at)
        if not label:
            raise NotationError(f"{_shown(text)}: expected a label name at {_shown(text[at:])}")
        name = _text(label[0]) if label[0][0] in "\"'`" else label[0]
        at = _skip(text, label.end())
        if text[at : at + 1] == "=":
            value = _STRING.match(text, _skip(text, at + 1))
            if not value:
                raise NotationError(f"{_shown(text)}: the value of {name} must be a quoted string")
            own[name] = _text(value[0])
            at = _skip(text, value.end())
        elif label[0][0] in "\"'`" and NAME not in own:
            own[NAME] = name  # {"metric name", label="value"}, as Prometheus 3 writes it
        else:
            raise NotationError(f"{_shown(text)}: expected = after {name}")
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
        elif text[at : at + 1] != "}":
            raise NotationError(f"{_shown(text)}: expected , or }} at {_shown(text[at:])}")
    return _skip(text, at + 1)


def values(text: str, limit: int) -> list[float | None]:
    """The first `limit` values: None is no sample, the stale marker a NaN of its own; NotationError."""
    return list(islice(_values(text), limit))


def _values(text: str) -> Iterator[float | None]:
    items = [_item(word) for word in text.split()]
    for item in items:
        if item["blank"]:
            for _ in range(int(item["gaps"] or 1)):
                yield None
            continue
        value = STALE if item["stale"] else _number(item["value"])
        step = _number(item["step"]) if item["step"] else 0.0
        for _ in range(int(item["times"]) + 1 if item["times"] else 1):
            yield value
            if step:
                value += step


def _item(word: str) -> re.Match[str]:
    if word.startswith("{{"):
        raise NotationError("native histograms are not taken")
    match = _ITEM.fullmatch(word)
    if match is None:
        raise NotationError(f"{_shown(word)} is no value: expected 1, 1x3, 1+2x3, 1-2x3, _, _x3, stale, NaN or Inf")
    if any(len(count or "") > 18 for count in (match["gaps"], match["times"])):
        raise NotationError(f"{_shown(word)} repeats too often")
    return match


def _number(text: str) -> float:
    return math.nan if text.lstrip("+-").lower() == "nan" else float(text)


def _text(quoted: str) -> str:
    try:
        inner = quoted if quoted[0] != "'" else '"' + quoted[1:-1].replace("\\'", "'").replace('"', '\\"') + '"'
        return unquote(inner)
    except ValueError:
        raise NotationError(f"{_shown(quoted)} is no quoted string") from None


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
