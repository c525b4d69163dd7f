"""The agent as a service of the system: what is installed beside it, and how that is taken away without a trace.

An installation is a list of steps, which say on their own what they do; tests look at them and run them in a root of
their own. Linux is in service_linux.py, macOS in service_macos.py; on Windows the installer does it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import NamedTuple

from agent.errors import StateError

HOME = "/opt/watchdesk-agent"  # where the install script puts the program
LINK = "/usr/local/bin/watchdesk-agent"
PLATFORM: str = sys.platform


class Write(NamedTuple):
    """Put a file there, readable by all."""

    path: str
    text: str
    mode: int = 0o644


class Run(NamedTuple):
    """Run a program of the system. One that `may_fail` may also be missing."""

    words: Sequence[str]
    may_fail: bool = False


class Remove(NamedTuple):
    """Remove a file, a link or a whole folder of ours, if it is there."""

    path: str


Step = Write | Run | Remove


def carry_out(steps: Iterable[Step], root: str = "/") -> None:
    """Take the steps, below `root`.

    Raises:
        StateError: one could not be taken; those before it are taken.
    """
    for step in steps:
        try:
            if isinstance(step, Write):
                _write(_below(root, step.path), step)
            elif isinstance(step, Remove):
                _remove(_below(root, step.path))
            else:
                _run(step)
        except OSError as error:
            what = " ".join(step.words) if isinstance(step, Run) else step.path
            raise StateError(f"{what}: {error.strerror or error}; run it as root") from error


def _below(root: str, path: str) -> str:
    return os.path.join(root, path.lstrip("/"))


def _write(path: str, step: Write) -> None:
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    beside = f"{path}.new"
    with open(beside, "w", encoding="utf-8") as file:
        file.write(step.text)
    os.chmod(beside, step.mode)
    os.replace(beside, path)


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def _run(step: Run) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - words of our own, no shell
            step.words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        if step.may_fail:
            return
        raise
    if done.returncode and not step.may_fail:
        said = (done.stderr or done.stdout).strip().replace("\n", "; ")
        raise StateError(f"`{' '.join(step.words)}` failed: {said or f'exit status {done.returncode}'}")


def _system() -> ModuleType | None:
    if PLATFORM == "linux":
        from agent import service_linux

        return service_linux
    if PLATFORM == "darwin":
        from agent import service_macos

        return service_macos
    return None


def install(directory: str, program: str) -> list[Step]:
    """Return the steps that make an enrolled agent a service that runs now and after each boot.

    Raises:
        StateError: there is no such service here.
    """
    system = _system()
    if system is None:
        raise StateError("on this system the installer makes the service")
    steps: list[Step] = system.install(directory, program)
    return steps


def stop() -> list[Step]:
    """Return the steps that end the service, before anything of it is removed."""
    system = _system()
    return [] if system is None else system.stop()


def remove_unit() -> list[Step]:
    """Return the steps that take away what `install` made."""
    system = _system()
    return [] if system is None else system.remove()


def remove(directory: str) -> list[Step]:
    """Return the steps that leave no trace of what `install` and the install script made."""
    return [*remove_unit(), Remove(directory), Remove(LINK), Remove(HOME)]


def by_script(home: str = HOME) -> bool:
    """Whether this very program was put here by the install script, so that it removes itself."""
    return os.path.realpath(__file__).startswith(os.path.realpath(home) + os.sep)
