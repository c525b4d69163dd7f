"""What changed between two inventories, as events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from collector.events.store import Happening, Parts

MOST: Final = 100  # events of one comparison
_KEYS: Final = ("id", "serial", "mac", "path", "name")  # the first that all things of a list have tells them apart
_SHOWN: Final = 300  # characters of a thing in a text


def differences(device: int, at: float, before: Parts, after: Parts) -> list[Happening]:
    """Return an event for each thing that came, went or changed; at most MOST, of which the last says how many more."""
    found: list[Happening] = []
    for part in sorted(before.keys() | after.keys()):
        things = _things(before.get(part), after.get(part))
        found += [
            Happening(device, at, "inventory", part, "info", text, {"part": part, "change": change, **more})
            for change, text, more in _changes(part, *things)
        ]
    if len(found) <= MOST:
        return found
    rest = len(found) - MOST + 1
    told = Happening(device, at, "inventory", "", "info", f"{rest} more changes", {"change": "more", "changes": rest})
    return [*found[: MOST - 1], told]


def _things(before: Any, after: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the things of a part by what tells them apart; an object is one thing."""
    lists = [part if isinstance(part, list) else [part] if part else [] for part in (before, after)]
    every = [*lists[0], *lists[1]]
    key = next((name for name in _KEYS if all(_plain(thing, name) for thing in every)), None)
    if not (isinstance(before, list) or isinstance(after, list)):
        return ({"": lists[0][0]} if lists[0] else {}, {"": lists[1][0]} if lists[1] else {})
    named = [_named(things, key) for things in lists]
    return named[0], named[1]


def _named(things: list[Any], key: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for thing in things:
        name = str(thing[key]) if key else text_of(thing)
        while name in found:
            name += "'"
        found[name] = thing
    return found


def _plain(thing: Mapping[str, Any], name: str) -> bool:
    return isinstance(thing.get(name), str | int) and thing.get(name) != ""


def _changes(part: str, before: dict[str, Any], after: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Yield (change, text, attributes)."""
    for name in before.keys() - after.keys():
        yield "removed", f"{part}: {_called(name, before[name])} is gone", {"name": name[:_SHOWN]}
    for name, thing in after.items():
        if name not in before:
            yield "added", f"{part}: {_called(name, thing)} is new", {"name": name[:_SHOWN]}
        elif thing != before[name]:
            for member in sorted(thing.keys() | before[name].keys()):
                old, new = before[name].get(member), thing.get(member)
                if old != new:
                    label = f"{part}: {name[:_SHOWN]}: {member}" if name else f"{part}: {member}"
                    text = f"{label} was {text_of(old)}, is {text_of(new)}"
                    yield "changed", text, {"name": name[:_SHOWN], "member": member[:_SHOWN]}


def _called(name: str, thing: Any) -> str:
    more = text_of(thing)
    return more if not name or more == name else f"{name[:_SHOWN]} {more}"


def text_of(thing: Any) -> str:
    """Return a value of an inventory as a short text."""
    if isinstance(thing, str):
        return thing[:_SHOWN]
    text = "nothing" if thing is None else msgspec.json.encode(thing, order="deterministic").decode()
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
