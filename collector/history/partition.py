"""The day that is written: chunks, and with them, in one transaction, how far the log was read."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing, suppress
from itertools import accumulate
from pathlib import Path
from typing import Final, NamedTuple

import cramjam
import numpy as np

from collector.history.days import CHUNKS, Pile
from collector.history.errors import CorruptChunkError, HistoryError, HistoryFullError
from collector.history.head import Stored
from collector.history.progress import Mark, Progress
from collector.history.schema import unpack

_HALF, _WHOLE = 1 << 63, 1 << 64

_TABLES: Final = """
PRAGMA journal_mode = WAL;
BEGIN;
CREATE TABLE IF NOT EXISTS chunk (
    device INTEGER NOT NULL, last REAL NOT NULL, id INTEGER NOT NULL, first REAL NOT NULL,
    schema INTEGER NOT NULL, start INTEGER NOT NULL, size INTEGER NOT NULL,
    PRIMARY KEY (device, last, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS schema (id INTEGER PRIMARY KEY, series BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS written (device INTEGER PRIMARY KEY, rows INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS state (
    one INTEGER PRIMARY KEY CHECK (one = 1), bytes INTEGER NOT NULL, chunks INTEGER NOT NULL,
    commits INTEGER NOT NULL, position INTEGER NOT NULL, rows BLOB NOT NULL
);
COMMIT;
PRAGMA synchronous = FULL;
PRAGMA wal_autocheckpoint = 250;
"""


class State(NamedTuple):
    """What an index says of the whole history: how many chunks and commits there have been, and the progress."""

    chunks: int
    commits: int
    progress: Progress


def signed(schema: int) -> int:
    """Return a schema's number as SQLite can hold it."""
    return schema - _WHOLE if schema >= _HALF else schema


def unsigned(number: int) -> int:
    """Return the schema's number that `signed` was given."""
    return number + _WHOLE if number < 0 else number


class Partition:
    """The files of a day, open for writing. Errors come out as they are; `failure` tells what they mean."""

    def __init__(self, path: Path) -> None:
        """Open the day whose index is `path`, or make it.

        Raises:
            sqlite3.Error, OSError: it cannot be written.
        """
        self.path = path
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._connection.executescript(_TABLES)
            self._schemas = _sound_schemas(self._connection)
            self._end = (self._connection.execute("SELECT bytes FROM state").fetchone() or [0])[0]
            self._pile = Pile(path.with_suffix(CHUNKS))
        except (sqlite3.Error, OSError):
            self._connection.close()
            raise
        self._whole = False  # whether `written` has every device since this file was opened

    def close(self) -> None:
        """Close the files."""
        self._pile.close()
        self._connection.close()

    def write(self, chunks: Sequence[tuple[int, Stored]], state: State, devices: Collection[int]) -> None:
        """Write chunks by their numbers, and the state with them, or nothing; `devices` have rows newly written.

        Raises:
            sqlite3.Error, OSError: nothing was written.
        """
        starts = list(accumulate((len(chunk.data) for _, chunk in chunks), initial=self._end))
        self._pile.append(self._end, [chunk.data for _, chunk in chunks])
        try:
            self._write_index(chunks, starts, state, devices)
        except sqlite3.Error:
            self._pile.cut(self._end)
            raise
        self._end = starts[-1]
        self._schemas |= {chunk.schema.id for _, chunk in chunks}
        self._whole = True

    def _write_index(
        self, chunks: Sequence[tuple[int, Stored]], starts: list[int], state: State, devices: Collection[int]
    ) -> None:
        schemas = {chunk.schema.id: chunk.schema for _, chunk in chunks if chunk.schema.id not in self._schemas}
        texts = [(signed(number), schema.packed) for number, schema in schemas.items()]
        rows = [
            (c.device, c.last, number, c.first, signed(c.schema.id), start, len(c.data))
            for (number, c), start in zip(chunks, starts, strict=False)
        ]
        progress = state.progress
        with _Transaction(self._connection) as connection:
            connection.executemany("INSERT OR REPLACE INTO schema VALUES (?, ?)", texts)
            connection.executemany("INSERT INTO chunk VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            if not self._whole:
                connection.execute("DELETE FROM written")
                devices = progress.written
            counts = [(device, progress.written[device]) for device in devices]
            connection.executemany("INSERT OR REPLACE INTO written VALUES (?, ?)", counts)
            base = _pack_counts(progress.base.rows)
            record = [starts[-1], state.chunks, state.commits, progress.base.position, base]
            connection.execute("INSERT OR REPLACE INTO state VALUES (1, ?, ?, ?, ?, ?)", record)


class _Transaction:
    """BEGIN IMMEDIATE, then COMMIT, or ROLLBACK when anything went wrong, the commit included."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> sqlite3.Connection:
        self._connection.execute("BEGIN IMMEDIATE")
        return self._connection

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if error is None:
                self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def _sound_schemas(connection: sqlite3.Connection) -> set[int]:
    """Return the schemas of a file, but those that are damaged: they are written again when they are used."""
    sound = set()
    for number, packed in connection.execute("SELECT id, series FROM schema"):
        with suppress(CorruptChunkError):
            unpack(packed)
            sound.add(unsigned(number))
    return sound


def read_state(path: Path) -> State | None:
    """Return what an index says of the whole history, or None if it was never written to the end.

    Raises:
        sqlite3.Error: the file is damaged.
    """
    with closing(sqlite3.connect(path)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'state'").fetchone():
            return None
        record = connection.execute("SELECT chunks, commits, position, rows FROM state").fetchone()
        if record is None:
            return None
        chunks, commits, position, rows = record
        written = dict(connection.execute("SELECT device, rows FROM written").fetchall())
        return State(chunks, commits, Progress(Mark(position, _unpack_counts(rows)), written))


def delete_device(path: Path, device: int) -> None:
    """Delete a device's chunks from a day: from its index, and then the bytes themselves."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'chunk'").fetchone():
            return
        found = connection.execute("SELECT start, size FROM chunk WHERE device = ?", [device]).fetchall()
        connection.execute("DELETE FROM chunk WHERE device = ?", [device])
    if found:
        with closing(Pile(path.with_suffix(CHUNKS))) as pile:
            for start, size in found:
                pile.erase(start, size)


def is_damage(error: Exception) -> bool:
    """Whether SQLite says that the file is not sound, rather than that it cannot be used now."""
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))


def failure(error: sqlite3.Error | OSError, path: Path) -> HistoryError:
    """Return what an error means to the caller."""
    full = ("SQLITE_FULL", "SQLITE_CANTOPEN", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_WRITE")
    if getattr(error, "sqlite_errorname", "") in full or getattr(error, "errno", 0) in (errno.ENOSPC, errno.EDQUOT):
        return HistoryFullError(f"no room to write {path}: {error}")
    return HistoryError(f"cannot write {path}: {error}")


def _pack_counts(rows: Mapping[int, int]) -> bytes:
    table = np.array([list(rows.keys()), list(rows.values())], "<i8")
    return bytes(cramjam.zstd.compress(table.tobytes(), 1))


def _unpack_counts(data: bytes) -> dict[int, int]:
    keys, values = np.frombuffer(bytes(cramjam.zstd.decompress(data)), "<i8").reshape(2, -1).tolist()
    return dict(zip(keys, values, strict=True))
