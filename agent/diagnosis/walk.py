"""How much each directory below a path holds. The walk ends by time and by count; it stays on one file system, asks
nothing of other mounts, follows no link, counts a file of many names once, and goes on where it may not read.
"""

from __future__ import annotations

import heapq
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent.probes.host import Host

MAX_ENTRIES = 2_000_000
MAX_FOLDERS = 100_000  # some 300 bytes each
MAX_LINKED = 200_000
MAX_DEPTH = 64
FILES = 50  # of the largest that are remembered
CHECK = 256  # entries between two looks at the clock
RECENT = 86_400.0
BLOCK = 512  # of st_blocks, whatever the file system's own are


class Folder:
    """A directory: bytes of itself and of all below it, files, and the bytes of files written within a day."""

    __slots__ = ("children", "files", "parent", "path", "recent", "size")

    def __init__(self, path: bytes, parent: Folder | None) -> None:
        self.path = path
        self.parent = parent
        self.size = 0
        self.recent = 0
        self.files = 0
        self.children: list[Folder] = []


class Walk:
    """What a walk has found; `complete` unless it was cut short, `unreadable` counts the folders that were closed."""

    __slots__ = ("complete", "entries", "largest", "root", "unreadable")

    def __init__(self, root: bytes) -> None:
        self.root = Folder(root, None)
        self.complete = True
        self.unreadable = 0
        self.entries = 0
        self.largest: list[tuple[int, bytes, float]] = []  # a heap of (bytes, path, last written)


def walk(
    top: str,
    mounts: frozenset[bytes],
    now: float,
    until: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    most: int = MAX_ENTRIES,
) -> Walk:
    """Add up what is below `top`, until the clock says `until`.

    Raises:
        OSError: `top` itself cannot be read.
    """
    root = os.fsencode(top)
    made = Walk(root)
    device = os.lstat(root).st_dev
    with os.scandir(root):
        pass
    order = _visit(made, device, mounts, now, lambda: clock() < until and made.entries < most)
    for folder in reversed(order):  # what is below comes after
        if folder.parent is not None:
            folder.parent.size += folder.size
            folder.parent.recent += folder.recent
            folder.parent.files += folder.files
    made.largest.sort(reverse=True)
    return made


def _visit(made: Walk, device: int, mounts: frozenset[bytes], now: float, goes_on: Callable[[], bool]) -> list[Folder]:
    order = [made.root]
    at = 0
    linked: set[int] = set()
    while at < len(order):
        folder = order[at]
        at += 1
        try:
            entries = os.scandir(folder.path)
        except OSError:
            made.unreadable += 1
            continue
        with entries:
            for entry in _named(entries):
                made.entries += 1
                if not made.entries % CHECK and not goes_on():
                    made.complete = False
                    return order
                # The mount's own root is not even asked for its attributes: a server that is gone would not answer.
                if entry.path not in mounts:
                    below = _take(made, folder, entry, device, now, linked)
                    if below is not None and len(order) < MAX_FOLDERS and entry.path.count(b"/") < MAX_DEPTH:
                        order.append(below)
                    elif below is not None:
                        made.complete = False
    return order


def _named(entries: Iterator[os.DirEntry[bytes]]) -> Iterator[os.DirEntry[bytes]]:
    while True:
        try:
            entry = next(entries, None)
        except OSError:  # the directory went away, or the disk cannot read it
            return
        if entry is None:
            return
        yield entry


def _take(
    made: Walk, folder: Folder, entry: os.DirEntry[bytes], device: int, now: float, linked: set[int]
) -> Folder | None:
    """Count an entry; return it if it is a directory to go into."""
    try:
        stat = entry.stat(follow_symlinks=False)
    except OSError:
        return None
    if stat.st_dev not in (device, 0):  # Windows does not tell it here
        return None
    size = getattr(stat, "st_blocks", -1) * BLOCK if hasattr(stat, "st_blocks") else stat.st_size
    if entry.is_dir(follow_symlinks=False):
        below = Folder(entry.path, folder)
        below.size = size
        folder.children.append(below)
        return below
    if stat.st_nlink > 1:
        if stat.st_ino in linked:
            return None
        if len(linked) < MAX_LINKED:
            linked.add(stat.st_ino)
    folder.size += size
    folder.files += 1
    if now - stat.st_mtime < RECENT:
        folder.recent += size
    one = (size, entry.path, stat.st_mtime)
    if len(made.largest) < FILES:
        heapq.heappush(made.largest, one)
    elif size > made.largest[0][0]:
        heapq.heapreplace(made.largest, one)
    return None


def mount_points(host: Host) -> frozenset[bytes]:
    """Return where something is mounted, by /proc/self/mountinfo; its paths escape blanks by octal numbers."""
    lines = _whole(host.proc + "/self/mountinfo").splitlines()
    return frozenset(unescape(fields[4]) for line in lines if len(fields := line.split(b" ")) > 4)


def _whole(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(4 << 20)
    except OSError:
        return b""


def unescape(path: bytes) -> bytes:
    """Return a path of the kernel's tables as it is."""
    for escaped, plain in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        path = path.replace(escaped, plain)
    return path


def mount_of(host: Host, path: str) -> bytes:
    """Return the mount point that a path is below."""
    wanted = os.fsencode(path).rstrip(b"/") + b"/"
    points = [point for point in mount_points(host) if wanted.startswith(point.rstrip(b"/") + b"/")]
    return max(points, key=len, default=b"/")
