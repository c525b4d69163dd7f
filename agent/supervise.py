"""Watches over the agent where systemd does not: starts it again when it fails, hangs or goes over its limits.

`watchdesk-agent supervise` is the parent of `watchdesk-agent run`, listens for its signs of life as systemd would
(lifeline.py), and leaves why it ended it in the state's file `ended`, which the next run tells as an event.
"""

from __future__ import annotations

import os
import sys
import time

from agent.errors import StateError
from agent.lifeline import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent.log import Log
    from agent.state import State

LOOK = 1.0  # seconds between two looks
WINDOW = 60.0  # seconds over which the processor's time is counted
FIRST_PAUSE, LAST_PAUSE = 5.0, 300.0
CALM = 600.0  # a run that lasted so long was a good one: the next pause is short again
GRACE = 15.0  # for a goodbye
SIGKILL, SIGABRT, SIGTERM = 9, 6, 15


class Limits:
    """What the agent may take: seconds of silence, bytes of memory, a share of one processor over WINDOW."""

    __slots__ = ("cpu", "memory", "silence")

    def __init__(self, *, silence: float = 120.0, memory: int = 128 << 20, cpu: float = 0.5) -> None:
        self.silence = silence
        self.memory = memory
        self.cpu = cpu


class Supervisor:
    """Keeps one child running until it ends on purpose, or `stop` is called (by a signal)."""

    def __init__(
        self,
        command: Sequence[str],
        state: State,
        log: Log,
        *,
        limits: Limits,
        monotonic: Callable[[], float] = time.monotonic,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        self._command = list(command)
        self._state = state
        self._log = log
        self._limits = limits
        self._monotonic = monotonic
        self._first_pause = first_pause
        self._stopping = False
        self.child = 0

    def stop(self) -> None:
        """Have the child say goodbye, and end."""
        self._stopping = True
        self.forward(SIGTERM)

    def _stopped(self) -> bool:
        """Whether a signal has asked for the end meanwhile."""
        return self._stopping

    def forward(self, number: int) -> None:
        """Hand a signal on to the child."""
        if self.child:
            try:
                os.kill(self.child, number)
            except ProcessLookupError:
                return

    def run(self, environ: Mapping[str, str]) -> int:
        """Start the child, and again as often as it must be; return the exit code of its last run."""
        pause = self._first_pause
        listener = _Listener(self._state.path("lifeline"))
        try:
            while True:
                started = self._monotonic()
                result, code = self._one(listener, environ)
                if result == "success" or self._stopping:
                    return code
                self._state.write("ended", f"{result}\n", sync=False)
                pause = self._first_pause if self._monotonic() - started > CALM else pause
                self._log.warning("agent ended", why=result, again_in=f"{pause:g} s")
                until = self._monotonic() + pause
                while self._monotonic() < until:
                    time.sleep(min(LOOK, pause))
                    if self._stopped():
                        return 0
                pause = min(2 * pause, LAST_PAUSE)
        finally:
            listener.close()

    def _one(self, listener: _Listener, environ: Mapping[str, str]) -> tuple[str, int]:
        """Run the child once; return why it ended, in systemd's words, and its exit code."""
        watched = {
            **environ, "NOTIFY_SOCKET": listener.path, "WATCHDOG_USEC": str(round(self._limits.silence * 1e6)),
        }  # fmt: skip
        self.child = os.posix_spawn(self._command[0], self._command, watched)
        if self._stopping:
            self.forward(SIGTERM)
        heard = since = self._monotonic()
        spent = 0.0
        result = ""
        killed_at = NEVER
        while True:
            now = self._monotonic()
            heard = now if listener.heard(min(LOOK, self._limits.silence / 4)) else heard
            done, status = os.waitpid(self.child, os.WNOHANG)
            if done:
                self.child = 0
                return result or _result(status), os.waitstatus_to_exitcode(status)
            memory, cpu = usage(self.child)
            if now - since >= WINDOW:
                result = result or ("cpu" if cpu - spent > self._limits.cpu * (now - since) else "")
                since, spent = now, cpu
            if not self._stopping:
                result = result or ("watchdog" if now - heard > self._limits.silence else "")
                result = result or ("memory" if memory > self._limits.memory else "")
            if (result and killed_at == NEVER) or (self._stopping and killed_at == NEVER):
                killed_at = now + (GRACE if self._stopping else 0.0)
            if now >= killed_at:
                self.forward(SIGKILL)


class _Listener:
    """Hears signs of life on a socket in the state directory."""

    def __init__(self, path: str) -> None:
        import select
        import socket

        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            if os.path.exists(path):
                os.unlink(path)
            self._socket.bind(path)
        except OSError as error:
            raise StateError(f"cannot listen at {path}: {error.strerror}; use a shorter --state") from error
        self._socket.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def heard(self, seconds: float) -> bool:
        """Wait for a sign of life; return whether there was one."""
        if not self._poll.poll(seconds * 1000):
            return False
        said = b""
        try:
            while True:
                said += self._socket.recv(256) + b"\n"
        except BlockingIOError:
            return b"READY=1" in said or b"WATCHDOG=1" in said

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()
        os.unlink(self.path)


def _result(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return "core-dump" if code == -SIGABRT else "signal"
    return "exit-code" if code else "success"


def usage(pid: int) -> tuple[int, float]:
    """Return (bytes of memory, seconds of CPU) of a process; zeros where there is no /proc."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read(1_024).rpartition(b")")[2].split()
        return int(fields[21]) * os.sysconf("SC_PAGE_SIZE"), (int(fields[11]) + int(fields[12])) / 100
    except (OSError, IndexError, ValueError):
        return 0, 0.0


def supervise(state: State, words: Sequence[str]) -> int:
    """Watch over `watchdesk-agent WORDS` until a signal ends both; return the exit code.

    Raises:
        StateError: there is no place to listen, or no such thing on this system.
    """
    import signal

    from agent.child import MAIN
    from agent.log import Log

    if sys.platform == "win32":
        raise StateError("on Windows the service manager watches over the agent")
    command = [sys.executable, "-I", "-S", MAIN, *words]
    made = Supervisor(command, state, Log(), limits=Limits())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: made.stop())
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda number, _frame: made.forward(number))
    return made.run(os.environ)
