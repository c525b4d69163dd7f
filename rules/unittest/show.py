"""What was expected and what came, and how they differ, for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from rules.labels import NAME, Labels
from rules.template import gofmt

_INDENT = " " * 8


@dataclass(frozen=True, slots=True)
class Shown:
    """An alert by its labels and annotations."""

    labels: dict[str, str]
    annotations: dict[str, str]

    def __str__(self) -> str:
        return f"{braced(self.labels)} {braced(self.annotations)}"


@dataclass(frozen=True, slots=True)
class Sample:
    """An element of a result."""

    labels: Labels
    value: float

    def __str__(self) -> str:
        return f"{metric(self.labels)} {gofmt.number(self.value)}"


def braced(labels: Mapping[str, str]) -> str:
    """Labels as Prometheus prints them: {a="b", c="d"}."""
    return "{" + ", ".join(f"{name}={gofmt.quote(labels[name])}" for name in sorted(labels)) + "}"


def metric(labels: Mapping[str, str]) -> str:
    """A series as Prometheus prints it: name{a="b"}."""
    rest = {name: text for name, text in labels.items() if name != NAME}
    return labels.get(NAME, "") + (braced(rest) if rest or NAME not in labels else "")


def alerts(expected: list[Shown], got: list[Shown]) -> str:
    """How the alerts that fire differ from those that should; empty if they do not."""
    missing, surplus = list(expected), []
    for one in got:
        if one in missing:
            missing.remove(one)
        else:
            surplus.append(one)
    lines: list[str] = []
    for one in list(missing):
        twin = next((other for other in surplus if other.labels == one.labels), None)
        if twin is not None:
            missing.remove(one)
            surplus.remove(twin)
            lines.append(f"~ {braced(one.labels)}")
            lines += _texts(one.annotations, twin.annotations)
    lines += [f"- missing: {one}" for one in missing]
    lines += [f"+ surplus: {one}" for one in surplus]
    return "\n".join(_INDENT + line for line in lines)


def _texts(expected: Mapping[str, str], got: Mapping[str, str]) -> Iterable[str]:
    for name in sorted(expected.keys() | got.keys()):
        if expected.get(name) != got.get(name):
            if name in expected:
                yield f"    - {name}: {gofmt.quote(expected[name])}"
            if name in got:
                yield f"    + {name}: {gofmt.quote(got[name])}"


def samples(expected: list[Sample], got: list[Sample], same: Callable[[float, float], bool]) -> str:
    """How the elements of a result differ from those expected; empty if they do not."""
    missing = {(one.labels, i): one for i, one in enumerate(expected)}
    lines: list[str] = []
    for one in got:
        key = next((k for k in missing if k[0] == one.labels), None)
        if key is None:
            lines.append(f"+ surplus: {one}")
        elif not same((wanted := missing.pop(key)).value, one.value):
            lines += [f"- {wanted}", f"+ {one}"]
    lines += [f"- missing: {one}" for one in missing.values()]
    return "\n".join(_INDENT + line for line in lines)
