"""Batches that the collector does not have yet, on disk.

A folder of segments, each a file of frames (wire.py) that begins with the schemas its rows use, so that each can be
sent, and be lost, on its own. A segment is written by one process, appended to and synced for each batch, closed when
it is large or when its sending begins, and removed when all of it is acknowledged. Names sort by age.

A short backlog is sent before what is new. A long one would keep the news back for minutes, so it is left behind: what
is new gets an epoch of its own (`turn`) and goes first. The collector tells frames apart within each epoch alone.

`head` is one line: epoch, the next number in it, and whether the run that wrote it ended on purpose. After any other
end nobody knows which numbers were sent last, so the spool takes a new epoch and starts at 1: no (epoch, seq) can be
used twice, and no write is needed for a batch that the collector takes at once.
"""

from __future__ import annotations

import errno
import os

from agent import wire
from agent.segment import SUFFIX, epoch_of, read_segment, segment_name
from agent.state import sync_directory, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from agent.log import Log
    from agent.segment import Item, Segment

SEGMENT_BYTES = 256 << 10
LONG_BYTES = 1 << 20  # a backlog of more is left behind what is new
MAX_EPOCHS = 8  # in the spool; the collector remembers a few times as many


class Spool:
    """The folder. Counts what it had to give up: `dropped` frames of the sequence, `damaged` stretches of bytes."""

    __slots__ = (
        "_acknowledged",
        "_clock",
        "_counted",
        "_file",
        "_folder",
        "_last",
        "_limit_age",
        "_limit_bytes",
        "_log",
        "_next",
        "_schemas",
        "_sending",
        "_sizes",
        "_written",
        "damaged",
        "dropped",
        "epoch",
        "full",
    )

    def __init__(
        self, folder: str, log: Log, clock: Callable[[], float], *, limit_bytes: int, limit_age: float
    ) -> None:
        self._folder = folder
        self._log = log
        self._clock = clock
        self._limit_bytes = limit_bytes
        self._limit_age = limit_age
        self._sizes: dict[str, int] = {}  # of each segment, oldest first
        self._file = -1  # the segment that is appended to, always the last
        self._schemas: set[int] = set()  # that it holds
        self._written = 0  # its bytes that are whole and synced
        self._last = 0  # the last number in it
        self._acknowledged = 0  # every seq of this epoch up to here is the collector's
        self._sending = ""  # the segment whose frames are on their way
        self._counted: set[str] = set()  # segments whose damage has been counted
        self.dropped = 0
        self.damaged = 0
        self.full = False
        self.epoch = 0
        self._next = 1

    def open(self) -> None:
        """Take up what is there.

        Raises:
            OSError: the folder cannot be made or read.
        """
        os.makedirs(self._folder, 0o700, exist_ok=True)
        names = sorted(name for name in os.listdir(self._folder) if name.endswith(SUFFIX))
        self._sizes = {name: os.stat(self._path(name)).st_size for name in names}
        self.epoch, self._next, clean = self._read_head()
        if not clean:
            # Later than every epoch before, also when the clock was set back.
            self.epoch = max(int(self._clock() * 1000), self.epoch + 1, *(epoch_of(name) + 1 for name in names), 1)
            self._next = 1
        try:
            self._write_head(clean=False)
        except OSError as error:
            self._log.warning("spool head not written", error=error.strerror)
            self.epoch = max(int(self._clock() * 1000), self.epoch + 1)  # the old head stays true: its epoch rests
            self._next = 1
        self._drop_old()

    def close(self) -> None:
        """Note that no number was used beyond those given out; call when nothing will be sent any more."""
        self._close_file()
        try:
            self._write_head(clean=True)
        except OSError as error:
            self._log.warning("spool head not written", error=error.strerror)

    def number(self) -> int:
        """Return the next number of the sequence; it will not come again."""
        self._next += 1
        return self._next - 1

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(self._sizes.values())

    def __bool__(self) -> bool:
        return bool(self._sizes)

    def append(self, items: Iterable[Item], schemas: Mapping[int, bytes]) -> bool:
        """Write frames durably, with the schemas they need; return whether they are now on disk.

        When the disk is full, the oldest segments make room; when that does not help, nothing has changed.
        """
        self._drop_old()
        items = list(items)
        while True:
            try:
                self._append(items, schemas)
            except OSError as error:
                self._undo()
                if not self.full:
                    self.full = True
                    self._log.warning("spool not written", error=error.strerror or str(error))
                if error.errno != errno.ENOSPC or not self._drop_oldest():
                    return False
            else:
                self.full = False
                return True

    @property
    def behind(self) -> bool:
        """Whether there is a long backlog of former epochs, so that what is new goes first."""
        return self.size > LONG_BYTES and epoch_of(next(iter(self._sizes))) != self.epoch

    def turn(self) -> None:
        """Begin a new epoch if this one's backlog is long; call when no frame of it is in memory."""
        own = sum(size for name, size in self._sizes.items() if epoch_of(name) == self.epoch)
        if own <= LONG_BYTES or len({epoch_of(name) for name in self._sizes}) >= MAX_EPOCHS:
            return
        self._close_file()
        self.epoch = max(int(self._clock() * 1000), self.epoch + 1)
        self._next = 1
        self._acknowledged = 0
        try:
            self._write_head(clean=False)
        except OSError as error:  # whoever finds the old head takes a later epoch, for it was left open
            self._log.warning("spool head not written", error=error.strerror)

    def oldest(self, epoch: int | None = None) -> Segment | None:
        """Return what is to be sent first (of an epoch), or None. From then on nothing is appended to that segment."""
        for name in [name for name in self._sizes if epoch is None or epoch_of(name) == epoch]:
            if name == next(reversed(self._sizes)):
                self._close_file()
            segment = self._read(name)
            if segment is not None and segment.items:
                self._sending = name
                return segment
            self._remove(name)
        return None

    def release(self) -> None:
        """The segment of `oldest` was not taken; it may be dropped again."""
        self._sending = ""

    def done(self, segment: Segment) -> None:
        """The collector has all of it, or will never take it."""
        self._remove(segment.name)

    def acknowledge(self, seq: int) -> None:
        """The collector has this epoch up to seq, though some of it may have been written here meanwhile."""
        self._acknowledged = max(self._acknowledged, seq)

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)

    def _append(self, items: list[Item], schemas: Mapping[int, bytes]) -> None:
        if self._file >= 0 and (self._written >= SEGMENT_BYTES or items[0].seq != self._last + 1):
            self._close_file()
        if self._file < 0:
            self._begin(items[0].seq)
        parts = []
        added: set[int] = set()
        for item in items:
            if item.schema and item.schema not in self._schemas | added:
                parts.append(wire.encode(wire.Kind.SCHEMA, self.epoch, 0, schemas[item.schema]))
                added.add(item.schema)
            parts.append(item.frame)
        data = memoryview(b"".join(parts))
        total = len(data)
        while data:
            data = data[os.write(self._file, data) :]
        os.fsync(self._file)
        self._written += total
        self._last = items[-1].seq
        self._schemas |= added
        self._sizes[next(reversed(self._sizes))] = self._written

    def _begin(self, seq: int) -> None:
        name = segment_name(self.epoch, seq)
        self._file = os.open(self._path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        self._sizes[name] = 0
        self._schemas = set()
        self._written = 0
        sync_directory(self._folder)

    def _undo(self) -> None:
        """Take back what a failed append left."""
        if self._file < 0:
            return
        if self._written == 0:
            name = next(reversed(self._sizes))
            self._close_file()
            self._remove(name)
            return
        try:
            os.ftruncate(self._file, self._written)
            os.lseek(self._file, self._written, os.SEEK_SET)
        except OSError:  # what is left is a torn tail; whoever reads the segment will find it
            self._close_file()

    def _close_file(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _read(self, name: str) -> Segment | None:
        """Return what is still to be sent of a segment; what is damaged is counted once, when it is found."""
        try:
            with open(self._path(name), "rb") as file:
                data = file.read(wire.MAX_BODY)
        except OSError as error:
            self._log.warning("spool segment not read", name=name, error=error.strerror)
            self.damaged += 1
            return None
        segment, damaged, dropped = read_segment(name, data)
        if segment.epoch == self.epoch:
            segment.items = [item for item in segment.items if item.seq > self._acknowledged]
        if name not in self._counted and (damaged or dropped):
            self._counted.add(name)
            self.damaged += damaged
            self.dropped += dropped
            self._log.warning("spool segment damaged", name=name, places=damaged, batches=dropped)
        return segment

    def _remove(self, name: str) -> None:
        self._sizes.pop(name, None)
        self._counted.discard(name)
        if self._sending == name:
            self._sending = ""
        try:
            os.unlink(self._path(name))
        except FileNotFoundError:
            pass
        except OSError as error:
            self._log.warning("spool segment not removed", name=name, error=error.strerror)

    def _drop_old(self) -> None:
        """Keep the limits of size and age: the oldest segments go."""
        while self._sizes and (self.size > self._limit_bytes or self._too_old(next(iter(self._sizes)))):
            if not self._drop_oldest():
                return

    def _too_old(self, name: str) -> bool:
        try:
            return os.stat(self._path(name)).st_mtime < self._clock() - self._limit_age
        except OSError:
            return False

    def _drop_oldest(self) -> bool:
        """Give up the oldest segment, if it is not the one that is written to; return whether there was one."""
        names = list(self._sizes)[: -1 if self._file >= 0 else None]
        name = next((name for name in names if name != self._sending), None)
        if name is None:
            return False
        segment = self._read(name)
        lost = len(segment.items) if segment is not None else 0
        self.dropped += lost
        self._log.warning("spool segment dropped", name=name, batches=lost)
        self._remove(name)
        return True

    def _read_head(self) -> tuple[int, int, bool]:
        """Return (epoch, next number, whether both may be used)."""
        try:
            with open(self._path("head"), "rb") as file:
                words = file.read(100).decode("ascii", "replace").split()
        except OSError:
            return 0, 1, False
        if len(words) != 3 or not words[0].isdigit() or not words[1].isdigit():
            return 0, 1, False
        return int(words[0]), int(words[1]), words[2] == "closed" and int(words[0]) > 0

    def _write_head(self, *, clean: bool) -> None:
        write_file(self._path("head"), f"{self.epoch} {self._next} {'closed' if clean else 'open'}\n")
