"""Reads a history that another process, or this one, writes at the same time."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from collector.history.errors import CorruptChunkError, HistoryError
from collector.history.gathering import Closed, Gathering, Names, Open, Places, Samples, places
from collector.history.partition import is_damage, paths, read_series, unsigned
from collector.history.resolution import Steps, resolve_all

_EVERY: Final = (1 << 63) - 1
_SCHEMAS: Final = 256  # of the schemas read last, the series are kept

_FIND: Final = "SELECT id, schema FROM chunk WHERE device = ? AND last >= ? AND first <= ? AND id <= ?"
_FETCH: Final = "SELECT data FROM chunk WHERE id = ?"


class Reader:
    """The chunks on the disk, read only. Any thread may call it, one at a time is served."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._open: dict[Path, sqlite3.Connection] = {}
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
        self,
        device: int,
        names: Names,
        start: float,
        end: float,
        more: Iterable[Closed | Open],
        newest: int = _EVERY,
    ) -> Mapping[str, Samples]:
        """Read chunks up to the number `newest`, and `more` pieces that are not on the disk."""
        gathering = Gathering(start, end)
        with self._lock:
            gathering.add(self._chunks(gathering, device, names, (start, end), newest))
            gathering.add(more)
            self.corrupt += gathering.corrupt
        return gathering.samples()

    def _chunks(
        self, gathering: Gathering, device: int, names: Names, time: tuple[float, float], newest: int
    ) -> Iterator[Closed]:
        wanted: dict[int, Places | None] = {}  # None: what the series are was on a bad sector
        for connection in self._connections():
            # The index gives the numbers; each chunk is fetched alone, so that a bad sector costs what lies on it.
            found = self._query(gathering, connection, _FIND, [device, time[0], time[1], newest])
            for number, schema in found:
                if schema not in wanted:
                    series = self._series(unsigned(schema))
                    wanted[schema] = None if series is None else places(series, names)
                here = wanted[schema]
                if here is None:
                    gathering.corrupt += 1
                elif here:
                    for (data,) in self._query(gathering, connection, _FETCH, [number]):
                        yield Closed(here, data)

    def _query(
        self, gathering: Gathering, connection: sqlite3.Connection, statement: str, values: Sequence[float]
    ) -> list[Any]:
        """Return the rows; none, and count it, where the file is damaged; none of a file that is just being made.

        Raises:
            HistoryError: the file cannot be read for another reason.
        """
        try:
            return connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            if is_damage(error):
                gathering.corrupt += 1
            elif "no such table" not in str(error):
                raise HistoryError(f"cannot read the history in {self._folder}: {error}") from error
            return []

    def _series(self, schema: int) -> list[str] | None:
        """Return the series of a schema from any file that has them, or None; those used last are kept."""
        found = self._kept.pop(schema, None)
        for connection in reversed(self._open.values()) if found is None else ():
            with suppress(sqlite3.DatabaseError, CorruptChunkError):
                found = read_series(connection, schema)
            if found is not None:
                break
        if found is not None:
            self._kept[schema] = found
            while len(self._kept) > _SCHEMAS:
                del self._kept[next(iter(self._kept))]
        return found

    def _connections(self) -> list[sqlite3.Connection]:
        """Return the open files of all days, and close those whose day was deleted."""
        there = paths(self._folder)
        for path in self._open.keys() - set(there):
            self._open.pop(path).close()
        for path in there:
            if path not in self._open:
                address = f"file:{quote(str(path.resolve()))}?mode=ro"
                self._open[path] = sqlite3.connect(address, uri=True, check_same_thread=False, isolation_level=None)
        return [self._open[path] for path in there]
