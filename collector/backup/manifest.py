"""What a backup is: a tar archive of the files of a data folder, and at its end a list of them with their checksums.

    watchdesk.db | tables/NAME.copy      the database: SQLite's file, or what PostgreSQL's COPY gives of each table
    state.snapshot, log/…                the state of the rules, and the records of the log behind it
    everything else                      as it is in the data folder
    MANIFEST.json                        `Manifest`

The snapshot is read first, the database after it, the log last: so the log has all records from the snapshot to where
the database stands, and a start on the restored folder is the same as one after a crash.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import IO, BinaryIO, Final

import msgspec

NAME: Final = "MANIFEST.json"
FORMAT: Final = 1
SQLITE: Final = "watchdesk.db"
SNAPSHOT: Final = "state.snapshot"
TABLES: Final = "tables"


class Member(msgspec.Struct, frozen=True):
    """A file of a backup."""

    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """The last member of a backup. `revision` is the database's version, `tables` PostgreSQL's tables with the columns
    that were copied, in the order in which they can be filled.
    """

    format: int
    version: str
    made: float
    revision: str
    files: dict[str, Member]
    tables: dict[str, list[str]] = {}


def private(path: Path) -> BinaryIO:
    """Return a new file that its owner alone may read."""
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600), "wb")


class Hashed:
    """A file that is read to an end that is set, and hashed on the way."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size
        self._size = size
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        self._hash.update(data)
        return data

    def member(self) -> Member:
        """Return what was read."""
        return Member(self._size, self._hash.hexdigest())
