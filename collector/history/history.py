"""The history: takes rows as the log gives them, writes them as chunks, reads them back."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from collector.history.days import DAY, INDEX, day_of, paths, remove
from collector.history.errors import HistoryError, HistoryFullError
from collector.history.gathering import Closed, Names, Open, Places, Samples, places
from collector.history.head import PACKED_ROWS, Head, Rows, Stored, chunks
from collector.history.integers import Floats
from collector.history.partition import Partition, State, delete_device, failure, is_damage, read_state
from collector.history.progress import Mark, Progress
from collector.history.reader import Reader
from collector.history.resolution import Steps, resolve_all
from collector.history.schema import SchemaRef, pack

_FEW_ROWS: Final = 8  # a head with fewer waits for more, so that a jumping clock does not make a chunk of each row
_RAW_BYTES: Final = 64 << 20  # open rows beyond this are made chunks, or packed
_MANY_ROWS: Final = 64  # make a good chunk, whatever their time
_CLOSED_BYTES: Final = 4 << 20  # are encoded together
_SWEEPS: Final = 10  # so often in the time of a chunk, heads of slow and silent devices are looked for


class History:
    """Every series of the recent days. One thread appends and flushes; any thread may read."""

    def __init__(
        self, path: Path, retention: float = 7 * DAY, chunk_seconds: float = 600, hold: int = 256 << 20
    ) -> None:
        """Open the history in the folder `path`, which is made if it is not there.

        Args:
            path: a folder, for two files a day.
            retention: seconds for which chunks are kept after they were written, in whole days.
            chunk_seconds: how much time a chunk covers.
            hold: bytes of chunks that are held in memory while they cannot be written.

        Raises:
            HistoryError: the folder cannot be used.
        """
        self._folder, self._retention, self._seconds, self._hold = path, retention, chunk_seconds, hold
        self._lock = threading.RLock()
        self._schemas: WeakValueDictionary[int, SchemaRef] = WeakValueDictionary()
        self._heads: dict[int, Head] = {}
        self._closed: list[Head] = []  # ended, and no chunks yet
        self._pending: list[Stored] = []  # chunks that are not written
        self._upto: dict[int, int] = {}  # device -> rows seen when its head was closed last, not written yet
        self._held = self._raw = 0
        self._now = self._swept = float("-inf")
        self._partition: Partition | None = None
        self._damaged: set[Path] = set()
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HistoryError(f"cannot make the folder {path}: {error.strerror}") from error
        self._reader = Reader(path)
        self._latest: Path | None = None  # the file that has the state that holds
        self._chunks, self._commits, self._progress = self._recover()
        self._position = self._progress.base.position

    def _recover(self) -> State:
        """Return the state of the file that was written last; one that is damaged is written no more."""
        best = State(0, 0, Progress())
        for path in paths(self._folder):
            try:
                state = read_state(path)
            except sqlite3.Error as error:
                if not is_damage(error):
                    raise failure(error, path) from error
                self._damaged.add(path)
            else:
                if state is not None and state.commits > best.commits:
                    best, self._latest = state, path
        return best

    @property
    def corrupt(self) -> int:
        """How many times a damaged chunk was left out of an answer."""
        return self._reader.corrupt

    @property
    def set_aside(self) -> int:
        """How many files of days turned out to be damaged; what can be read of them still is."""
        return len(self._damaged)

    @property
    def held_bytes(self) -> int:
        """Bytes of open rows that are not packed and of chunks that are not written yet."""
        return self._held + self._raw

    @property
    def due(self) -> bool:
        """Whether so much waits to be written that a flush should not wait."""
        return self._held > self._hold // 8

    def position(self) -> int:
        """Return where in the log to start: what comes from there on is taken once, no matter what was written."""
        return self._position

    def rebase(self, position: int) -> None:
        """Start at `position` of a log that has lost what came before it; call it before the first append.

        Raises:
            HistoryError: it cannot be written down.
        """
        with self._lock:
            self._leave()
            self._progress = Progress(Mark(position, {}))
            self._position = position
            if self._latest is not None:
                self._write(day_of(self._latest) * DAY)

    def schema(self, number: int, series: Sequence[str]) -> SchemaRef:
        """Return a schema by its number and the texts of its series, to append rows with; it may be called again."""
        with self._lock:
            ref = self._schemas.get(number)
            if ref is None:
                ref = self._schemas[number] = SchemaRef(number, len(series), pack(series))
            return ref

    def append(self, device: int, series: SchemaRef, times: Floats, values: Floats) -> None:
        """Take rows in the order of the log: `times[rows]`, `values[rows, columns]`; NaN is "no value now".

        Raises:
            HistoryFullError: too much is held back because it cannot be written. The rows are not taken: give them
                again after a flush that did not fail.
        """
        with self._lock:
            if self._held > self._hold:
                raise HistoryFullError(f"{self._held >> 20} MiB wait for room in {self._folder}")
            written = self._progress.take(device, len(times))
            if written:
                times, values = times[written:], values[written:]
            if not len(times):
                return
            head = self._heads.get(device)
            if head is None:
                head = self._open(device, times)
            elif times[-1] >= head.end and head.rows >= _FEW_ROWS:
                self._close(head, self._progress.seen[device] - len(times))
                head = self._open(device, times)
            rows = head.append(series, times, values)
            self._raw += values.nbytes
            if self._raw > _RAW_BYTES:
                self._make_room(head, rows)

    def _make_room(self, head: Head, rows: Rows) -> None:
        """Make a chunk of a head that has enough for one, else pack rows, because there are many open ones."""
        if head.rows >= _MANY_ROWS:
            self._close(head, self._progress.seen[head.device])
            if sum(closed.raw_bytes for closed in self._closed) > _CLOSED_BYTES:
                self._encode()
        elif rows.raw >= PACKED_ROWS:
            self._raw -= rows.raw_bytes
            rows.pack()

    def _open(self, device: int, times: Floats) -> Head:
        head = self._heads[device] = Head(device, self._seconds, float(times[0]), self._now)
        return head

    def _close(self, head: Head, upto: int) -> None:
        """End a head; the next flush makes chunks of it, and of its device the first `upto` rows are then in chunks."""
        del self._heads[head.device]
        self._closed.append(head)
        self._upto[head.device] = upto

    def flush(self, position: int | None, now: float, *, everything: bool = False) -> None:
        """Write the chunks that are full (at a stop: everything), and how far the log was read, in one transaction.

        Args:
            position: all rows that were appended come from before it in the log, all that will be from there on;
                None: there is no such place, for rows were appended in another order.
            now: the time; it decides the day's file, and what is old enough to be deleted.
            everything: write the open rows too.

        Raises:
            HistoryFullError: there is no room; nothing is lost, flush again later.
            HistoryError: the files cannot be written.
        """
        with self._lock:
            if self._now == float("-inf"):
                for head in self._heads.values():
                    head.opened = now
            self._now = now
            swept = everything or not 0 <= now - self._swept < self._seconds / _SWEEPS
            if swept:
                self.drop(now - self._retention)
                self._swept = now
                self._sweep(now, everything=everything)
                if position is not None:
                    self._progress.mark(position)
            self._encode()
            for device, rows in self._upto.items():
                self._progress.wrote(device, rows)
            if self._progress.advance() or self._pending or self._upto:
                self._write(now)

    def _sweep(self, now: float, *, everything: bool) -> None:
        """Close what a silent or slow device left open for longer than a chunk's time, by our clock."""
        for head in list(self._heads.values()):
            if everything or now - head.opened >= self._seconds * (1 + 2 / _SWEEPS):
                self._close(head, self._progress.seen[head.device])

    def _encode(self) -> None:
        """Make chunks of the heads that have ended."""
        for head in self._closed:
            self._raw -= head.raw_bytes
        for chunk in chunks(self._closed):
            self._pending.append(chunk)
            self._held += len(chunk.data)
        self._closed = []

    def _write(self, now: float) -> None:
        """Write what is pending; a file that proves damaged is left as it is, and another one is begun."""
        numbered = list(enumerate(self._pending, self._chunks + 1))
        state = State(self._chunks + len(numbered), self._commits + 1, self._progress)
        while True:
            path = self._path(now)
            try:
                if self._partition is None or self._partition.path != path:
                    self._leave()
                    self._partition = Partition(path)
                self._partition.write(numbered, state, self._upto.keys())
                break
            except (sqlite3.Error, OSError) as error:
                if not is_damage(error):
                    raise failure(error, path) from error
                self._leave()
                self._damaged.add(path)
        self._chunks, self._commits, self._latest = state.chunks, state.commits, path
        self._position = state.progress.base.position
        self._pending, self._upto, self._held = [], {}, 0

    def _path(self, now: float) -> Path:
        """Return the file for the day of `now`: the first of its names that is not known to be damaged."""
        day = int(now // DAY)
        names = (self._folder / f"{day}-{number}{INDEX}" for number in count())
        return next(path for path in names if path not in self._damaged)

    def _leave(self) -> None:
        if self._partition is not None:
            self._partition.close()
            self._partition = None

    def drop(self, before: float) -> None:
        """Delete the files of the days that were over `before` that time, but not the one that was written last."""
        with self._lock:
            for path in paths(self._folder):
                if (day_of(path) + 1) * DAY <= before and path != self._latest:
                    if self._partition is not None and path == self._partition.path:
                        self._leave()
                    remove(path)
                    self._damaged.discard(path)

    def drop_device(self, device: int) -> None:
        """Delete all of a device, for good. Its number must not be used again.

        Raises:
            HistoryError: a file cannot be written; what it has of the device is still there.
        """
        with self._lock:
            gone = [head for head in [*self._closed, *self._heads.values()] if head.device == device]
            self._raw -= sum(head.raw_bytes for head in gone)
            self._closed = [head for head in self._closed if head.device != device]
            self._heads.pop(device, None)
            self._pending = [chunk for chunk in self._pending if chunk.device != device]
            self._held = sum(len(chunk.data) for chunk in self._pending)
            self._upto[device] = self._progress.seen.get(device, 0)
            self._leave()
            for path in set(paths(self._folder)) - self._damaged:
                try:
                    delete_device(path, device)
                except (sqlite3.Error, OSError) as error:
                    raise failure(error, path) from error

    def read(self, device: int, names: Names, start: float, end: float) -> Mapping[str, Samples]:
        """Return (times, values) by the text of the series, from `start` to `end`, open rows included.

        Args:
            device: of whom.
            names: the texts of series, or a matcher of metric names and labels, such as `metric("node_load1")`.
            start: the earliest time, in Unix seconds.
            end: the latest time.

        Raises:
            HistoryError: the files cannot be read.
        """
        wanted: dict[int, Places] = {}

        def found(schema: SchemaRef) -> Places:
            if schema.id not in wanted:
                wanted[schema.id] = places(schema.series, names)
            return wanted[schema.id]

        with self._lock:
            waiting = [chunk for chunk in self._pending if chunk.device == device]
            pieces: list[Closed | Open] = [Closed(found(chunk.schema), chunk.data) for chunk in waiting]
            heads = [head for head in [*self._closed, *self._heads.values()] if head.device == device]
            parts = [part for head in heads for part in head.parts.values() if found(part.schema)]
            pieces += [Open(found(part.schema), part.table()) for part in parts]
        # What is written from here on is read from the disk once more, and a sample that is there twice is one.
        return self._reader.gather(device, names, start, end, pieces)

    def read_resolution(self, device: int, names: Names, start: float, end: float, step: float) -> Mapping[str, Steps]:
        """Return the same for each step of so many seconds, as a graph needs it."""
        return resolve_all(self.read(device, names, start, end), start, step)

    def close(self) -> None:
        """Close the files; what was not flushed comes again from the log."""
        with self._lock:
            self._leave()
            self._reader.close()
