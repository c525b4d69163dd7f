"""The machine as probes see it: where its files are, its clock, and what a probe remembers."""

from __future__ import annotations

import errno
import os
import time

from agent.probes import NoData

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_FILE = 8 << 20  # a file of /proc is never larger; what is, is not what it should be
_ABSENT = (errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ENOTDIR)


def _no_statvfs(path: str) -> os.statvfs_result:
    raise NoData(path)  # Windows


STATVFS: Callable[[str], os.statvfs_result] = getattr(os, "statvfs", _no_statvfs)


class Host:
    """Roots of the file system as arguments, so that recorded machines can be read.

    `memory` belongs to the probes: what they keep from one reading to the next, under a key of their own.
    """

    __slots__ = ("clock", "memory", "options", "proc", "root", "statvfs", "sys")

    def __init__(
        self,
        *,
        root: str = "/",
        proc: str = "/proc",
        sys: str = "/sys",
        clock: Callable[[], float] = time.time,
        statvfs: Callable[[str], os.statvfs_result] = STATVFS,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.root = root.rstrip("/")
        self.proc = proc
        self.sys = sys
        self.clock = clock
        self.statvfs = statvfs
        self.options: Mapping[str, str] = options if options is not None else {}
        self.memory: dict[str, object] = {}

    def allows(self, part: str) -> bool:
        """Whether the customer's policy lets a part of the inventory be told, in labels too."""
        return self.options.get("privacy." + part, "on") == "on"

    def read_proc(self, name: str) -> str:
        """Return a file of /proc as text.

        Raises:
            NoData: this kernel does not have it.
        """
        return read_text(self.proc + "/" + name)


def read_text(path: str) -> str:
    """Return a whole file; bytes that are not UTF-8 become U+FFFD.

    Raises:
        NoData: there is no such file.
    """
    try:
        file = os.open(path, os.O_RDONLY | _CLOEXEC)
    except OSError as error:
        if error.errno in _ABSENT:
            raise NoData(path) from None
        raise
    try:
        data = os.read(file, 16_384)
        # A short read is no end: /proc hands out whole records only.
        while more := os.read(file, 65_536):
            data += more
            if len(data) > MAX_FILE:
                raise ValueError(f"{path} is longer than {MAX_FILE} bytes")
    finally:
        os.close(file)
    return data.decode("utf-8", "replace")


def read_attribute(path: str, *, ends: str | None = None) -> str | None:
    """Return an attribute of /sys without white space around it (or what `ends` names instead).

    None where it is absent or the driver refuses to tell. Bytes that are not UTF-8 become U+FFFD, those that follow
    each other a single one, as Go has it, so that labels agree with node_exporter's.
    """
    try:
        file = os.open(path, os.O_RDONLY | _CLOEXEC)
    except OSError:
        return None
    try:
        text = os.read(file, 4_096).decode("utf-8", "replace").strip(ends)
    except OSError:
        return None
    finally:
        os.close(file)
    while "\ufffd\ufffd" in text:
        text = text.replace("\ufffd\ufffd", "\ufffd")
    return text


def read_number(path: str) -> float | None:
    """Return a number of /sys, or None where it is absent or no number."""
    text = read_attribute(path)
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def list_directory(path: str) -> list[str]:
    """Return a directory's names in order.

    Raises:
        NoData: there is no such directory.
    """
    try:
        return sorted(os.listdir(path))
    except OSError as error:
        if error.errno in _ABSENT:
            raise NoData(path) from None
        raise


_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
