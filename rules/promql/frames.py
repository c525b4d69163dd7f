"""Frames: the label sets over which vectors are given.

A frame grows at its end and never changes what it has, so that everything derived from it (keys, groups, matches) is
worked out once for each element. An element whose series is gone stays as a place where nothing is. When too many are,
the selector makes a new frame, and what is derived is made anew.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rules.growing import Growing
from rules.labels import ALL, NAME, NAMELESS, Codes, Hashes, Labels, Pick, Strings, all_but
from rules.promql.keys import Ids, Keys

if TYPE_CHECKING:
    from rules.fleet import Fleet

_REMEMBERED: Final = 50_000

T = TypeVar("T", bound=np.generic)


class Frame(ABC):
    """Label sets by position; `distinct` says that no two of them are equal, whichever have a value."""

    def __init__(self, strings: Strings, *, distinct: bool) -> None:
        self.strings = strings
        self.distinct = distinct
        self.n = 0
        self._known: dict[Pick, Growing[np.uint64]] = {}
        self._columns: dict[str, Growing[np.int32]] = {}
        self._labels: dict[int, Labels] = {}
        self._nameless: Frame | None = None
        self._keys: tuple[Keys, Growing[np.int64]] | None = None

    @abstractmethod
    def _hash_span(self, pick: Pick, start: int, end: int) -> Hashes: ...

    @abstractmethod
    def _column_span(self, label: str, start: int, end: int) -> Codes: ...

    @abstractmethod
    def _labels_of(self, index: int) -> dict[str, str]: ...

    def hashes(self, pick: Pick) -> Hashes:
        """Return for each element the hash of its chosen labels."""
        known = self._known.get(pick)
        if known is None:
            known = self._known[pick] = Growing(np.uint64)
        if len(known) < self.n:
            known.extend(self._hash_span(pick, len(known), self.n))
        return known.view

    def column(self, label: str) -> Codes:
        """Return for each element the code of this label; 0 where it has none."""
        known = self._columns.get(label)
        if known is None:
            known = self._columns[label] = Growing(np.int32)
        if len(known) < self.n:
            known.extend(self._column_span(label, len(known), self.n))
        return known.view

    def labels(self, index: int) -> Labels:
        """Return the label set of one element."""
        labels = self._labels.get(index)
        if labels is None:
            if len(self._labels) >= _REMEMBERED:
                self._labels.clear()
            labels = self._labels[index] = Labels(self._labels_of(index))
        return labels

    def uncached(self, index: int) -> dict[str, str]:
        """Return the label set of one element, for a frame that is made of this one; it is the caller's to change."""
        return self._labels_of(index)

    def nameless(self) -> Frame:
        """Return the same elements without the metric name."""
        if self._nameless is None:
            self._nameless = View(self, NAMELESS, distinct=self.distinct and self.one_name)
        self._nameless.n = self.n
        return self._nameless

    @property
    def one_name(self) -> bool:
        """Whether all elements have the same metric name, so that they stay distinct without it."""
        return False

    def clashes(self, mask: NDArray[np.bool_]) -> bool:
        """Whether two of the elements in the mask have the same labels."""
        if not self.repeats():
            return False
        present = self.identities()[mask]
        return len(np.unique(present)) < len(present)

    def repeats(self) -> bool:
        """Whether any two elements have the same labels, be they there or not."""
        if self.distinct:
            return False
        self.identities()
        return self._keys is not None and self._keys[0].count < self.n

    def identities(self) -> Ids:
        """Return a number for each element, the same for equal label sets."""
        keys, ids = self._keys = self._keys or (Keys(), Growing(np.int64))
        if len(ids) < self.n:
            ids.extend(keys.ids(self.hashes(ALL)[len(ids) :]))
        return ids.view


class SeriesFrame(Frame):
    """The series that a selector chooses, in slots of the fleet's array."""

    def __init__(self, fleet: Fleet, *, one_name: bool) -> None:
        super().__init__(fleet.strings, distinct=True)
        self._array = fleet.array
        self._own = fleet.series_table
        self._targets = fleet.device_table
        self._one_name = one_name
        self._slots: Growing[np.int64] = Growing(np.int64)
        self._series: Growing[np.int32] = Growing(np.int32)
        self._devices: Growing[np.int32] = Growing(np.int32)
        self.dead = 0

    @property
    def slots(self) -> NDArray[np.int64]:
        """The slot of each element; 0 where the series is gone."""
        return self._slots.view

    @property
    def one_name(self) -> bool:
        return self._one_name

    def add(self, slots: NDArray[np.int64]) -> None:
        """Add the series in these slots."""
        self._slots.extend(slots)
        self._series.extend(self._array.series[slots])
        self._devices.extend(self._array.devices[slots])
        self.n = len(self._slots)

    def lose(self, slots: Sequence[int]) -> None:
        """Turn the elements of these slots to nobody's."""
        gone = np.isin(self._slots.view, slots)
        self._slots.view[gone] = 0
        self.dead += int(gone.sum())

    def _hash_span(self, pick: Pick, start: int, end: int) -> Hashes:
        own = self._own.hashes(pick)[self._series.view[start:end]]
        return own + self._targets.hashes(pick)[self._devices.view[start:end]]

    def _column_span(self, label: str, start: int, end: int) -> Codes:
        own: Codes = self._own.column(label)[self._series.view[start:end]]
        target: Codes = self._targets.column(label)[self._devices.view[start:end]]
        return np.where(target != 0, target, own)

    def _labels_of(self, index: int) -> dict[str, str]:
        own: dict[str, str] = self._own.rows[self._series.view[index]]
        target: dict[str, str] = self._targets.rows[self._devices.view[index]]
        return own | target


class View(Frame):
    """Elements of another frame, with some of their labels; all of them, or those at `index`."""

    def __init__(self, base: Frame, pick: Pick, *, distinct: bool) -> None:
        super().__init__(base.strings, distinct=distinct)
        self.base = base
        self.pick = pick
        self.index: Growing[np.int64] | None = None
        self.n = base.n

    @classmethod
    def of(cls, base: Frame, pick: Pick, *, distinct: bool) -> View:
        """Return a view that has no element yet; see `add`."""
        view = cls(base, pick, distinct=distinct)
        view.index = Growing(np.int64)
        view.n = 0
        return view

    def add(self, index: Ids) -> None:
        """Add these elements of the base."""
        assert self.index is not None  # noqa: S101 - only views that were made by `of` are added to
        self.index.extend(index)
        self.n = len(self.index)

    @property
    def one_name(self) -> bool:
        return not self.pick.has(NAME) or self.base.one_name

    def _hash_span(self, pick: Pick, start: int, end: int) -> Hashes:
        hashes = self.base.hashes(self.pick & pick)
        return hashes[start:end] if self.index is None else hashes[self.index.view[start:end]]

    def _column_span(self, label: str, start: int, end: int) -> Codes:
        if not self.pick.has(label):
            return np.zeros(end - start, np.int32)
        codes = self.base.column(label)
        return codes[start:end] if self.index is None else codes[self.index.view[start:end]]

    def _labels_of(self, index: int) -> dict[str, str]:
        at = index if self.index is None else int(self.index.view[index])
        return {name: text for name, text in self.base.uncached(at).items() if self.pick.has(name)}


class Relabelled(Frame):
    """The elements of another frame with some labels set anew; a code of 0 takes the label away."""

    def __init__(self, base: Frame, *, distinct: bool = False) -> None:
        super().__init__(base.strings, distinct=distinct)
        self.base = base
        self.codes: dict[str, Growing[np.int32]] = {}

    def add(self, columns: dict[str, Codes]) -> None:
        """Add elements of the base, with their new labels; always the same labels."""
        for label, codes in columns.items():
            self.codes.setdefault(label, Growing(np.int32)).extend(codes)
            self.n = len(self.codes[label])

    @property
    def one_name(self) -> bool:
        return NAME not in self.codes and self.base.one_name

    def _hash_span(self, pick: Pick, start: int, end: int) -> Hashes:
        total = self.base.hashes(pick & all_but(*self.codes))[start:end].copy()
        for label, codes in self.codes.items():
            if pick.has(label):
                total += self.strings.hashes(label, codes.view[start:end])
        return total

    def _column_span(self, label: str, start: int, end: int) -> Codes:
        codes = self.codes.get(label)
        return self.base.column(label)[start:end] if codes is None else codes.view[start:end]

    def _labels_of(self, index: int) -> dict[str, str]:
        labels = self.base.uncached(index)
        for label, codes in self.codes.items():
            text = self.strings.texts[codes.view[index]]
            if text:
                labels[label] = text
            else:
                labels.pop(label, None)
        return labels


class Listed(Frame):
    """Label sets given one by one."""

    def __init__(self, strings: Strings, rows: Sequence[dict[str, str]], *, distinct: bool = False) -> None:
        super().__init__(strings, distinct=distinct)
        self.rows = list(rows)
        self.n = len(self.rows)

    def _hash_span(self, pick: Pick, start: int, end: int) -> Hashes:
        hashes = [
            sum(self.strings.hash(name, text) for name, text in row.items() if pick.has(name)) & 0xFFFFFFFFFFFFFFFF
            for row in self.rows[start:end]
        ]
        return np.array(hashes, np.uint64)

    def _column_span(self, label: str, start: int, end: int) -> Codes:
        return self.strings.encode([row.get(label, "") for row in self.rows[start:end]])

    def _labels_of(self, index: int) -> dict[str, str]:
        return dict(self.rows[index])


class Gathered(Frame):
    """Elements of several frames."""

    def __init__(self, strings: Strings, parts: Sequence[Frame], *, distinct: bool = False) -> None:
        super().__init__(strings, distinct=distinct)
        self.parts = tuple(parts)
        self._of: Growing[np.int16] = Growing(np.int16)
        self._at: Growing[np.int64] = Growing(np.int64)

    def add(self, of: ArrayLike, at: ArrayLike) -> None:
        """Add the elements at these places, of the parts with these numbers."""
        self._of.extend(of)
        self._at.extend(at)
        self.n = len(self._at)

    def _hash_span(self, pick: Pick, start: int, end: int) -> Hashes:
        out = np.empty(end - start, np.uint64)
        self._spread(start, end, out, [part.hashes(pick) for part in self.parts])
        return out

    def _column_span(self, label: str, start: int, end: int) -> Codes:
        out = np.empty(end - start, np.int32)
        self._spread(start, end, out, [part.column(label) for part in self.parts])
        return out

    def _spread(self, start: int, end: int, out: NDArray[T], parts: list[NDArray[T]]) -> None:
        of, at = self._of.view[start:end], self._at.view[start:end]
        for number, part in enumerate(parts):
            here = of == number
            out[here] = part[at[here]]

    def _labels_of(self, index: int) -> dict[str, str]:
        part: Frame = self.parts[self._of.view[index]]
        return part.uncached(int(self._at.view[index]))


class Joined(Gathered):
    """The elements of two frames, in one numbering: each part is taken up as it grows."""

    def __init__(self, left: Frame, right: Frame) -> None:
        super().__init__(left.strings, (left, right))
        self.places: tuple[Growing[np.int64], Growing[np.int64]] = (Growing(np.int64), Growing(np.int64))
        self.sync()

    def sync(self) -> None:
        """Take up what the parts have more."""
        for number, (part, places) in enumerate(zip(self.parts, self.places, strict=True)):
            fresh = np.arange(len(places), part.n)
            if len(fresh):
                places.extend(self.n + np.arange(len(fresh)))
                self.add(np.full(len(fresh), number), fresh)
