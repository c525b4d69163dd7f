"""Typed reading of document nodes, with every fault of a file collected before it is refused.

Each reader returns a value of its type whatever it finds, and puts down a fault with its line where that was wrong,
so that a file is told all of its errors at once.
"""

from __future__ import annotations

import math
import re
from typing import Final, NoReturn, TypeVar

from rules.document import Mapping, Node, Scalar, Sequence, parse
from rules.durations import parse_duration
from rules.errors import FileError

MAX_FAULTS: Final = 50
LABEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
METRIC_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")

_INTEGER: Final = re.compile(r"[-+]?(0|[1-9][0-9_]*|0[xX][0-9a-fA-F_]+|0o?[0-7_]+)")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE: Final = re.compile(r"[-+]?\.(inf|Inf|INF)")
_TRUE: Final = frozenset({"true", "True", "TRUE", "y", "Y", "yes", "Yes", "YES", "on", "On", "ON"})
_FALSE: Final = frozenset({"false", "False", "FALSE", "n", "N", "no", "No", "NO", "off", "Off", "OFF"})

E = TypeVar("E", bound=FileError)


class Faults:
    """The faults of one file so far."""

    def __init__(self, file: str, error: type[FileError]) -> None:
        self.file = file
        self._error = error
        self._found: list[FileError] = []

    def add(self, line: int, message: str) -> None:
        """Put a fault down; the fiftieth ends the reading."""
        self._found.append(self._error(self.file, line, message))
        if len(self._found) >= MAX_FAULTS:
            self.check()

    def stop(self, line: int, message: str) -> NoReturn:
        """Put a fault down behind which nothing can be read."""
        self._found.append(self._error(self.file, line, message))
        self.check()
        raise AssertionError  # check has raised

    def check(self) -> None:
        """Raise the first fault, the others with it, if there is any."""
        if self._found:
            first, *others = sorted(self._found, key=lambda e: e.line)
            raise self._error(self.file, first.line, first.message, others)


def document(text: str, faults: Faults) -> Mapping:
    """The mapping that a file is; an empty file is an empty mapping, as for Prometheus."""
    node = parse(text, faults.stop)
    if node is None or (isinstance(node, Scalar) and node.null):
        return Mapping(1, 1)
    if not isinstance(node, Mapping):
        faults.stop(node.line, f"expected a mapping, found {_kind(node)}")
    return node


def mapping(node: Node, what: str, known: frozenset[str], faults: Faults) -> dict[str, Node]:
    """The entries of a mapping whose keys are all known; null entries are left out."""
    if not isinstance(node, Mapping):
        faults.add(node.line, f"{what} must be a mapping, not {_kind(node)}")
        return {}
    for name, key in node.keys.items():
        if name not in known:
            faults.add(key.line, f"unknown key {name!r} in {what}; known are {', '.join(sorted(known))}")
    return {k: v for k, v in node.items.items() if k in known and not (isinstance(v, Scalar) and v.null)}


def items(node: Node | None, what: str, faults: Faults) -> list[Node]:
    """The elements of a list; none where the list is absent."""
    if node is None:
        return []
    if not isinstance(node, Sequence):
        faults.add(node.line, f"{what} must be a list, not {_kind(node)}")
        return []
    return node.items


def string(node: Node | None, what: str, faults: Faults) -> str:
    """A string; a number or a boolean is taken as it was written, an absent one is empty."""
    if node is None or (isinstance(node, Scalar) and node.null):
        return ""
    if not isinstance(node, Scalar):
        faults.add(node.line, f"{what} must be a string, not {_kind(node)}")
        return ""
    return node.text


def integer(node: Node | None, what: str, faults: Faults) -> int:
    """A whole number, 0 where it is absent."""
    if node is None:
        return 0
    if not isinstance(node, Scalar) or not node.plain or not _INTEGER.fullmatch(node.text):
        faults.add(node.line, f"{what} must be a whole number")
        return 0
    text = node.text.replace("_", "")
    if len(text) > 19:
        faults.add(node.line, f"{what} is out of range")
        return 0
    sign, digits = (text[0], text[1:]) if text[0] in "+-" else ("", text)
    base = 16 if digits[:2] in ("0x", "0X") else 8 if len(digits) > 1 and digits[0] == "0" else 10
    return int(sign + digits.removeprefix("0o"), base)


def number(node: Node | None, what: str, faults: Faults) -> float:
    """A YAML number, 0 where it is absent; .inf and .nan count."""
    if node is None:
        return 0.0
    if isinstance(node, Scalar) and node.plain:
        text = node.text.replace("_", "")
        if _FLOAT.fullmatch(text):
            return float(text)
        if _INFINITE.fullmatch(text):
            return -math.inf if text[0] == "-" else math.inf
        if text in (".nan", ".NaN", ".NAN"):
            return math.nan
        if _INTEGER.fullmatch(text):
            return float(integer(node, what, faults))
    faults.add(node.line, f"{what} must be a number")
    return 0.0


def boolean(node: Node | None, what: str, faults: Faults) -> bool:
    """A truth value, false where it is absent."""
    if node is None:
        return False
    if not isinstance(node, Scalar) or not node.plain or node.text not in _TRUE | _FALSE:
        faults.add(node.line, f"{what} must be true or false")
        return False
    return node.text in _TRUE


def duration(node: Node | None, what: str, faults: Faults) -> float:
    """Seconds of a duration, 0 where it is absent."""
    if node is None:
        return 0.0
    try:
        return parse_duration(string(node, what, faults))
    except ValueError as error:
        faults.add(node.line, f"{what}: {error}")
        return 0.0


def strings(node: Node | None, what: str, faults: Faults) -> dict[str, Scalar]:
    """A mapping of label or annotation names to scalars (null is empty)."""
    if node is None:
        return {}
    if not isinstance(node, Mapping):
        faults.add(node.line, f"{what} must be a mapping, not {_kind(node)}")
        return {}
    found = {}
    for name, value in node.items.items():
        if not isinstance(value, Scalar):
            faults.add(value.line, f"{name!r} in {what} must be a string, not {_kind(value)}")
        else:
            found[name] = Scalar("", value.line, value.column) if value.null else value
    return found


def _kind(node: Node) -> str:
    return {Scalar: "a scalar", Sequence: "a list", Mapping: "a mapping"}[type(node)]
