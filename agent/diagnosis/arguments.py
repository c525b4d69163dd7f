"""The arguments of a diagnosis: fields of a frozen dataclass, each with its bounds.

    @dataclass(frozen=True, slots=True, kw_only=True)
    class TopDirectories:
        path: str = path("/")
        count: int = whole(10, 1, 100)

A field without a default must be given. What arrives is checked against the bounds here and nowhere else: no argument
begins with a dash, which a program would take for an option, and none has control characters.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from agent.diagnosis.errors import Refusal

MAX_ARGUMENTS = 16
_NOTHING = dataclasses.MISSING
NAME = r"[A-Za-z0-9_.@:][A-Za-z0-9_.@:+\\-]*"  # of a unit, a service, an interface, a device
TARGET = r"[A-Za-z0-9_:\[][A-Za-z0-9_.:%\[\]-]*"  # a host name or an address
PATH = r"(?!.*[\\/]\.\.([\\/]|$))(/|[A-Za-z]:[\\/]).*"
TYPES: dict[str, type] = {"text": str, "int": int, "float": float, "bool": bool}


def text(default: Any = _NOTHING, *, most: int = 200, pattern: str = "[^-].*|") -> Any:
    """A text of at most `most` characters that the whole of `pattern` matches."""
    return _field(default, type="text", max_length=most, pattern=pattern)


def name(default: Any = _NOTHING) -> Any:
    """The name of a unit, a service, a network interface or the like; "" only if that is the default."""
    return text(default, most=128, pattern=NAME + ("|" if default == "" else ""))


def path(default: Any = _NOTHING) -> Any:
    """A whole path without `..`."""
    return text(default, most=1_024, pattern=PATH + ("|" if default == "" else ""))


def target(default: Any = _NOTHING) -> Any:
    """A host to speak to; the policy's `targets` must allow it."""
    made = text(default, most=253, pattern=TARGET + ("|" if default == "" else ""))
    made.metadata["spec"]["target"] = True
    return made


def url(default: Any = _NOTHING) -> Any:
    """An http:// or https:// address without credentials; the policy's `targets` must allow its host."""
    made = text(default, most=500, pattern=r"https?://[A-Za-z0-9\[][^\s@\\]*" + ("|" if default == "" else ""))
    made.metadata["spec"]["target"] = True
    return made


def choice(default: str, *choices: str) -> Any:
    """One of the words."""
    return _field(default, type="text", choices=list(dict.fromkeys([default, *choices])))


def whole(default: Any, least: int, most: int) -> Any:
    """A whole number from `least` to `most`."""
    return _field(default, type="int", min=least, max=most)


def number(default: Any, least: float, most: float) -> Any:
    """A number from `least` to `most`."""
    return _field(default, type="float", min=least, max=most)


def truth(default: bool = False) -> Any:
    """Yes or no."""
    return _field(default, type="bool")


def _field(default: Any, **spec: object) -> Any:
    return dataclasses.field(default=default, metadata={"spec": spec})


@dataclasses.dataclass(frozen=True, slots=True)
class NoArguments:
    """Of a diagnosis that takes none."""


def spec(arguments: type) -> dict[str, dict[str, Any]]:
    """Return each argument's type, default and bounds, as `watchdesk-agent diagnoses --json` tells them."""
    found = {}
    for one in dataclasses.fields(arguments):
        default = {} if one.default is _NOTHING else {"default": one.default}
        found[one.name] = {**one.metadata["spec"], **default}
    return found


def read(arguments: type, given: Mapping[str, object]) -> Any:
    """Return the dataclass of what was given.

    Raises:
        Refusal: an unknown argument, one that is missing, one of another type or out of bounds.
    """
    known = spec(arguments)
    unknown = sorted(set(given) - known.keys())
    if unknown or len(given) > MAX_ARGUMENTS:
        raise Refusal("arguments", f"no argument {unknown[0][:60]!r}; there are: {', '.join(known) or 'none'}")
    missing = [key for key, bounds in known.items() if key not in given and "default" not in bounds]
    if missing:
        raise Refusal("arguments", f"the argument {missing[0]} is missing")
    return arguments(**{key: _checked(key, value, known[key]) for key, value in given.items()})


def _checked(key: str, value: object, bounds: Mapping[str, Any]) -> object:
    if bounds["type"] == "float" and type(value) is int:
        value = float(value)
    if type(value) is not TYPES[bounds["type"]]:
        raise Refusal("arguments", f"{key} is not of type {bounds['type']}")
    if isinstance(value, str):
        _check_text(key, value, bounds)
    elif isinstance(value, int | float) and "min" in bounds and not bounds["min"] <= value <= bounds["max"]:
        raise Refusal("arguments", f"{key} is not between {bounds['min']} and {bounds['max']}")
    return value


def _check_text(key: str, value: str, bounds: Mapping[str, Any]) -> None:
    if "choices" in bounds:
        if value not in bounds["choices"]:
            raise Refusal("arguments", f"{key} is none of {', '.join(bounds['choices'])}")
        return
    if len(value) > bounds["max_length"]:
        raise Refusal("arguments", f"{key} is longer than {bounds['max_length']} characters")
    if not value.isprintable() or not re.fullmatch(bounds["pattern"], value):
        raise Refusal("arguments", f"{key} is not what it must be: {value[:60]!r}")
