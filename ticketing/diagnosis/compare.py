"""What is different between two results of one diagnosis: numbers of the same thing, the largest changes first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from ticketing import clean

MOST: Final = 5
_DEEP: Final = 4
_NAMES: Final = ("path", "name", "mountpoint", "command", "unit", "address", "port", "pid")
_PREFIXES: Final = ("", "k", "M", "G", "T", "P")


class Change(msgspec.Struct, frozen=True):
    """A number that was one and is another; None: it was not there."""

    what: str
    before: float | None
    after: float | None

    def text(self) -> str:
        """Return it as a line: `/var/log/app bytes: 24.1 GB → 0 B`."""
        return f"{self.what}: {self._shown(self.before)} → {self._shown(self.after)}"

    def _shown(self, value: float | None) -> str:
        if value is None:
            return "–"
        if not self.what.endswith(("bytes", "size")):
            return f"{value:.10g}"
        step = min(5, int(math.log10(abs(value)) / 3)) if abs(value) >= 1 else 0
        return f"{value / 1000**step:.3g} {_PREFIXES[step]}B"


def compare(before: str | None, after: str | None) -> list[Change]:
    """Return the changes between two results, which are JSON texts; none where one of them is not there."""
    if before is None or after is None:
        return []
    old, new = (dict(_numbers(msgspec.json.decode(text), "", 0)) for text in (before, after))
    moved = [
        Change(name, old.get(name), new.get(name))
        for name in {**old, **new}
        if not math.isclose(old.get(name, math.nan), new.get(name, math.nan), rel_tol=0.02)
    ]
    moved.sort(key=lambda change: -abs((change.after or 0.0) - (change.before or 0.0)))
    return moved[:MOST]


def _numbers(value: Any, path: str, depth: int) -> Iterator[tuple[str, float]]:
    """Yield every number of a result with the names that lead to it; things in lists go by their own names."""
    if depth > _DEEP or isinstance(value, bool):
        return
    if isinstance(value, int | float):
        if math.isfinite(value):
            yield path, float(value)
    elif isinstance(value, Mapping):
        for name, part in value.items():
            yield from _numbers(part, f"{path} {clean.line(str(name), 64)}".strip(), depth + 1)
    elif isinstance(value, list):
        for part in value[:200]:
            name = _name(part)
            if name:
                rest = {key: each for key, each in part.items() if key not in _NAMES}
                yield from _numbers(rest, clean.line(name, 120), depth + 1)


def _name(part: Any) -> str:
    if not isinstance(part, Mapping):
        return ""
    return next((str(part[name]) for name in _NAMES if part.get(name) not in (None, "")), "")
