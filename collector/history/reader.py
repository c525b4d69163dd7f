"""Reads a history that another process, or this one, writes at the same time."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from collector.history.days import CHUNKS, paths
from collector.history.errors import CorruptChunkError, HistoryError
from collector.history.gathering import Closed, Gathering, Names, Open, Places, Samples, places
from collector.history.partition import is_damage, signed, unsigned
from collector.history.resolution import Steps, resolve_all
from collector.history.schema import unpack

_SCHEMAS: Final = 256  # of the schemas read last, the series are kept

_FIND: Final = """
SELECT schema, start, size FROM chunk WHERE device = ? AND last >= ? AND first <= ? ORDER BY start
"""


class _Day:
    """The files of a day, open for reading."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path.with_suffix(CHUNKS), os.O_RDONLY | os.O_CLOEXEC)
        try:
            address = f"file:{quote(str(path.resolve()))}?mode=ro"
            self._connection = sqlite3.connect(address, uri=True, check_same_thread=False, isolation_level=None)
        except sqlite3.Error:
            os.close(self._file)
            raise

    def close(self) -> None:
        os.close(self._file)
        self._connection.close()

    def find(self, device: int, start: float, end: float) -> list[tuple[int, int, int]]:
        """Return (schema, start, size) of chunks; none of a file that is just being made."""
        if not self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'state'").fetchone():
            return []
        return self._connection.execute(_FIND, [device, start, end]).fetchall()

    def series(self, schema: int) -> list[str] | None:
        """Return the series of a schema, if this day has them; also if they are damaged, there are none."""
        with suppress(sqlite3.DatabaseError, CorruptChunkError):
            row = self._connection.execute("SELECT series FROM schema WHERE id = ?", [signed(schema)]).fetchone()
            return None if row is None else unpack(row[0])
        return None

    def chunk(self, start: int, size: int) -> bytes:
        """Return the bytes of a chunk, or what there is of them."""
        try:
            return os.pread(self._file, size, start)
        except OSError:  # a bad sector
            return b""


class Reader:
    """The chunks on the disk, read only. Any thread may call it, one at a time is served."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._open: dict[Path, _Day] = {}
        self._kept: dict[int, list[str]] = {}  # schema -> series, the one used last at the end
        self.corrupt = 0  # chunks that were left out of answers because they are damaged

    def read(self, device: int, names: Names, start: float, end: float) -> Mapping[str, Samples]:
        """Return (times, values) by the text of the series, from `start` to `end`; NaN is "no value now"."""
        return self.gather(device, names, start, end, ())

    def read_resolution(self, device: int, names: Names, start: float, end: float, step: float) -> Mapping[str, Steps]:
        """Return the same for each step of so many seconds, as a graph needs it."""
        return resolve_all(self.read(device, names, start, end), start, step)

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            for path in list(self._open):
                self._open.pop(path).close()

    def gather(
        self, device: int, names: Names, start: float, end: float, more: Iterable[Closed | Open]
    ) -> Mapping[str, Samples]:
        """Read chunks, and `more` pieces that are not on the disk yet."""
        gathering = Gathering(start, end)
        with self._lock:
            gathering.add(self._chunks(gathering, device, names, (start, end)))
            gathering.add(more)
            self.corrupt += gathering.corrupt
        return gathering.samples()

    def _chunks(self, gathering: Gathering, device: int, names: Names, time: tuple[float, float]) -> Iterator[Closed]:
        wanted: dict[int, Places | None] = {}  # None: what the series are was on a bad sector
        for day in self._days():
            try:
                found = day.find(device, *time)
            except sqlite3.Error as error:
                if not is_damage(error):
                    raise HistoryError(f"cannot read the history in {self._folder}: {error}") from error
                gathering.corrupt += 1
                continue
            for schema, start, size in found:
                if schema not in wanted:
                    series = self._series(unsigned(schema))
                    wanted[schema] = None if series is None else places(series, names)
                here = wanted[schema]
                if here is None:
                    gathering.corrupt += 1
                elif here:
                    yield Closed(here, day.chunk(start, size))

    def _series(self, schema: int) -> list[str] | None:
        """Return the series of a schema from any day that has them, or None; those used last are kept."""
        found = self._kept.pop(schema, None)
        days = iter(self._open.values())
        while found is None and (day := next(days, None)) is not None:
            found = day.series(schema)
        if found is not None:
            self._kept[schema] = found
            while len(self._kept) > _SCHEMAS:
                del self._kept[next(iter(self._kept))]
        return found

    def _days(self) -> list[_Day]:
        """Return the open files of all days, and close those whose day was deleted.

        Raises:
            HistoryError: a file cannot be opened.
        """
        there = paths(self._folder)
        for path in self._open.keys() - set(there):
            self._open.pop(path).close()
        for path in there:
            if path not in self._open:
                try:
                    self._open[path] = _Day(path)
                except FileNotFoundError:  # just being made, or just deleted
                    continue
                except (sqlite3.Error, OSError) as error:
                    raise HistoryError(f"cannot read {path}: {error}") from error
        return [self._open[path] for path in there if path in self._open]
