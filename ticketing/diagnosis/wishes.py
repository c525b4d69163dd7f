"""What a rule wants to know when it fires: the annotation `diagnosis`.

    diagnosis: disk.top_dirs path={{ $labels.mountpoint }}, memory.by_process

Names with arguments, separated by commas. The annotation is read as the rule's author wrote it, and each place is
filled in afterwards: a mount point that is called `/x, log.around` stays the value of one argument.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

ANNOTATION: Final = "diagnosis"
MOST: Final = 4  # of one rule
_PLACE: Final = re.compile(r"\{\{\s*(?:\$labels|\.Labels)\.(\w+)\s*\}\}")
_WORD: Final = re.compile(r"(?:\{\{[^{}]*\}\}|[^\s{}])+")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Wish:
    """A diagnosis by name, with its arguments as they are written."""

    name: str
    arguments: Mapping[str, str]

    def filled(self, labels: Mapping[str, str]) -> dict[str, str] | None:
        """Return the arguments for an alert with these labels; None if it lacks one that is needed."""
        found = {}
        for name, text in self.arguments.items():
            if any(not labels.get(place) for place in _PLACE.findall(text)):
                return None
            found[name] = _PLACE.sub(lambda match: labels[match[1]], text)
        return found


def wishes(annotation: str) -> list[Wish]:
    """Return what an annotation names, at most MOST.

    Raises:
        ValueError: it is none; the message says why.
    """
    found = [_wish(part) for part in annotation.split(",") if part.strip()]
    if len(found) > MOST:
        raise ValueError(f"a rule may name {MOST} diagnoses, this one names {len(found)}")
    return found


def _wish(part: str) -> Wish:
    name, *rest = _WORD.findall(part.strip()) or [""]
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a diagnosis")
    arguments: dict[str, str] = {}
    for word in rest:
        key, equals, value = word.partition("=")
        if not equals or not key.isidentifier() or key in arguments:
            raise ValueError(f"{word!r} is no argument of {name}; it is written name=value, once")
        if "{{" in _PLACE.sub("", value):
            raise ValueError(f"{word!r}: an argument may hold {{{{ $labels.NAME }}}}, and no other template")
        arguments[key] = value
    return Wish(name, arguments)
