"""Durations as Prometheus writes them: 1h30m, 5m, 1d, 250ms (common/model: time.go)."""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final = (("y", 31_536_000_000), ("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000))
_FINE: Final = (("m", 60_000), ("s", 1_000), ("ms", 1))
_ALL: Final = _UNITS + _FINE
_SHAPE: Final = re.compile("".join(f"(?:([0-9]+){unit})?" for unit, _ in _ALL))
_LONGEST: Final = (1 << 63) // 1_000_000  # nanoseconds in an int64, as milliseconds


def parse_duration(text: str) -> float:
    """Seconds of a duration such as 1h30m; ValueError, with a sentence, if it is none."""
    if text == "0":
        return 0.0
    if not text:
        raise ValueError("empty duration string")
    match = _SHAPE.fullmatch(text)
    if match is None or not text.isascii():
        raise ValueError(f"not a valid duration string: {_quoted(text)}")
    total = sum(int(n[:20]) * scale for n, (_, scale) in zip(match.groups(), _ALL, strict=True) if n)
    if total >= _LONGEST:
        raise ValueError("duration out of range")
    return total / 1000


def format_duration(seconds: float) -> str:
    """The shortest form that Prometheus prints; years, weeks and days only where nothing remains."""
    rest = round(seconds * 1000)
    if rest == 0:
        return "0s"
    parts = []
    for unit, scale in _ALL:
        if unit in ("y", "w", "d") and rest % scale:
            continue
        count, rest = divmod(rest, scale)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def _quoted(text: str) -> str:
    short = text if len(text) <= 60 else text[:57] + "..."
    return '"' + short.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
