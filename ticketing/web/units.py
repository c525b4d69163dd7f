"""Values as people read them: three digits and a unit, in the viewer's language."""

import math

from babel import Locale
from babel.numbers import format_decimal
from babel.units import format_unit

_PREFIXES = ("", "k", "M", "G", "T", "P")
_SCALED = {"B": "B", "B/s": "B/s", "bit/s": "bit/s", "": ""}
_STEPS = ((1.0, "second"), (60.0, "minute"), (3600.0, "hour"), (86400.0, "day"))
# A duration changes over to the next unit at twice its size, so that 90 minutes are not rounded to an hour.
_TURN = 2.0


def quantity(value: float, unit: str, locale: Locale) -> str:
    """Return `value` with its unit: "96%", "38 GB", "12 min"; "–" for NaN or infinity."""
    if not math.isfinite(value):
        return "–"
    if unit == "s":
        return duration(value, locale)
    if unit == "ratio":
        value, unit = value * 100, "%"
    if unit == "%":
        return f"{number(round(value, 1), locale)}%"
    prefix = ""
    if unit in _SCALED:
        step = 0
        while abs(value) >= 999.5 and step < len(_PREFIXES) - 1:
            value /= 1000
            step += 1
        prefix = _PREFIXES[step]
    text = number(value, locale)
    return f"{text} {prefix}{unit}" if prefix or unit else text


def number(value: float, locale: Locale) -> str:
    """Return a number with three significant digits at most after the point, none beyond a hundred."""
    size = abs(value)
    pattern = "#,##0" if size >= 99.5 else "#,##0.#" if size >= 9.95 else "#,##0.##"
    return format_decimal(value, format=pattern, locale=locale)


def duration(seconds: float, locale: Locale) -> str:
    """Return a duration in its one fitting unit, rounded down: "45 sec", "119 min", "3 hr", "5 days"."""
    size = abs(seconds)
    scale, name = _STEPS[0]
    for bigger, bigger_name in _STEPS[1:]:
        if size >= bigger * (1.0 if bigger_name == "minute" else _TURN):
            scale, name = bigger, bigger_name
    if name == "second" and 0 < size < 10 and size % 1:
        return format_unit(round(seconds, 1 if size >= 1 else 3), "duration-second", "short", locale=locale)
    return format_unit(math.floor(seconds / scale), f"duration-{name}", "short", locale=locale)
