"""The history: takes rows as the log gives them, writes them as chunks, reads them back."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from collector.history.errors import HistoryError, HistoryFullError
from collector.history.head import PACKED_ROWS, Head, Stored
from collector.history.integers import Floats
from collector.history.partition import DAY, Partition, State, failure, paths, read_state
from collector.history.progress import Progress
from collector.history.reader import Reader

_FEW_ROWS: Final = 8  # a head with fewer waits for more, so that a jumping clock does not make a chunk of each row
_RAW_BYTES: Final = 64 << 20  # open rows beyond this are packed
_SWEEPS: Final = 10  # so often in the time of a chunk, heads of slow and silent devices are looked for


class History:
    """Every series of the recent days. One thread appends and flushes; any thread may read."""

    def __init__(
        self, path: Path, retention: float = 7 * DAY, chunk_seconds: float = 600, hold: int = 256 << 20
    ) -> None:
        """Open the history in the folder `path`, which is made if it is not there.

        Args:
            path: a folder, with an SQLite file for each day.
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
        self._pending: list[Stored] = []
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
        self._chunks, self._commits, self._progress = self._recover()
        self._position = self._progress.base.position

    def _recover(self) -> State:
        """Return the state of the file that was written last; one that is damaged is written no more."""
        states = [State(0, 0, Progress())]
        for path in paths(self._folder):
            try:
                state = read_state(path)
            except sqlite3.Error as error:
                if not is_damage(error):
                    raise failure(error, path) from error
                self._damaged.add(path)
            else:
                states += [] if state is None else [state]
        return max(states, key=lambda state: state.commits)

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

    def position(self) -> int:
        """Return where in the log to start: what comes from there on is taken once, no matter what was written."""
        return self._position

    def rebase(self, position: int) -> None:
        """Start at `position` of a log that knows nothing of what was before, instead of replaying from `position()`."""
        with self._lock:
            self._progress = Progress(Mark(position, {}), {})

    def schema(self, number: int, series: Sequence[str]) -> SchemaRef:
        """Return a schema by its number and the texts of its series, to append rows with; call it as often as you like."""
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
            if self._raw > _RAW_BYTES and rows.raw >= PACKED_ROWS:
                self._raw -= rows.raw_bytes
                rows.pack()

    def _open(self, device: int, times: Floats) -> Head:
        head = self._heads[device] = Head(device, self._seconds, float(times[0]), self._now)
        return head

    def _close(self, head: Head, upto: int) -> None:
        """Make chunks of a head; of its device, the first `upto` rows are then in chunks."""
        del self._heads[head.device]
        self._raw -= sum(part.raw_bytes for part in head.parts.values())
        for chunk in head.chunks():
            self._pending.append(chunk)
            self._held += len(chunk.data)
        self._upto[head.device] = upto

    def flush(self, position: int, now: float, *, everything: bool = False) -> None:
        """Write the chunks that are full (at a stop: everything), and how far the log was read, in one transaction.

        Args:
            position: all rows that were appended come from before it in the log, all that will be from there on.
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
                self._swept = now
                self._sweep(now, everything=everything)
                self._progress.mark(position)
            if not self._pending and not self._upto and not swept:
                return
            self._progress.written.update(self._upto)
            if self._progress.advance() or self._pending or self._upto:
                self._write(now)
            if swept:
                self.drop(now - self._retention)

    def _sweep(self, now: float, *, everything: bool) -> None:
        """Close what a silent or slow device left open for longer than a chunk's time, by our clock."""
        for head in list(self._heads.values()):
            if everything or now - head.opened >= self._seconds * (1 + 2 / _SWEEPS):
                self._close(head, self._progress.seen[head.device])

    def _write(self, now: float) -> None:
        """Write what is pending; a file that proves damaged is left as it is, and another one is begun."""
        chunks = list(enumerate(self._pending, self._chunks + 1))
        state = State(self._chunks + len(chunks), self._commits + 1, self._progress)
        self._with_partition(now, lambda partition: partition.write(chunks, state, self._upto.keys()))
        self._saved(state)
        self._pending, self._upto, self._held = [], {}, 0

    def _saved(self, state: State) -> None:
        self._chunks, self._commits = state.chunks, state.commits
        self._position = state.progress.base.position

    def _with_partition(self, now: float, write: Callable[[Partition], None]) -> None:
        while True:
            path = self._path(now)
            try:
                if self._partition is None or self._partition.path != path:
                    self._leave()
                    self._partition = Partition(path)
                write(self._partition)
            except sqlite3.Error as error:
                if not is_damage(error):
                    raise failure(error, path) from error
                self._leave()
                self._damaged.add(path)
            else:
                return

    def _path(self, now: float) -> Path:
        """Return the file for the day of `now`: the first of its names that is not known to be damaged."""
        day = int(now // DAY)
        names = (self._folder / f"{day}-{number}{SUFFIX}" for number in count())
        return next(path for path in names if path not in self._damaged)

    def _leave(self) -> None:
        if self._partition is not None:
            self._partition.close()
            self._partition = None

    def drop(self, before: float) -> None:
        """Delete the files of the days that were over `before` that time, but never the one that is written."""
        with self._lock:
            for path in paths(self._folder):
                if (day_of(path) + 1) * DAY <= before and self._partition is not None and path != self._partition.path:
                    remove(path)
                    self._damaged.discard(path)

    def drop_device(self, device: int) -> None:
        """Delete all of a device, for good.

        Raises:
            HistoryError: the files cannot be written; what could not be deleted is still there.
        """
        with self._lock:
            head = self._heads.pop(device, None)
            if head is not None:
                self._raw -= sum(part.raw_bytes for part in head.parts.values())
            self._pending = [chunk for chunk in self._pending if chunk.device != device]
            self._held = sum(len(chunk.data) for chunk in self._pending)
            self._upto.pop(device, None)
            self._progress.written[device] = self._progress.seen.get(device, 0)
