"""Who made a network card, by the first half of its MAC address: the IEEE's list where the system has it, else ours."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

LISTS: Final = (Path("/usr/share/ieee-data/oui.txt"), Path("/var/lib/ieee-data/oui.txt"))
_MOST: Final = 200_000


def maker(mac: str) -> str:
    """Return the maker of `02:00:…`; empty if it is not known, as of addresses that were made up."""
    return _table().get(mac.replace(":", "").lower()[:6], "")


@cache
def _table() -> dict[str, str]:
    found: dict[str, str] = {}
    for path in LISTS:
        if path.exists():
            found = dict(_of_ieee(path.read_text("utf-8", "replace")))
            break
    return found | _own()


def _of_ieee(text: str) -> list[tuple[str, str]]:
    """Return the rows `001122     (base 16)  Maker` of the IEEE's list."""
    rows = (line.partition("(base 16)") for line in text.splitlines()[:_MOST] if "(base 16)" in line)
    return [(oui.strip().lower(), name.strip()[:60]) for oui, _, name in rows]


def _own() -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in (files("collector.discovery") / "makers.txt").read_text("utf-8").splitlines():
        if line.startswith(" "):
            found |= dict.fromkeys(line.split(), name)
        elif not line.startswith("#"):
            name = line
    return found
