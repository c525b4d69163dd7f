"""Waiting: for a file, a moment, or a wake-up."""

from __future__ import annotations

import os
import select
import sys
import time

from agent.connection import READ, WRITE, Want

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import TypeVar

    Result = TypeVar("Result")


class Wake:
    """What ends a sleep: a pipe that signals and other threads write to. Windows cannot wait for one; it looks twice
    a second.
    """

    __slots__ = ("read_end", "write_end")

    def __init__(self) -> None:
        self.read_end = self.write_end = -1
        if sys.platform != "win32":
            self.read_end, self.write_end = os.pipe()
            os.set_blocking(self.read_end, False)
            os.set_blocking(self.write_end, False)

    def set(self) -> None:
        """End the sleep, now or when it begins."""
        if self.write_end >= 0:
            try:
                os.write(self.write_end, b"\0")
            except BlockingIOError:  # it is awake already
                return

    def clear(self) -> None:
        """Forget that it was ended."""
        if self.read_end >= 0:
            try:
                os.read(self.read_end, 512)
            except BlockingIOError:
                return

    def close(self) -> None:
        """Let go of the pipe."""
        if self.read_end >= 0:
            os.close(self.read_end)
            os.close(self.write_end)
            self.read_end = self.write_end = -1


class Others:
    """Files that end a sleep too: (file, events of poll); those that did are left in `ready`."""

    __slots__ = ("files", "ready")

    def __init__(self) -> None:
        self.files: list[tuple[int, int]] = []
        self.ready: set[int] = set()


def wait(want: Want, until: float, wake: int, monotonic: float, others: Others | None = None) -> bool:
    """Sleep until the file is ready, `until` has come or `wake` can be read; return whether the file is ready."""
    seconds = max(0.0, min(until, want.until) - monotonic)
    if sys.platform == "win32":
        return _select(want, min(seconds, 0.5))
    poll = select.poll()
    if wake >= 0:
        poll.register(wake, READ)
    if want.file >= 0:
        poll.register(want.file, want.events)
    for file, events in others.files if others is not None else ():
        poll.register(file, events)
    # Rounded up: waking a little early would make the loop spin until the time has come.
    found = {file for file, _ in poll.poll(int(seconds * 1000) + 1 if seconds else 0)}
    if others is not None:
        others.ready |= found
    return want.file in found


def _select(want: Want, seconds: float) -> bool:
    if want.file < 0:
        time.sleep(seconds)
        return False
    reads = [want.file] if want.events == READ else []
    writes = [want.file] if want.events == WRITE else []
    return any(select.select(reads, writes, writes, seconds))


def complete(steps: Generator[Want, None, Result]) -> Result:
    """Run a generator of connection.py to its end; for commands that have nothing else to do."""
    try:
        want = next(steps)
        while True:
            wait(want, want.until, -1, time.monotonic())
            want = next(steps)
    except StopIteration as done:
        result: Result = done.value
        return result
