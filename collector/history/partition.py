"""A day of history: an SQLite file with the chunks that were written on that day, whatever their times.

A day that is over is deleted by deleting its file, which costs nothing and works on a full disk. Each file stands
alone: it has the series of the schemas that its chunks use, and how far the history had come in the log when it was
written last, in the transaction of the chunks themselves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, NamedTuple

import cramjam
import numpy as np

from collector.history.errors import CorruptChunkError, HistoryError, HistoryFullError
from collector.history.head import Stored
from collector.history.progress import Mark, Progress
from collector.history.schema import unpack

DAY: Final = 86_400
SUFFIX: Final = ".sqlite"
_HALF, _WHOLE = 1 << 63, 1 << 64

_TABLES: Final = """
PRAGMA page_size = 8192;
PRAGMA journal_mode = WAL;
BEGIN;
CREATE TABLE IF NOT EXISTS chunk (
    id INTEGER PRIMARY KEY, device INTEGER NOT NULL, schema INTEGER NOT NULL,
    first REAL NOT NULL, last REAL NOT NULL, data BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS chunk_by_time ON chunk (device, last, first);
CREATE TABLE IF NOT EXISTS schema (id INTEGER PRIMARY KEY, series BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS written (device INTEGER PRIMARY KEY, rows INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS state (
    one INTEGER PRIMARY KEY CHECK (one = 1), chunks INTEGER NOT NULL, commits INTEGER NOT NULL,
    position INTEGER NOT NULL, rows BLOB NOT NULL
);
COMMIT;
"""


class State(NamedTuple):
    """What a file says of the whole history: how many chunks and commits there have been, and the progress."""

    chunks: int
    commits: int
    progress: Progress


def paths(folder: Path) -> list[Path]:
    """Return the files of the days, the oldest first."""
    return sorted(folder.glob(f"[0-9]*{SUFFIX}"))


def day_of(path: Path) -> int:
    """Return the number of the day, since 1970, that a file is named for."""
    return int(path.stem.partition("-")[0])


def remove(path: Path) -> None:
    """Delete a day's file and what SQLite keeps beside it; readers that have it open are not disturbed."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def signed(schema: int) -> int:
    """Return a schema's number as SQLite can hold it."""
    return schema - _WHOLE if schema >= _HALF else schema


def unsigned(number: int) -> int:
    """Return the schema's number that `signed` was given."""
    return number + _WHOLE if number < 0 else number


def read_series(connection: sqlite3.Connection, schema: int) -> list[str] | None:
    """Return the series of a schema, if this file has them.

    Raises:
        sqlite3.Error, CorruptChunkError: they are damaged.
    """
    row = connection.execute("SELECT series FROM schema WHERE id = ?", [signed(schema)]).fetchone()
    return None if row is None else unpack(row[0])


def _sound_schemas(connection: sqlite3.Connection) -> set[int]:
    """Return the schemas of a file, but those that are damaged: they are written again when they are used."""
    sound = set()
    for number, packed in connection.execute("SELECT id, series FROM schema"):
        with suppress(CorruptChunkError):
            unpack(packed)
            sound.add(unsigned(number))
    return sound


class Partition:
    """The file of a day, open for writing. Errors of SQLite come out as they are; `failure` tells what they mean."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._connection.executescript(_TABLES)
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA wal_autocheckpoint = 250")  # pages: 2 MB, for commits are small
            self._schemas = _sound_schemas(self._connection)
        except sqlite3.Error:
            self._connection.close()
            raise
        self._whole = False  # whether `written` has every device since this file was opened

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def write(self, chunks: Sequence[tuple[int, Stored]], state: State, devices: Collection[int]) -> None:
        """Write chunks by their numbers, and the state with them, or nothing; `devices` have rows newly written."""
        schemas = {chunk.schema.id: chunk.schema for _, chunk in chunks if chunk.schema.id not in self._schemas}
        texts = [(signed(number), schema.packed) for number, schema in schemas.items()]
        rows = [(number, c.device, signed(c.schema.id), c.first, c.last, c.data) for number, c in chunks]
        with self._transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO schema VALUES (?, ?)", texts)
            connection.executemany("INSERT INTO chunk VALUES (?, ?, ?, ?, ?, ?)", rows)
            self._write_state(state, devices)
        self._schemas |= schemas.keys()
        self._whole = True

    def _write_state(self, state: State, devices: Collection[int]) -> None:
        progress = state.progress
        if not self._whole:
            self._connection.execute("DELETE FROM written")
            devices = progress.written
        counts = [(device, progress.written[device]) for device in devices]
        self._connection.executemany("INSERT OR REPLACE INTO written VALUES (?, ?)", counts)
        record = [state.chunks, state.commits, progress.base.position, _pack_counts(progress.base.rows)]
        self._connection.execute("INSERT OR REPLACE INTO state VALUES (1, ?, ?, ?, ?)", record)

    def _transaction(self) -> _Transaction:
        return _Transaction(self._connection)


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


def read_state(path: Path) -> State | None:
    """Return what a file says of the whole history, or None if it was never written to the end.

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
    """Delete a device's chunks from a file."""
    with closing(sqlite3.connect(path)) as connection, connection:
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'chunk'").fetchone():
            connection.execute("DELETE FROM chunk WHERE device = ?", [device])


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file is not sound, rather than that it cannot be used now."""
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))


def failure(error: sqlite3.Error, path: Path) -> HistoryError:
    """Return what an error of SQLite means to the caller."""
    name = getattr(error, "sqlite_errorname", "")
    if name in ("SQLITE_FULL", "SQLITE_CANTOPEN", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_WRITE"):
        return HistoryFullError(f"no room to write {path}: {error}")
    return HistoryError(f"cannot write {path}: {error}")


def _pack_counts(rows: Mapping[int, int]) -> bytes:
    table = np.array([list(rows.keys()), list(rows.values())], "<i8")
    return bytes(cramjam.zstd.compress(table.tobytes(), 1))


def _unpack_counts(data: bytes) -> dict[int, int]:
    keys, values = np.frombuffer(bytes(cramjam.zstd.decompress(data)), "<i8").reshape(2, -1).tolist()
    return dict(zip(keys, values, strict=True))
