"""A process of our own for a while: what it writes is read without waiting, and it is ended with all it started."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Start = Callable[[Sequence[str]], "Child"]

MAX_OUTPUT = 2 << 20
MAIN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")
SIGKILL = 9
KEPT = (
    "PATH",
    "HOME",
    "LANG",
    "https_proxy",
    "HTTPS_PROXY",
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "PROGRAMDATA",
    "PROGRAMFILES",
    "TEMP",
    "WINEPREFIX",
)


class Child:
    """A running child; `file` can be waited for. Where there is no fork it is a thread that reads (Windows)."""

    __slots__ = ("_done", "_parts", "_size", "file", "pid")

    def __init__(self, pid: int, file: int) -> None:
        self.pid = pid
        self.file = file
        self._parts: list[bytes] = []
        self._size = 0
        self._done = False

    def ended(self) -> bool:
        """Take what it has written since; return whether it has closed its output."""
        while not self._done:
            try:
                data = os.read(self.file, 65_536)
            except BlockingIOError:
                return False
            if not data:
                self._done = True
            elif self._size + len(data) <= MAX_OUTPUT:  # what is more is read, so that it ends, and left out
                self._parts.append(data)
                self._size += len(data)
            else:
                self.kill()
        return True

    def output(self) -> bytes:
        """Return all that it has written so far, and forget it."""
        data = b"".join(self._parts)
        self._parts = []
        return data

    def kill(self) -> None:
        """End it and its children, if it still runs."""
        if sys.platform != "win32":
            try:
                os.killpg(self.pid, SIGKILL)
            except (ProcessLookupError, PermissionError):
                return

    def close(self) -> None:
        """Let go of it; it is ended if it was not."""
        self.kill()
        if self.file >= 0:
            os.close(self.file)
            self.file = -1
        if sys.platform != "win32":
            try:
                os.waitpid(self.pid, 0)
            except ChildProcessError:
                return


def start(words: Sequence[str], *, stdin: int = -1, data: bytes = b"") -> Child:
    """Start `watchdesk-agent WORDS` in a process group of its own.

    Its input is the file `stdin`, nothing without one; on Windows it is `data`.

    Raises:
        OSError: no process or no file can be had.
    """
    command = [sys.executable, "-I", "-S", MAIN, *words]
    if sys.platform == "win32":
        from agent.child_windows import start_windows

        return start_windows([sys.executable, "-I", MAIN, *words], data)
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    read_end, write_end = os.pipe()
    try:
        os.set_blocking(read_end, False)
        pid = os.posix_spawn(
            sys.executable,
            command,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, stdin, 0) if stdin >= 0 else (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, write_end, 1),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ],
            setpgroup=0,
        )
    except OSError:
        os.close(read_end)
        raise
    finally:
        os.close(write_end)
    return Child(pid, read_end)
