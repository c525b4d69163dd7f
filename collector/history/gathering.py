"""Which series a reader wants, and how they are put together from chunks and open rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from agent.wire import read_series
from collector.history.chunk import Chunk, Column, decode
from collector.history.errors import CorruptChunkError
from collector.history.integers import Floats

# Of a metric's name and labels: whether the series is wanted.
Matcher: TypeAlias = Callable[[str, Mapping[str, str]], bool]
Names: TypeAlias = Sequence[str] | Matcher
Samples: TypeAlias = tuple[Floats, Floats]
Places: TypeAlias = list[tuple[int, str]]  # where in a schema the wanted series are

_BATCH: Final = 1_024  # columns that are decoded together


class Closed(NamedTuple):
    """A chunk's bytes and the places of the wanted series in its schema."""

    places: Places
    data: bytes


class Open(NamedTuple):
    """Rows that are in no chunk yet, as a table [rows, times and series]."""

    places: Places
    table: Floats


def metric(name: str, /, **labels: str) -> Matcher:
    """Return a matcher for the series of a metric that have these labels."""
    return lambda found, having: found == name and all(having.get(key) == value for key, value in labels.items())


def places(series: Sequence[str], names: Names) -> Places:
    """Return where the wanted series are in a schema: by their whole text, or by a matcher."""
    if callable(names):
        return [(place, text) for place, text in enumerate(series) if names(*read_series(text))]
    wanted = set(names)
    return [(place, text) for place, text in enumerate(series) if text in wanted]


class Gathering:
    """Collects the samples of one read, and gives them in order of time."""

    def __init__(self, start: float, end: float) -> None:
        """Collect what lies from `start` to `end`, both included."""
        self._start, self._end = start, end
        self._found: dict[str, list[Samples]] = {}
        self._columns: list[Column] = []
        self._rows: list[int] = []
        self._texts: list[Sequence[str]] = []
        self.corrupt = 0  # chunks that could not be read

    def add(self, pieces: Iterable[Closed | Open]) -> None:
        """Take pieces; a chunk that is damaged is left out and counted."""
        for piece in pieces:
            if isinstance(piece, Closed):
                self._add_chunk(piece)
            else:
                texts = [text for _, text in piece.places]
                self._take(texts, piece.table[:, 0], [piece.table[:, place + 1] for place, _ in piece.places])
        self._decode()

    def _add_chunk(self, piece: Closed) -> None:
        try:
            chunk = Chunk(piece.data)
            columns = [chunk.times(), *[chunk.series(place) for place, _ in piece.places]]
        except CorruptChunkError:
            self.corrupt += 1
            return
        self._columns += columns
        self._rows += [chunk.rows] * len(columns)
        self._texts.append([text for _, text in piece.places])
        if len(self._columns) >= _BATCH:
            self._decode()

    def _decode(self) -> None:
        decoded: Iterator[Floats] = iter(decode(self._columns, self._rows))
        for texts in self._texts:
            self._take(texts, next(decoded), [next(decoded) for _ in texts])
        self._columns, self._rows, self._texts = [], [], []

    def _take(self, texts: Sequence[str], times: Floats, columns: Sequence[Floats]) -> None:
        if not len(times):
            return
        if times[0] < self._start or times[-1] > self._end:
            inside = slice(*np.searchsorted(times, [self._start, np.nextafter(self._end, np.inf)]).tolist())
            times, columns = times[inside], [column[inside] for column in columns]
        for text, column in zip(texts, columns, strict=True):
            self._found.setdefault(text, []).append((times, column))

    def samples(self) -> dict[str, Samples]:
        """Return (times, values) by series; a series without a sample is not there."""
        joined = {text: _join(parts) for text, parts in self._found.items()}
        return {text: samples for text, samples in joined.items() if len(samples[0])}


def _join(parts: Sequence[Samples]) -> Samples:
    times = np.concatenate([part[0] for part in parts])
    values = np.concatenate([part[1] for part in parts])
    if (times[1:] > times[:-1]).all():
        return times, values
    order = np.argsort(times, kind="stable")
    times, values = times[order], values[order]
    # The same sample twice comes of a replay after an index was lost. It is one; another value at that time is kept.
    bits = np.stack([times.view(np.int64), values.view(np.int64)])
    once = np.sort(np.unique(bits, axis=1, return_index=True)[1])
    return times[once], values[once]


def merged(times: Floats, values: Floats) -> Samples:
    """Return the samples without gaps at times that have a value: remote writes share a time's series among rows."""
    same = times[1:] == times[:-1]
    void = np.isnan(values) & (np.concatenate((same, [False])) | np.concatenate(([False], same)))
    return times[~void], values[~void]
