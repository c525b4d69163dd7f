"""Which diagnoses there are and what they take: the provider's copy of what agents offer, and what network gear does.

`catalogue.json` is made from `watchdesk-agent diagnoses --json`. It only saves a device from questions that it would
refuse: what is run, and within which limits, the device decides by its own catalogue and its own policy.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from ticketing.diagnosis.asked import Subject
from ticketing.errors import Refused

GEAR: Final = "snmp."  # the names of what the collector itself asks network gear
PRIVACY: Final = ("health", "names", "content")
_MAX_TEXT: Final = 1_024
_HERE: Final = Path(__file__).parent
_YES, _NO = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0"})


class Argument(msgspec.Struct, frozen=True):
    """A typed, bounded argument; one without a default must be given."""

    type: Literal["text", "int", "float", "bool"]
    default: Any = msgspec.UNSET
    min: float | None = None
    max: float | None = None
    max_length: int | None = None
    pattern: str = ""
    choices: tuple[str, ...] = ()
    target: bool = False  # it names a host to speak to, which the device's policy must allow

    def read(self, name: str, value: Any) -> Any:
        """Return a value as the argument takes it; text is what a person types. Raises Refused."""
        if self.type == "bool":
            return _bool(name, value)
        if self.type == "text":
            return self._text(name, value)
        return self._number(name, value)

    def _text(self, name: str, value: Any) -> str:
        text = str(value)
        if len(text) > min(self.max_length or _MAX_TEXT, _MAX_TEXT) or not text.isprintable():
            raise Refused(f"{name} is too long, or has characters that cannot be read")
        if self.pattern and not re.fullmatch(self.pattern, text):
            raise Refused(f"{name} cannot be {text!r}")
        if self.choices and text not in self.choices:
            raise Refused(f"{name} is one of {', '.join(self.choices)}")
        return text

    def _number(self, name: str, value: Any) -> int | float:
        try:
            number = int(value) if self.type == "int" else float(value)
        except (ValueError, TypeError, OverflowError):
            raise Refused(f"{name} is a number, not {value!r}") from None
        low, high = self.min, self.max
        if not math.isfinite(number) or (low is not None and number < low) or (high is not None and number > high):
            raise Refused(f"{name} is between {_shown(low)} and {_shown(high)}")
        return number


class Entry(msgspec.Struct, frozen=True):
    """A diagnosis that can be asked for."""

    name: str
    summary: str = ""
    privacy: Literal["health", "names", "content"] = "health"
    cost: Literal["light", "heavy"] = "light"
    seconds: float = 30.0
    bytes: int = 262_144
    systems: tuple[str, ...] = ()
    arguments: Mapping[str, Argument] = msgspec.field(default_factory=dict)
    findings: tuple[str, ...] = ()
    raised: Mapping[str, Literal["names", "content"]] = msgspec.field(default_factory=dict)

    def check(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments as they are sent, those that are not given left to their defaults. Raises Refused."""
        for name in given:
            if name not in self.arguments:
                known = ", ".join(self.arguments) or "none"
                raise Refused(f"{self.name} has no argument {name}; there are: {known}")
        for name, argument in self.arguments.items():
            if argument.default is msgspec.UNSET and name not in given:
                raise Refused(f"{self.name} needs {name}=…")
        return {name: self.arguments[name].read(name, value) for name, value in given.items()}

    def privacy_of(self, arguments: Mapping[str, Any]) -> str:
        """Return the privacy class that these arguments need: some ask for more than the diagnosis itself."""
        classes = [self.privacy, *(klass for name, klass in self.raised.items() if arguments.get(name))]
        return max(classes, key=PRIVACY.index)

    def fits(self, subject: Subject) -> bool:
        """Tell whether a device can be asked for it."""
        if self.name.startswith(GEAR):
            return subject.polled
        return subject.agent and (not self.systems or not subject.os or subject.os in self.systems)


class Catalogue:
    """The diagnoses by name."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._entries = entries

    def find(self, name: str) -> Entry:
        """Return a diagnosis. Raises Refused if there is none of this name."""
        found = self._entries.get(name)
        if found is None:
            raise Refused(f"there is no diagnosis {name[:64]!r}")
        return found

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def all(self) -> list[Entry]:
        """Return all, by name."""
        return [self._entries[name] for name in sorted(self._entries)]


def load() -> Catalogue:
    """Return the catalogue that comes with this version."""
    texts = [(_HERE / name).read_bytes() for name in ("catalogue.json", "gear.json")]
    entries = [entry for text in texts for entry in msgspec.json.decode(text, type=list[Entry])]
    return Catalogue({entry.name: entry for entry in entries})


def _bool(name: str, value: Any) -> bool:
    text = str(value).lower()
    if text not in _YES | _NO:
        raise Refused(f"{name} is yes or no")
    return text in _YES


def _shown(limit: float | None) -> str:
    return "any" if limit is None else f"{limit:.15g}"
