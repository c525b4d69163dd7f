"""The agent's own record of who asked what, what was decided, and what left: lines of JSON, chained by hashes.

Each entry holds the hash of the one before, so that one that is missing, changed or moved is found. The number and hash
of the last are kept aside, for a tail that was cut would leave a sound chain; they also go to the collector with each
result, which holds against somebody who rewrites both files here.

The last KEPT_BACK entries' worth of room is held by a file of its own, which is given up when the disk is full.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from agent.state import read_file, write_file

FILE, HEAD, RESERVE = "audit", "audit.head", "audit.reserve"
OLD = "audit.1"
START = "0" * 64
ROLL_AT = 8 << 20  # bytes; then the file before this one is dropped
RESERVED = 64 << 10
MAX_LINE = 32 << 10


class Audit:
    """The trail in a folder; one process at a time appends."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def append(self, now: float, event: str, members: Mapping[str, object]) -> str:
        """Add an entry, synced; return its number and hash as `N:HASH`.

        Raises:
            OSError: it cannot be written; then what it is about must not happen.
        """
        number, before = self.head()
        entry = {"n": number + 1, "t": round(now, 3), "event": event, **members, "before": before}
        line, digest = seal(entry)
        self.reserve()
        try:
            self._write(line)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self._unlink(RESERVE)
            self._write(line)
        self._keep_head(f"{number + 1}:{digest}")
        return f"{number + 1}:{digest}"

    def head(self) -> tuple[int, str]:
        """Return number and hash of what the next entry follows.

        After a crash between an entry and its head that is the entry. Any other difference stays to be seen: the chain
        goes on from the head, so that what is missing is missed.
        """
        said = read_head(self._folder)
        last = last_entry(self._folder)
        if said is None:
            return (int(last["n"]), str(last["hash"])) if last is not None else (0, START)
        if last is not None and last["n"] == said[0] + 1 and last.get("before") == said[1]:
            return int(last["n"]), str(last["hash"])
        return said

    def _write(self, line: bytes) -> None:
        path = self._path(FILE)
        if os.path.exists(path) and os.path.getsize(path) > ROLL_AT:
            os.replace(path, self._path(OLD))
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            size = os.fstat(file).st_size
            if size and not _ends_line(path, size):
                line = b"\n" + line
            if os.write(file, line) < len(line):
                os.ftruncate(file, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file)
        finally:
            os.close(file)

    def _keep_head(self, text: str) -> None:
        """In place and always as long, for a file beside it would need room."""
        file = os.open(self._path(HEAD), os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.write(file, f"{text:<80}\n".encode())
            os.fsync(file)
        finally:
            os.close(file)

    def reserve(self) -> None:
        """Hold the room for the entries of a full disk, while there is some."""
        if not os.path.exists(self._path(RESERVE)):
            try:
                write_file(self._path(RESERVE), "\0" * RESERVED, sync=False)
            except OSError:
                self._unlink(RESERVE + ".new")

    def _unlink(self, name: str) -> None:
        try:
            os.unlink(self._path(name))
        except FileNotFoundError:
            return

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)


def seal(entry: dict[str, Any]) -> tuple[bytes, str]:
    """Return the line of an entry and its hash, which is made of the entry's JSON without it."""
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"))
    if len(text) > MAX_LINE:
        entry = {**entry, "arguments": "too long", "reason": str(entry.get("reason", ""))[:200]}
        text = json.dumps(entry, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return text[:-1].encode() + b',"hash":"' + digest.encode() + b'"}\n', digest


def read_head(folder: str) -> tuple[int, str] | None:
    """Return number and hash as they are kept aside."""
    number, _, digest = (read_file(os.path.join(folder, HEAD)) or "").strip().partition(":")
    return (int(number), digest) if number.isdigit() and len(digest) == 64 else None


def last_entry(folder: str) -> dict[str, Any] | None:
    """Return the last entry of the files."""
    for name in (FILE, OLD):
        path = os.path.join(folder, name)
        size = os.path.getsize(path) if os.path.exists(path) else 0
        if size:
            with open(path, "rb") as file:
                file.seek(max(0, size - 2 * MAX_LINE))
                return _entry(file.read().rstrip(b"\n").rpartition(b"\n")[2])
    return None


def _ends_line(path: str, size: int) -> bool:
    with open(path, "rb") as file:
        file.seek(size - 1)
        return file.read(1) == b"\n"


def _entry(line: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(line)
        return {**entry, "n": int(entry["n"]), "hash": str(entry["hash"])}
    except (ValueError, KeyError, TypeError, RecursionError):
        return {"broken": True, "n": 0, "hash": ""}


def entries(folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (file and line, entry) of all that can be read, the oldest first; one that cannot has only `broken`."""
    for name in (OLD, FILE):
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            continue
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                yield f"{name}:{number}", _entry(line)


def verify(folder: str) -> list[str]:
    """Return what is wrong with the trail, nothing if it is whole."""
    wrong: list[str] = []
    before: dict[str, Any] | None = None
    older: dict[str, Any] | None = None
    for where, entry in entries(folder):
        wrong += [f"{where}: {what}" for what in _wrong(entry, before, rolled=where.startswith(OLD + ":"))]
        older, before = before, entry
    return [*wrong, *_head_wrong(read_head(folder), before, older)]


def _wrong(entry: dict[str, Any], before: dict[str, Any] | None, *, rolled: bool) -> Iterator[str]:
    said = {name: value for name, value in entry.items() if name != "hash"}
    if "broken" in entry or seal(said)[1] != entry["hash"]:
        yield "the entry was changed"
    elif before is None:
        if entry["n"] != 1 and not rolled:
            yield f"the trail begins with entry {entry['n']}; those before it are missing"
    elif "broken" not in before:
        if entry["n"] != before["n"] + 1:
            yield f"entry {entry['n']} follows entry {before['n']}: missing or moved"
        elif entry.get("before") != before["hash"]:
            yield "it does not continue the entry before it"


def _head_wrong(
    said: tuple[int, str] | None, last: dict[str, Any] | None, older: dict[str, Any] | None
) -> Iterator[str]:
    if said is None:
        if last is not None:
            yield f"{HEAD} is missing or broken, which says how many entries there must be"
    elif last is None or said[0] > last["n"]:
        yield f"there must be {said[0]} entries by {HEAD}; those after {last['n'] if last else 0} are missing"
    elif said != (last["n"], last["hash"]) and (older is None or said != (older["n"], older["hash"])):
        yield f"{HEAD} is not of the last entry"
