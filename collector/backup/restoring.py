"""Restores a backup to a new data folder: checked whole before anything is put in place."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from collector.backup import postgresql
from collector.backup.manifest import FORMAT, NAME, TABLES, Hashed, Manifest, Member, private
from collector.config import FILE_NAME, load
from collector.errors import BackupError
from ticketing.database import connect

_MAX_MANIFEST: Final = 64 << 20


def restore(source: Path, data: Path, database: str = "") -> Manifest:
    """Make a data folder of a backup; of one with PostgreSQL, fill the database that its configuration (or `database`,
    a URL) names, which must be empty.

    Raises:
        BackupError: the folder is in use, the file is no backup or damaged, or something cannot be written; then
            neither folder nor database has anything of it.
    """
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise BackupError(f"{data} is not empty; restore to a new folder, and put that in its place.")
    try:
        data.parent.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(dir=data.parent, prefix=f".{data.name}-restoring-"))
        try:
            manifest = _extract(source, place)
            if manifest.tables:
                url = database or load(place / FILE_NAME).database_url(place)
                postgresql.load(connect(url), place, manifest.tables, manifest.revision)
                shutil.rmtree(place / TABLES)
            if data.exists():
                data.rmdir()
            place.rename(data)
        finally:
            shutil.rmtree(place, ignore_errors=True)
    except (OSError, tarfile.TarError, EOFError) as error:
        raise BackupError(f"{source} was not restored: {error}.") from error
    return manifest


def _extract(source: Path, place: Path) -> Manifest:
    """Write the members of an archive to a folder, and compare them with its list."""
    found: dict[str, Member] = {}
    text = b""
    with tarfile.open(source, "r|*") as archive:
        for info in archive:
            file = archive.extractfile(info) if info.isreg() else None
            if file is None or text:
                raise BackupError(f"{source} is no backup: {info.name!r} should not be in it.")
            if info.name == NAME:
                text = file.read(_MAX_MANIFEST)
                continue
            target = place / _safe(source, info.name)
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            hashed = Hashed(file, info.size)
            with private(target) as out:
                while piece := hashed.read(1 << 20):
                    out.write(piece)
            found[info.name] = hashed.member()
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except msgspec.DecodeError as error:
        raise BackupError(f"{source} is no backup, or was cut off: it has no list of its files.") from error
    if manifest.format != FORMAT:
        raise BackupError(f"{source} is of format {manifest.format}; this version reads {FORMAT}.")
    wrong = sorted(name for name in {*found, *manifest.files} if found.get(name) != manifest.files.get(name))
    if wrong:
        raise BackupError(f"{source} is damaged: {', '.join(wrong[:5])} is not what was backed up.")
    return manifest


def _safe(source: Path, name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\\" in name or "\0" in name:
        raise BackupError(f"{source} is no backup: {name!r} should not be in it.")
    return path
