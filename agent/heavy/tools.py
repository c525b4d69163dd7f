"""What heavy readings are given: the machine, the options, the clock, and a way to ask other programs.

Programs are started by a list of words, never by a shell, with a time limit, a bound of what they may write, no input
and a small environment.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading

from agent.events import Event
from agent.heavy.people import account
from agent.probes.host import Host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

TIMEOUT = 5.0
MAX_OUTPUT = 4 << 20
NOT_FOUND = 127
TIMED_OUT = 124
ENVIRONMENT = {"LC_ALL": "C", "LANG": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"}
KEPT_ON_WINDOWS = ("PATH", "SYSTEMROOT", "SYSTEMDRIVE", "PROGRAMDATA", "PROGRAMFILES", "TEMP", "WINDIR", "WINEPREFIX")


class Output:
    """What a program wrote, and its exit code: NOT_FOUND if there is none, TIMED_OUT if it was ended."""

    __slots__ = ("code", "cut", "text")

    def __init__(self, code: int, text: str, *, cut: bool = False) -> None:
        self.code = code
        self.text = text
        self.cut = cut

    def json(self) -> object:
        """Return the text as a JSON document, or None if it is none."""
        try:
            return json.loads(self.text)
        except ValueError:
            return None


class Inventory:
    """What the machine is made of: by part, a list of objects or an object."""

    __slots__ = ("parts",)

    def __init__(self, parts: Mapping[str, object]) -> None:
        self.parts = dict(parts)


class Again:
    """When the reading wants to come again, in seconds."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


if TYPE_CHECKING:
    Found = tuple[str, float] | Event | Inventory | Again
    Command = Callable[..., Output]


class Task:
    """All that a heavy reading may use. `memory` is what it left the last time, a JSON object."""

    __slots__ = ("command", "host", "memory", "now", "options")

    def __init__(
        self,
        host: Host,
        options: Mapping[str, str],
        now: float,
        memory: dict[str, object] | None = None,
        command: Command | None = None,
    ) -> None:
        self.host = host
        self.options = options
        self.now = now
        self.memory: dict[str, object] = memory if memory is not None else {}
        self.command: Command = command or run

    def words(self, option: str, default: str = "") -> list[str]:
        """Return the comma separated words of an option."""
        return [word.strip() for word in self.options.get(option, default).split(",") if word.strip()]

    def allows(self, part: str) -> bool:
        """Whether the customer's policy lets a part be collected."""
        return self.options.get("privacy." + part, "on") == "on"


def run(
    words: Sequence[str],
    *,
    timeout: float = TIMEOUT,
    user: str | None = None,
    limit: int = MAX_OUTPUT,
    own_group: bool = True,
) -> Output:
    """Run a program to its end, and return what it wrote to stdout. `user` is whose rights it has, if we are root.

    In a group of its own it is ended with all that it started; otherwise it belongs to ours, and goes with us.
    """
    path = shutil.which(words[0], path=_path())
    if path is None:
        return Output(NOT_FOUND, "")
    try:
        process = subprocess.Popen(  # noqa: S603 - a list of words, no shell
            [path, *words[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            cwd="/" if os.name != "nt" else None,
            start_new_session=own_group and os.name != "nt",
            **account(user),
        )
    except OSError:
        return Output(NOT_FOUND, "")
    return _collect(process, timeout, limit)


def _collect(process: subprocess.Popen[bytes], timeout: float, limit: int) -> Output:
    assert process.stdout is not None  # noqa: S101 - for the type checker
    ended_by_us = threading.Event()

    def end() -> None:
        ended_by_us.set()
        _kill(process)

    timer = threading.Timer(timeout, end)
    timer.start()
    try:
        data = process.stdout.read(limit + 1)
        cut = len(data) > limit
        if cut:
            _kill(process)
        process.stdout.close()
        code = process.wait(timeout + 1)
    except subprocess.TimeoutExpired:
        _kill(process)
        code = TIMED_OUT
    finally:
        timer.cancel()
    if ended_by_us.is_set():
        code = TIMED_OUT
    return Output(code, data[:limit].decode("utf-8", "replace"), cut=cut)


def _kill(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
        return
    try:
        if os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except (ProcessLookupError, PermissionError):
        return


def _path() -> str | None:
    return ENVIRONMENT["PATH"] if os.name != "nt" else None


def _environment() -> dict[str, str]:
    if os.name != "nt":
        return dict(ENVIRONMENT)
    return {name: os.environ[name] for name in KEPT_ON_WINDOWS if name in os.environ}


def lines_of(path: str, limit: int = 1 << 20) -> Iterator[str]:
    """Yield the lines of a text file, as far as they are within its first `limit` bytes; none if it cannot be read."""
    try:
        with open(path, "rb") as file:
            text = file.read(limit).decode("utf-8", "replace")
    except OSError:
        return
    yield from text.splitlines()


def strings(value: object) -> str:
    """Return a member of a JSON document as text; nothing for None."""
    return "" if value is None else str(value)


def mapping(value: object) -> dict[str, object]:
    """Return a member of a JSON document if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def listing(value: object) -> list[object]:
    """Return a member of a JSON document as list: some programs write a single one bare."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def number(value: object) -> float | None:
    """Return a member of a JSON document as number, if it is one or a text of one."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value)
    try:
        return float(str(value))
    except ValueError:
        return None
