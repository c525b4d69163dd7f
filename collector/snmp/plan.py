"""What is asked of a device: single objects, and spans of neighbouring columns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from collector.snmp import oid

SCALARS_AT_ONCE: Final = 20


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Columns `first` to `last` of the table whose entry has the OID `entry`; 0 to 255 is the whole subtree."""

    key: tuple[int, ...]  # the OID where it starts, in parts: spans are walked in this order
    entry: bytes
    first: int
    last: int

    @property
    def start(self) -> bytes:
        """The OID that is asked for first."""
        return self.entry + bytes((self.first,)) if self.first else self.entry

    def holds(self, name: bytes) -> bool:
        """Whether this OID is in one of the columns."""
        at = len(self.entry)
        return len(name) > at and name.startswith(self.entry) and self.first <= name[at] <= self.last


@dataclass(frozen=True, slots=True)
class Plan:
    """All that one poll asks: OIDs of single objects (with their `.0`), and spans in ascending order."""

    scalars: tuple[bytes, ...]
    spans: tuple[Span, ...]
    columns: frozenset[bytes] = frozenset()  # of all spans, those that are whole subtrees left out


def subtree(text: str) -> Span:
    """Return the span that is everything below an OID."""
    content = oid.encode(text)
    return Span(oid.decode_parts(content), content, 0, 255)


def plan(scalars: Iterable[bytes], columns: Iterable[bytes]) -> Plan:
    """Return the plan for these objects and columns (OIDs of columns); neighbours are walked as one."""
    by_entry: dict[bytes, set[int]] = {}
    spans: list[Span] = []
    for column in columns:
        if column[-2:-1] >= b"\x80":  # a number of 128 and more takes two bytes: a span of its own
            spans.append(Span(oid.decode_parts(column), column, 0, 255))
        else:
            by_entry.setdefault(column[:-1], set()).add(column[-1])
    for entry, numbers in by_entry.items():
        ordered = sorted(numbers)
        first = ordered[0]
        for number, following in zip(ordered, [*ordered[1:], 1000], strict=True):
            if following != number + 1:
                spans.append(Span((*oid.decode_parts(entry), first), entry, first, number))
                first = following
    known = frozenset(entry + bytes((number,)) for entry, numbers in by_entry.items() for number in numbers)
    return Plan(tuple(sorted(set(scalars), key=oid.decode_parts)), tuple(sorted(spans)), known)
