"""disk.*: what fills a file system, what still holds deleted files, and how the disks are."""

from __future__ import annotations

import json
import os
import stat as modes
import time
from dataclasses import dataclass

from agent.diagnosis.arguments import path, whole
from agent.diagnosis.catalogue import Found, diagnosis
from agent.diagnosis.errors import NotFound
from agent.diagnosis.processes import processes
from agent.diagnosis.walk import Folder, mount_of, mount_points, unescape, walk
from agent.diagnosis.words import count_of, moment, shown_path, size
from agent.heavy.tools import mapping, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.diagnosis.catalogue import Look
    from agent.diagnosis.walk import Walk
    from agent.probes.host import Host

MOST_OF_IT = 0.6  # share of a directory's bytes that makes one below it the cause
REMEMBERED = 60  # directories and files of the last look
MAX_MEMORY = 14_000  # characters of JSON
LOOKS = 4  # file systems whose last look is remembered
GROWN = 0.02  # share of the file system that is worth to be told as growth
MIN_GROWN = 10_000_000
FRESH = 0.05  # share of the file system, written within a day, that is looked at first
RESERVE = 2.0  # seconds for what comes after the walk
MAX_FILES_OF_A_PROCESS = 4_096
MAX_HELD = 50
MIN_HELD = 4_096
NETWORK_TYPES = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "ceph", "glusterfs", "9p", "afs", "autofs")

GREW = "%(path)s grew %(grown)s since %(since)s and holds %(size)s now; %(free)s of %(total)s are free"
GREW_FILE = (
    "%(path)s grew %(grown)s since %(since)s, most of it %(file)s (%(file_size)s); %(free)s of %(total)s are free"
)
HOLDS = "%(path)s holds %(size)s; %(recent)s of it were written within a day; %(free)s of %(total)s are free"
HOLDS_FILE = (
    "%(path)s holds %(size)s, most of it %(file)s (%(file_size)s, last written %(written)s); %(free)s of "
    "%(total)s are free"
)
HIDDEN_SPACE = (
    "The files below %(path)s hold %(size)s, but %(used)s are in use: deleted files that are still open, or "
    "files under a mount"
)
SPREAD = "%(path)s holds %(size)s, spread over %(names)s; %(free)s of %(total)s are free"
CUT = "Seen so far, for the walk was cut short: %(path)s holds %(size)s; %(free)s of %(total)s are free"
INODES = "%(path)s has no room for more files: %(count)s of the %(total)s files are in it"
HELD = "deleted file %(path)s of %(size)s is still held by %(name)s (pid %(pid)s)"
HELD_MANY = (
    "%(count)s deleted files of together %(size)s are still held by %(name)s (pid %(pid)s), the largest is %(path)s"
)
NOT_HELD = "No process holds deleted files of any size on %(path)s"
NOT_SEEN = (
    "None of the %(seen)s processes that the agent may look into holds a deleted file on %(path)s; %(closed)s "
    "are closed to it"
)

FOLDER = {"path": "name", "bytes": "number", "recent": "number", "files": "number", "grown": "number"}
FILE = {"path": "name", "bytes": "number", "written": "number"}
HOLDER = {"path": "name", "bytes": "number", "pid": "number", "name": "name", "fd": "number", "started": "number"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TopDirs:
    """Below which path, and how many to tell."""

    path: str = path("/")
    count: int = whole(10, 1, 50)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedOpen:
    """On the file system of which path, and how many to tell."""

    path: str = path("/")
    count: int = whole(10, 1, 50)


@diagnosis(
    "disk.top_dirs", TopDirs, privacy="names", cost="heavy", seconds=60,
    findings=(GREW, GREW_FILE, HOLDS, HOLDS_FILE, SPREAD, HIDDEN_SPACE, CUT, INODES),
    output={"directories": [FOLDER], "files": [FILE], "entries": "number", "unreadable": "number", "complete": "truth",
            "total": "number", "free": "number", "since": "number"},
)  # fmt: skip
def top_dirs(look: Look, asked: TopDirs) -> Found:
    """What fills a file system: its largest directories and files, and what grew since the last look."""
    top = asked.path if len(asked.path) == 1 else asked.path.rstrip("/")
    try:
        found = walk(top, mount_points(look.host), look.now, look.deadline - RESERVE)
    except OSError as error:
        raise NotFound(f"{top}: {error.strerror}") from error
    space = _space(top)
    before = _remembered(look, top)
    grown = growth(found, mapping(before.get("sizes"))) if before else {}
    folders = _largest(found, asked.count)
    if found.complete:
        _remember(look, top, found)
    data: dict[str, object] = {
        "directories": [_row(one, grown) for one in folders],
        "files": [{"path": shown_path(one), "bytes": amount, "written": round(written)}
                  for amount, one, written in found.largest[: asked.count]],
        "entries": found.entries,
        "unreadable": found.unreadable,
        "complete": found.complete,
        "total": space.total,
        "free": space.free,
        "since": count_of(before.get("time")),
    }  # fmt: skip
    text, values = _explain(look, top, found, space, grown, number(before.get("time")) or 0)
    return Found(text, values, data, truncated=not found.complete)


class Space:
    """A file system's bytes and files; `is_root_of` says that the path is the whole of it."""

    __slots__ = ("files", "files_free", "free", "total", "used")

    def __init__(self, total: int, free: int, used: int, files: int = 0, files_free: int = 0) -> None:
        self.total = total
        self.free = free
        self.used = used
        self.files = files
        self.files_free = files_free


def _space(top: str) -> Space:
    if not hasattr(os, "statvfs"):
        import shutil

        usage = shutil.disk_usage(top)
        return Space(usage.total, usage.free, usage.used)
    told = os.statvfs(top)
    block = told.f_frsize
    used = (told.f_blocks - told.f_bfree) * block
    return Space(told.f_blocks * block, told.f_bavail * block, used, told.f_files, told.f_ffree)


def _explain(
    look: Look, top: str, found: Walk, space: Space, grown: dict[bytes, int], since: float
) -> tuple[str, dict[str, str | float]]:
    """Return the sentence: what grew, else what is large, as far down as one directory is most of it."""
    values: dict[str, str | float] = {"free": size(space.free), "total": size(space.total)}
    if space.files and space.files_free == 0:
        crowd = descend(found.root, lambda one: one.files)
        return INODES, {"path": shown_path(crowd.path), "count": crowd.files, "total": space.files}
    whole_grown = grown.get(found.root.path, 0)
    if whole_grown >= max(MIN_GROWN, GROWN * space.total):
        cause = descend(found.root, lambda one: grown.get(one.path, 0))
        amount = grown.get(cause.path, 0)
        values |= {"path": shown_path(cause.path), "grown": size(amount), "size": size(cause.size)}
        values["since"] = moment(since, look.now)
        file = _main_file(found, cause, amount)
        return (GREW_FILE, {**values, **file}) if file else (GREW, values)
    is_fresh = found.root.recent >= FRESH * space.total
    cause = descend(found.root, (lambda one: one.recent) if is_fresh else (lambda one: one.size))
    values |= {"path": shown_path(cause.path), "size": size(cause.size), "recent": size(cause.recent)}
    if not found.complete:
        return CUT, values
    is_whole = mount_of(look.host, top) == os.fsencode(top)
    if is_whole and not found.unreadable and space.used - found.root.size > max(MIN_GROWN, space.used / 2):
        return HIDDEN_SPACE, {"path": top, "size": size(found.root.size), "used": size(space.used)}
    file = _main_file(found, cause, cause.size)
    if cause is found.root and not file and cause.children:
        first = sorted(cause.children, key=lambda one: -one.size)[:3]
        return SPREAD, {**values, "names": ", ".join(f"{shown_path(one.path)} {size(one.size)}" for one in first)}
    if file:
        return HOLDS_FILE, {**values, **file, "written": moment(float(str(file.pop("at"))), look.now)}
    return HOLDS, values


def _main_file(found: Walk, folder: Folder, amount: int) -> dict[str, str | float]:
    """Return the file that is most of a directory's amount, if one is."""
    for length, name, written in found.largest:
        if os.path.dirname(name) == folder.path.rstrip(b"/") or os.path.dirname(name) == folder.path:
            if amount and length >= MOST_OF_IT * amount:
                return {"file": shown_path(os.path.basename(name)), "file_size": size(length), "at": written}
            break
    return {}


def descend(folder: Folder, measure: Callable[[Folder], int]) -> Folder:
    """Return the directory furthest down that is most of what is measured."""
    while folder.children:
        first = max(folder.children, key=measure)
        if measure(first) < MOST_OF_IT * measure(folder) or not measure(first):
            break
        folder = first
    return folder


def _all(folder: Folder) -> list[Folder]:
    out, waiting = [], [folder]
    while waiting:
        one = waiting.pop()
        out.append(one)
        waiting.extend(one.children)
    return out


def _largest(found: Walk, count: int) -> list[Folder]:
    return sorted(_all(found.root), key=lambda one: -one.size)[:count]


def _row(one: Folder, grown: dict[bytes, int]) -> dict[str, object]:
    return {
        "path": shown_path(one.path), "bytes": one.size, "recent": one.recent, "files": one.files,
        "grown": grown.get(one.path),
    }  # fmt: skip


def growth(found: Walk, sizes: dict[str, object]) -> dict[bytes, int]:
    """Return how much directories have grown since they were remembered, and new ones that would have been."""
    known = {name: count_of(amount) for name, amount in sizes.items()}
    smallest = min(known.values(), default=0)
    kept_all = len(known) < REMEMBERED
    out = {}
    for one in _all(found.root):
        before = known.get(os.fsdecode(one.path))
        if before is not None:
            out[one.path] = one.size - before
        elif one.size > smallest:  # it was smaller than the smallest that was remembered, or was not there
            out[one.path] = one.size - (0 if kept_all else smallest)
    return out


def _remembered(look: Look, top: str) -> dict[str, object]:
    return mapping(mapping(look.memory.get("disks")).get(top))


def _remember(look: Look, top: str, found: Walk) -> None:
    """Keep the sizes of the largest directories, of the last few paths that were looked at."""
    sizes = {os.fsdecode(one.path): one.size for one in _largest(found, REMEMBERED)}
    sizes = {name: amount for name, amount in sizes.items() if name.isprintable()}
    looks = {name: kept for name, kept in mapping(look.memory.get("disks")).items() if name != top}
    newest = sorted(looks, key=lambda name: -(number(mapping(looks[name]).get("time")) or 0))[: LOOKS - 1]
    kept = {top: {"time": round(look.now), "sizes": sizes}, **{name: looks[name] for name in newest}}
    while len(json.dumps(kept)) > MAX_MEMORY and len(kept) > 1:
        kept.popitem()  # the oldest
    while len(json.dumps(kept)) > MAX_MEMORY and len(sizes) > 1:
        sizes.popitem()  # the smallest
    look.memory["disks"] = kept


@diagnosis(
    "disk.deleted_open", DeletedOpen, privacy="names", cost="light", seconds=15, systems=("linux",),
    findings=(HELD, HELD_MANY, NOT_HELD, NOT_SEEN),
    output={"files": [HOLDER], "count": "number", "bytes": "number"},
)  # fmt: skip
def deleted_open(look: Look, asked: DeletedOpen) -> Found:
    """Files that were deleted and whose space is not free, because a process still has them open."""
    try:
        device = os.stat(asked.path).st_dev
    except OSError as error:
        raise NotFound(f"{asked.path}: {error.strerror}") from error
    held, seen, closed = _held(look, device)
    total = sum(one.bytes for one in {one.inode: one for one in held}.values())
    held.sort(key=lambda one: -one.bytes)
    names = processes(look.host)
    rows = [
        {"path": shown_path(one.path), "bytes": one.bytes, "pid": one.pid, "fd": one.fd,
         "name": names[one.pid].name if one.pid in names else "?",
         "started": round(names[one.pid].started) if one.pid in names else None}
        for one in held[: asked.count]
    ]  # fmt: skip
    data: dict[str, object] = {"files": rows, "count": len(held), "bytes": total}
    if not held:
        return Found(NOT_SEEN if closed else NOT_HELD, {"path": asked.path, "seen": seen, "closed": closed}, data)
    by_process: dict[int, list[Held]] = {}
    for one in held:
        by_process.setdefault(one.pid, []).append(one)
    pid, ones = max(by_process.items(), key=lambda pair: sum(one.bytes for one in pair[1]))
    name = names[pid].name if pid in names else "?"
    values: dict[str, str | float] = {
        "path": shown_path(ones[0].path), "size": size(sum(one.bytes for one in ones)), "name": name, "pid": pid,
        "count": len(ones),
    }  # fmt: skip
    return Found(HELD if len(ones) == 1 else HELD_MANY, values, data)


class Held:
    """A deleted file that a process has open."""

    __slots__ = ("bytes", "fd", "inode", "path", "pid")

    def __init__(self, pid: int, fd: int, inode: int, bytes: int, path: bytes) -> None:  # noqa: A002
        self.pid = pid
        self.fd = fd
        self.inode = inode
        self.bytes = bytes
        self.path = path


def _held(look: Look, device: int) -> tuple[list[Held], int, int]:
    """Return the deleted files, and how many processes could be looked into and how many not."""
    remote = _remote_mounts(look.host)
    found: list[Held] = []
    seen = closed = 0
    for name in os.listdir(look.host.proc):
        if name.isdecimal():
            if time.monotonic() > look.deadline - RESERVE:
                break
            try:
                found.extend(_held_by(look.host.proc, int(name), device, remote))
                seen += 1
            except PermissionError:
                closed += 1
    return found, seen, closed


def _held_by(proc: str, pid: int, device: int, remote: list[bytes]) -> list[Held]:
    folder = f"{proc}/{pid}/fd"
    try:
        names = os.listdir(folder)[:MAX_FILES_OF_A_PROCESS]
    except (FileNotFoundError, ProcessLookupError):
        return []
    found: dict[int, Held] = {}
    for name in names:
        try:
            target = os.readlink(f"{folder}/{name}".encode())
            if not target.endswith(b" (deleted)") or target.startswith((b"/memfd:", b"/SYSV", b"/dev/")):
                continue
            if any(target.startswith(point) for point in remote):  # its server may not answer
                continue
            told = os.stat(f"{folder}/{name}")
        except OSError:
            continue
        amount = told.st_blocks * 512
        if told.st_dev == device and modes.S_ISREG(told.st_mode) and not told.st_nlink and amount >= MIN_HELD:
            found[told.st_ino] = Held(pid, int(name), told.st_ino, amount, target.removesuffix(b" (deleted)"))
    return list(found.values())[:MAX_HELD]


def _remote_mounts(host: Host) -> list[bytes]:
    try:
        with open(host.proc + "/self/mounts", "rb") as file:
            lines = file.read(4 << 20).splitlines()
    except OSError:
        return []
    rows = (line.split(b" ") for line in lines)
    return [unescape(row[1]).rstrip(b"/") + b"/" for row in rows if len(row) > 2 and row[2].decode() in NETWORK_TYPES]
