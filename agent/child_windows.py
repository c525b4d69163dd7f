"""A child where files of pipes cannot be waited for: a thread reads them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading

from agent.child import KEPT, MAX_OUTPUT, Child

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

NO_WINDOW = 0x08000000
BELOW_NORMAL = 0x00004000


class WindowsChild(Child):
    """A process and the thread that reads it."""

    __slots__ = ("_data", "_input", "_process", "_thread")

    def __init__(self, process: subprocess.Popen[bytes], data: bytes = b"") -> None:
        super().__init__(process.pid, -1)
        self._process = process
        self._data = b""
        self._input = data
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.write(self._input)
                self._process.stdin.close()
        while data := self._process.stdout.read(65_536):
            if len(self._data) + len(data) <= MAX_OUTPUT:
                self._data += data

    def ended(self) -> bool:
        """Whether it has closed its output."""
        return not self._thread.is_alive()

    def output(self) -> bytes:
        """Return all that it has written so far, and forget it."""
        data, self._data = self._data, b""
        return data

    def kill(self) -> None:
        """End it; what it started has a time limit of its own."""
        if self._process.poll() is None:
            self._process.kill()

    def close(self) -> None:
        """Let go of it."""
        self.kill()
        self._process.wait(5)
        self._thread.join(1)


def start_windows(command: Sequence[str], data: bytes = b"") -> Child:
    """Start a child without a window, with `data` as its input.

    Raises:
        OSError: it cannot be started.
    """
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    return WindowsChild(
        subprocess.Popen(  # noqa: S603 - our own interpreter and file
            list(command),
            env=environment,
            stdin=subprocess.PIPE if data else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            creationflags=NO_WINDOW | BELOW_NORMAL if os.name == "nt" else 0,
        ),
        data,
    )
