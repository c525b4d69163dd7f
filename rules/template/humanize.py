"""Numbers for people, in Prometheus' words (prometheus/common: helpers/templates/convert.go, time.go)."""

from __future__ import annotations

import math
import re
from typing import Any, Final

from rules.template.builtins import CallError
from rules.template.gofmt import number, quote
from rules.template.values import Duration, Named, Time, type_name

_SMALL: Final = "munpfazy"
_FLOAT: Final = re.compile(
    r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf|infinity|nan|0x[0-9a-f]*\.?[0-9a-f]*p[+-]?\d+)", re.IGNORECASE
)


def to_float(value: Any) -> float:
    """The number that a value is or says; CallError if it is none."""
    if isinstance(value, float):
        return value
    if isinstance(value, int) and not isinstance(value, bool | Named):
        return float(value)
    if isinstance(value, Duration):
        return value.nanoseconds / 1e9
    if type(value) is str:
        if not value.isascii() or not _FLOAT.fullmatch(value):
            raise CallError(f"strconv.ParseFloat: parsing {quote(value)}: invalid syntax")
        parsed = float.fromhex(value) if "x" in value.lower() else float(value)
        if math.isinf(parsed) and "inf" not in value.lower():
            raise CallError(f"strconv.ParseFloat: parsing {quote(value)}: value out of range")
        return parsed
    raise CallError(f"can't convert {type_name(value)} to float")


def int64(value: float) -> int:
    """Go's conversion to int64 on amd64, which says the smallest for all that does not fit."""
    return int(value) if -(2.0**63) <= value < 2.0**63 else -(1 << 63)


def four(value: float) -> str:
    """Go's %.4g."""
    return number(value, "g", 4)


def _large(value: float, base: int, prefixes: tuple[str, ...]) -> str:
    prefix = ""
    for name in prefixes:
        if abs(value) < base:
            break
        prefix = name
        value /= base
    return four(value) + prefix


def _small(value: float) -> str:
    prefix = ""
    for name in _SMALL:
        if abs(value) >= 1:
            break
        prefix = name
        value *= 1000
    return four(value) + prefix


def humanize(given: Any) -> str:
    """1234567 as 1.235M, 0.0123 as 12.3m."""
    value = to_float(given)
    if value == 0 or not math.isfinite(value):
        return four(value)
    return _large(value, 1000, tuple("kMGTPEZY")) if abs(value) >= 1 else _small(value)


def humanize1024(given: Any) -> str:
    """1048576 as 1Mi."""
    value = to_float(given)
    if abs(value) <= 1 or not math.isfinite(value):
        return four(value)
    return _large(value, 1024, tuple(p + "i" for p in "kMGTPEZY"))


def humanize_percentage(given: Any) -> str:
    """0.1234 as 12.34%."""
    return four(to_float(given) * 100) + "%"


def humanize_duration(given: Any) -> str:
    """Seconds as 1d 2h 3m 4s, or with a prefix below one."""
    value = to_float(given)
    if not math.isfinite(value):
        return four(value)
    if value == 0:
        return four(value) + "s"
    if abs(value) < 1:
        return _small(value) + "s"
    sign, value = ("-", -value) if value < 0 else ("", value)
    whole = int64(value)
    minutes, seconds = _divide(whole, 60)
    hours, minutes = _divide(minutes, 60)
    days, hours = _divide(hours, 24)
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds}s"
    if minutes:
        return f"{sign}{minutes}m {seconds}s"
    return f"{sign}{four(value)}s"


def _divide(value: int, by: int) -> tuple[int, int]:
    """Go's / and %, which round towards zero."""
    quotient = abs(value) // by * (1 if value >= 0 else -1)
    return quotient, value - quotient * by


def to_time(seconds: float) -> Time:
    """A time in milliseconds, as Prometheus keeps it."""
    nanoseconds = seconds * 1e9
    if not -(2.0**63) <= nanoseconds <= 2.0**63:
        shown = number(seconds)
        raise CallError(f"{shown} cannot be represented as a nanoseconds timestamp since it overflows int64")
    return Time(_divide(int64(nanoseconds), 1_000_000)[0])


def humanize_timestamp(given: Any) -> str:
    """Unix seconds as 2026-01-02 03:04:05 +0000 UTC."""
    value = to_float(given)
    return str(to_time(value)) if math.isfinite(value) else four(value)


def upper(c: str) -> str:
    """A character's upper case, where that is one character."""
    raised = c.upper()
    return raised if len(raised) == 1 else c


def lower(c: str) -> str:
    """A character's lower case, where that is one character."""
    lowered = c.lower()
    return lowered if len(lowered) == 1 else c
