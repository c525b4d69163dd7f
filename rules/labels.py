"""Label sets: the immutable `Labels` that people and templates see, and the tables that hold them as numbers.

Within the fleet a label value is a code (an index into `Strings`; 0 is the empty value, which PromQL takes as absent),
and a label set is identified by the sum of the 64-bit hashes of its (name, value) pairs: a sum can be taken apart, so
that `without (x)` is a subtraction, and it is the same whether a label came from the series or from its device.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rules.growing import Growing, fit

Codes = NDArray[np.int32]
Hashes = NDArray[np.uint64]

NAME: Final = "__name__"
_MASK: Final = 0xFFFFFFFFFFFFFFFF


class Labels(Mapping[str, str]):
    """An immutable, hashable label set; iterates in the order of the names."""

    __slots__ = ("_hash", "_items")

    def __init__(self, labels: Mapping[str, str] | None = None) -> None:
        self._items = dict(sorted(labels.items())) if labels else {}
        self._hash: int | None = None

    def __getitem__(self, name: str) -> str:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self._items.items()))
        return self._hash

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Labels):
            return self._items == other._items
        return isinstance(other, Mapping) and self._items == dict(other)

    def __repr__(self) -> str:
        name = self._items.get(NAME, "")
        return name + "{" + ", ".join(f'{key}="{text}"' for key, text in self._items.items() if key != NAME) + "}"


@dataclass(frozen=True, slots=True)
class Pick:
    """A choice of label names: these alone (`keep`), or all but these."""

    names: frozenset[str]
    keep: bool

    def has(self, name: str) -> bool:
        """Whether labels of this name are chosen."""
        return (name in self.names) is self.keep

    def __and__(self, other: Pick) -> Pick:
        """Return the choice of the names that both choose."""
        if self.keep and other.keep:
            return Pick(self.names & other.names, True)
        if self.keep:
            return Pick(self.names - other.names, True)
        if other.keep:
            return Pick(other.names - self.names, True)
        return Pick(self.names | other.names, False)


ALL: Final = Pick(frozenset(), False)
NAMELESS: Final = Pick(frozenset((NAME,)), False)


def only(*names: str) -> Pick:
    """Return the choice of these names alone."""
    return Pick(frozenset(names), True)


def all_but(*names: str) -> Pick:
    """Return the choice of every name but these."""
    return Pick(frozenset(names), False)


class Strings:
    """Every label value once: text to code and back, and the hash of each."""

    def __init__(self) -> None:
        self.texts: list[str] = [""]
        self.codes: dict[str, int] = {"": 0}
        self._hashes: Hashes = np.zeros(1024, np.uint64)
        self._names: dict[str, int] = {}

    def code(self, text: str) -> int:
        """Return the code of a text, a new one if it was never seen."""
        code = self.codes.get(text)
        if code is None:
            code = self.codes[text] = len(self.texts)
            self.texts.append(text)
            self._hashes = fit(self._hashes, code + 1)
            self._hashes[code] = _digest(text)
        return code

    def encode(self, texts: list[str]) -> Codes:
        """Return the code of each text."""
        return np.fromiter(map(self.code, texts), np.int32, len(texts))

    def hashes(self, label: str, codes: Codes) -> Hashes:
        """Return the hash of (label, value) for each code; 0 for the empty value, so that it counts for nothing."""
        mixed = self._hashes[codes] + np.uint64(self._name(label))
        mixed ^= mixed >> np.uint64(30)  # the finalizer of splitmix64
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(27)
        mixed *= np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
        mixed[codes == 0] = 0
        return mixed

    def hash(self, label: str, text: str) -> int:
        """Return what `hashes` returns, for one pair."""
        if not text:
            return 0
        mixed = (int(self._hashes[self.code(text)]) + self._name(label)) & _MASK
        mixed = ((mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ mixed >> 27) * 0x94D049BB133111EB) & _MASK
        return mixed ^ mixed >> 31

    def _name(self, label: str) -> int:
        name = self._names.get(label)
        if name is None:
            name = self._names[label] = _digest(label)
        return name


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


class LabelTable:
    """Label sets by number, as one column of codes for each label name."""

    def __init__(self, strings: Strings) -> None:
        self.strings = strings
        self.rows: list[dict[str, str]] = []
        self._columns: dict[str, Codes] = {}
        self._hashes: dict[Pick, Growing[np.uint64]] = {}
        self._empty: Codes = np.zeros(64, np.int32)

    def add(self, labels: Mapping[str, str]) -> int:
        """Return the number of a new row; labels with an empty value are left out."""
        number = len(self.rows)
        self.rows.append({name: text for name, text in labels.items() if text})
        self._empty = fit(self._empty, number + 1)
        for name, text in self.rows[-1].items():
            column = fit(self._columns.get(name, self._empty[:0]), len(self._empty))
            column[number] = self.strings.code(text)
            self._columns[name] = column
        return number

    def column(self, label: str) -> Codes:
        """Return the codes of a label, by row number; may be longer than there are rows."""
        column = self._columns.get(label)
        if column is None:
            return self._empty
        if len(column) < len(self.rows):
            column = self._columns[label] = fit(column, len(self._empty))
        return column

    def hashes(self, pick: Pick) -> Hashes:
        """Return for each row the hash of its chosen labels."""
        known = self._hashes.get(pick)
        if known is None:
            known = self._hashes[pick] = Growing(np.uint64)
        if len(known) < len(self.rows):
            known.extend(self._span(pick, len(known), len(self.rows)))
        return known.view

    def _span(self, pick: Pick, start: int, end: int) -> Hashes:
        if end - start < 16:
            return np.array([self._row(pick, row) for row in self.rows[start:end]], np.uint64)
        total = np.zeros(end - start, np.uint64)
        for name in self._columns:
            if pick.has(name):
                total += self.strings.hashes(name, self.column(name)[start:end])
        return total

    def _row(self, pick: Pick, row: dict[str, str]) -> int:
        return sum(self.strings.hash(name, text) for name, text in row.items() if pick.has(name)) & _MASK
