"""Makes a backup of a data folder while its collector runs."""

from __future__ import annotations

import io
import os
import sqlite3
import stat
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Final, Literal, cast

import msgspec
from alembic.migration import MigrationContext
from sqlalchemy import Engine

from agent import __version__
from collector.backup import postgresql
from collector.backup.manifest import FORMAT, NAME, SNAPSHOT, SQLITE, TABLES, Hashed, Manifest, Member, private
from collector.errors import BackupError
from collector.log.partitions import folder, partitions
from collector.log.segments import group_at, segments
from collector.state import State

_TRIES: Final = 3
_LEFT_OUT: Final = frozenset({"log", "history", "lock", "heads", "collector.json", SNAPSHOT})


def make(data: Path, engine: Engine, target: Path, clock: Callable[[], float] = time.time) -> Manifest:
    """Write a backup of a data folder and its database to a new file, which appears when it is whole.

    Raises:
        BackupError: the file is there already, or something cannot be read or written.
    """
    part = target.with_name(target.name + ".part")
    if target.exists():
        raise BackupError(f"{target} is there already; choose another name.")
    try:
        with private(part) as file:
            mode: Literal["w|gz", "w|"] = "w|gz" if target.suffix in (".gz", ".tgz") else "w|"
            with tarfile.open(fileobj=file, mode=mode, format=tarfile.PAX_FORMAT) as archive:
                manifest = _write(_Archive(archive, clock()), data, engine, target.parent)
            file.flush()
            os.fsync(file.fileno())
        part.rename(target)
    except (OSError, sqlite3.Error) as error:
        raise BackupError(f"No backup was made: {error}.") from error
    finally:
        part.unlink(missing_ok=True)
    return manifest


class _Archive:
    """Adds files, and remembers what they were."""

    def __init__(self, archive: tarfile.TarFile, now: float) -> None:
        self.files: dict[str, Member] = {}
        self.now = now
        self._archive = archive

    def add(self, name: str, file: IO[bytes], size: int) -> None:
        hashed = Hashed(file, size)
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = size, 0o600, int(self.now)
        self._archive.addfile(info, cast("IO[bytes]", hashed))
        self.files[name] = hashed.member()

    def add_path(self, name: str, path: Path, size: int | None = None) -> None:
        with path.open("rb") as file:
            self.add(name, file, os.fstat(file.fileno()).st_size if size is None else size)


def _write(archive: _Archive, data: Path, engine: Engine, scratch: Path) -> Manifest:
    tables: dict[str, list[str]] = {}
    for _ in range(_TRIES):
        first, snapshot = _snapshot(data)
        with tempfile.TemporaryDirectory(dir=scratch, prefix=".watchdesk-backup-") as temporary:
            if engine.dialect.name == "sqlite":
                _copy_sqlite(engine, Path(temporary) / SQLITE)
            else:
                tables = postgresql.dump(engine, Path(temporary))
            log = list(_log(data / "log", first))
            if log and log[0][0] > max(first[0], 1):
                continue  # the collector dropped what is needed meanwhile: it has a newer snapshot
            _add_all(archive, data, Path(temporary), snapshot, log)
        with engine.connect() as connection:
            revision = MigrationContext.configure(connection).get_current_revision() or ""
        manifest = Manifest(FORMAT, __version__, archive.now, revision, dict(archive.files), tables)
        text = msgspec.json.format(msgspec.json.encode(manifest))
        archive.add(NAME, io.BytesIO(text), len(text))
        return manifest
    raise BackupError("The log was shortened again and again while it was read; set log.max_bytes higher.")


Needed = tuple[int, dict[int, int]]  # the first record that is needed of the log, and of each partition
Piece = tuple[int, str, Path, int]  # number of the first record, name in the archive, path, bytes


def _snapshot(data: Path) -> tuple[Needed, bytes]:
    """Return from where on the log is needed, and the snapshot, empty if there is none."""
    try:
        content = (data / SNAPSHOT).read_bytes()
    except FileNotFoundError:
        return (1, {}), b""
    state = State()
    try:
        state.restore(content)
    except ValueError as error:
        raise BackupError(f"The snapshot cannot be used: {error}.") from error
    return (state.position + 1, dict(state.merged)), content


def _copy_sqlite(engine: Engine, target: Path) -> None:
    """Copy the database as it is at one moment; who writes is not held up."""
    with closing(sqlite3.connect(str(engine.url.database))) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)


def _log(directory: Path, needed: Needed) -> Iterator[Piece]:
    """Yield the segments that hold records from the needed ones on, those of the spine first."""
    first, merged = needed
    places = [(directory, "log", first)]
    places += [(folder(directory, p), f"log/p{p}", merged.get(p, 1)) for p in partitions(directory)]
    for place, name, number in places:
        found = segments(place) if place.is_dir() else []
        later = [segment.first for segment in found[1:]] + [1 << 62]
        for segment, following in zip(found, later, strict=True):
            if following > number:
                path = segment.path
                yield segment.first, f"{name}/{path.name}", path, _sound(path, segment.log_id)


def _sound(path: Path, log_id: int) -> int:
    """Return how many bytes of a segment are whole groups; what is being written is none yet."""
    content = path.read_bytes()
    end = len(content)
    at = 0
    while (group := group_at(content, at, log_id)) is not None:
        at = group.end
    return at or end


def _add_all(archive: _Archive, data: Path, copied: Path, snapshot: bytes, log: list[Piece]) -> None:
    for path in sorted(path for path in copied.rglob("*") if path.is_file()):
        name = path.name if path.parent == copied else f"{TABLES}/{path.name}"
        archive.add_path(name, path)
    if snapshot:
        archive.add(SNAPSHOT, io.BytesIO(snapshot), len(snapshot))
    for _, name, path, size in log:
        archive.add_path(name, path, size)
    for path in sorted(data.rglob("*")):
        name = path.relative_to(data).as_posix()
        plain = stat.S_ISREG(path.lstat().st_mode) and path.suffix not in (".new", ".part", ".gz", ".tar")
        if plain and name.split("/")[0] not in _LEFT_OUT and not name.startswith(SQLITE):
            archive.add_path(name, path)
