"""Readings as Prometheus text format, with the HELP and TYPE that the probes' docstrings tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

TYPES = ("counter", "gauge", "untyped")


def metrics(docstring: str) -> list[tuple[str, str, str]]:
    """Return (name or pattern, type, help) of each line under "Metrics:"."""
    _, _, listed = docstring.partition("Metrics:")
    found = []
    for line in listed.splitlines():
        name, parenthesis, rest = line.strip().partition(" (")
        kind, closing, text = rest.partition("): ")
        if parenthesis and closing and kind in TYPES:
            found.append((name, kind, text.strip()))
    return found


def exposition(readings: Mapping[str, float], docstrings: Iterable[str]) -> str:
    """Return the readings that have a value, grouped by metric, in order of names."""
    told = [metric for docstring in docstrings for metric in metrics(docstring)]
    groups: dict[str, list[str]] = {}
    for series, value in readings.items():
        if value == value:  # NaN is no value now
            groups.setdefault(series.partition("{")[0], []).append(f"{series} {number(value)}")
    lines = []
    for name in sorted(groups):
        kind, text = describe(name, told)
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *sorted(groups[name])]
    return "".join(line + "\n" for line in lines)


def describe(name: str, told: Iterable[tuple[str, str, str]]) -> tuple[str, str]:
    """Return (type, help) of a metric: the first line of its name, else the first pattern that it matches."""
    exact = [(kind, text) for known, kind, text in told if known == name]
    if exact:
        return exact[0]
    matching = [(kind, text) for known, kind, text in told if fnmatchcase(name, known)]
    return matching[0] if matching else ("untyped", "No help.")


def number(value: float) -> str:
    """Return a value as Prometheus reads it; whole numbers without a fraction."""
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 2**63 else repr(value)
