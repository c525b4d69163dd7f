"""The files of the history: two for each day, named for it.

    20833-0.index     SQLite: which chunks there are, the series of their schemas, and how far the log was read
    20833-0.chunks    the chunks themselves, one after another

The first number is the day since 1970 on which the chunks were written, whatever their times; the second is 0 unless a
file of that day proved damaged and another was begun. A day that is over is deleted by deleting its files, which costs
nothing and works on a full disk. The chunks are not in SQLite because its pages would add a third to them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

DAY: Final = 86_400
INDEX: Final = ".index"
CHUNKS: Final = ".chunks"


def paths(folder: Path) -> list[Path]:
    """Return the index files of the days, the oldest first."""
    return sorted(folder.glob(f"[0-9]*-[0-9]*{INDEX}"))


def day_of(path: Path) -> int:
    """Return the number of the day, since 1970, that a file is named for."""
    return int(path.stem.partition("-")[0])


def remove(path: Path) -> None:
    """Delete the files of an index; readers that have them open are not disturbed."""
    path.with_suffix(CHUNKS).unlink(missing_ok=True)
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


class Pile:
    """A file of chunks, open for writing. What lies behind the last chunk in the index is of no account."""

    def __init__(self, path: Path) -> None:
        """Open a file, or make it.

        Raises:
            OSError: it cannot be opened.
        """
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def append(self, start: int, chunks: Sequence[bytes]) -> None:
        """Write chunks from byte `start` on, and make them durable; or leave nothing behind `start`.

        Raises:
            OSError: there is no room, or the disk is bad.
        """
        data = memoryview(b"".join(chunks))
        try:
            at = 0
            while at < len(data):  # a disk that becomes full takes a part first
                at += os.pwrite(self._file, data[at:], start + at)
            os.fdatasync(self._file)
        except OSError:
            self.cut(start)
            raise

    def cut(self, end: int) -> None:
        """Give back the room behind `end`."""
        os.ftruncate(self._file, end)

    def erase(self, start: int, size: int) -> None:
        """Overwrite a chunk with zeros."""
        os.pwrite(self._file, bytes(size), start)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
