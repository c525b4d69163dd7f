"""What processes there are, and what each has taken: of /proc on Linux, by psutil elsewhere."""

from __future__ import annotations

import os
import sys
import time

from agent.diagnosis.words import command_line
from agent.probes.host import read_attribute
from agent.redact import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host

MAX_PROCESSES = 10_000
MAX_ANCESTORS = 16
NOT_TOLD = -1  # of traffic: it is another user's process


class Process:
    """A process: CPU in seconds since its start, memory and traffic with disks in bytes, its start in unix time."""

    __slots__ = ("cpu", "io", "memory", "name", "parent", "pid", "started", "state", "threads")

    def __init__(self, pid: int, parent: int, name: str, *, state: str = "", cpu: float = 0.0, memory: int = 0) -> None:
        self.pid = pid
        self.parent = parent
        self.name = name
        self.state = state
        self.cpu = cpu
        self.memory = memory
        self.io = 0
        self.threads = 1
        self.started = 0.0


def processes(host: Host, *, io: bool = False) -> dict[int, Process]:
    """Return the processes by number, at most MAX_PROCESSES; `io` has their traffic with disks read, too."""
    if not os.path.exists(host.proc + "/self/stat") and not os.path.exists(host.proc + "/1/stat"):
        from agent.diagnosis.processes_psutil import processes as by_psutil

        return by_psutil(io=io)
    booted = boot_time(host)
    found: dict[int, Process] = {}
    for name in os.listdir(host.proc):
        if not name.isdecimal():
            continue
        if len(found) >= MAX_PROCESSES:
            break
        one = of_stat(read_attribute(f"{host.proc}/{name}/stat") or "", booted)
        if one is not None:
            found[one.pid] = one
            if io:
                told = read_attribute(f"{host.proc}/{name}/io")
                one.io = NOT_TOLD if told is None else traffic(told)
    return found


def of_stat(line: str, booted: float = 0.0) -> Process | None:
    """Return what a line of /proc/PID/stat says; its name may hold anything, parentheses and line ends too."""
    start, end = line.find("("), line.rfind(")")
    fields = line[end + 2 :].split()
    try:
        pid, numbers = int(line[:start]), [int(field) for field in fields[1:22]]
    except ValueError:
        return None
    if start < 0 or len(numbers) < 21:
        return None
    tick, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    one = Process(
        pid, numbers[0], clean(line[start + 1 : end], 64), state=fields[0][:1],
        cpu=(numbers[10] + numbers[11]) / tick, memory=max(0, numbers[20]) * page,
    )  # fmt: skip
    one.threads = numbers[16]
    one.started = booted + numbers[18] / tick
    return one


def traffic(text: str) -> int:
    """Return the bytes that /proc/PID/io says were read from and written to disks."""
    pairs = (line.partition(":") for line in text.splitlines() if line.startswith(("read_bytes:", "write_bytes:")))
    return sum(int(value) for _, _, value in pairs if value.strip().isdecimal())


def boot_time(host: Host) -> float:
    """Return when the machine started, 0 if that is not told."""
    for line in (read_attribute(host.proc + "/uptime") or "").splitlines()[:1]:
        try:
            return time.time() - float(line.split()[0])
        except (ValueError, IndexError):
            return 0.0
    return 0.0


def arguments(host: Host, pid: int) -> list[str]:
    """Return the words that a process was started with; none for the kernel's own, and those of others."""
    if sys.platform == "win32" or not os.path.isdir(host.proc):
        from agent.diagnosis.processes_psutil import arguments as by_psutil

        return by_psutil(pid)
    return (read_attribute(f"{host.proc}/{pid}/cmdline") or "").rstrip("\0").split("\0")


def shown(host: Host, one: Process, limit: int = 200) -> str:
    """Return the command line without secrets and without the folder of the program, or the name."""
    words = [word for word in arguments(host, one.pid) if word]
    if words:
        words[0] = words[0].rpartition("/")[2] or words[0]
    return command_line(words, limit) or one.name


def user(host: Host, pid: int) -> str:
    """Return whose a process is: the name of /etc/passwd, else the number; nothing where it is not told."""
    for line in _status(host, pid):
        if line.startswith("Uid:"):
            uid = line.split()[1]
            return clean(_names(host).get(uid, uid), 64)
    return ""


def swapped(host: Host, pid: int) -> int:
    """Return the bytes of a process that are in the swap."""
    for line in _status(host, pid):
        if line.startswith("VmSwap:") and line.split()[1].isdecimal():
            return int(line.split()[1]) * 1024
    return 0


def unit(host: Host, pid: int) -> str:
    """Return the unit of systemd that a process belongs to, or nothing."""
    for line in (read_attribute(f"{host.proc}/{pid}/cgroup") or "").splitlines():
        for part in reversed(line.rpartition(":")[2].split("/")):
            if part.endswith((".service", ".scope")) and not part.startswith(("session-", "user@", "init.scope")):
                return clean(part, 128)
    return ""


def ancestors(found: dict[int, Process], one: Process) -> Iterator[Process]:
    """Yield its parent, the parent's parent, …; a table that changed while it was read may hold a circle."""
    seen = {one.pid}
    while one.parent in found and one.parent not in seen and len(seen) <= MAX_ANCESTORS:
        one = found[one.parent]
        seen.add(one.pid)
        yield one


def starter(found: dict[int, Process], one: Process) -> str:
    """Return who started it: the first of its ancestors that is no shell."""
    for ancestor in ancestors(found, one):
        if ancestor.name not in ("sh", "bash", "dash", "zsh", "ksh", "busybox", "sudo", "su", "env", "nohup", "setsid"):
            return ancestor.name
    return "" if one.parent not in found else found[one.parent].name


def row(host: Host, found: dict[int, Process], one: Process) -> dict[str, object]:
    """Return what is told of a process in the data of a finding."""
    return {
        "pid": one.pid,
        "name": one.name,
        "command": shown(host, one),
        "user": user(host, one.pid),
        "unit": unit(host, one.pid),
        "state": one.state,
        "started": round(one.started),
        "threads": one.threads,
        "parents": [f"{ancestor.name} ({ancestor.pid})" for ancestor in ancestors(found, one)],
    }


def _status(host: Host, pid: int) -> list[str]:
    return (read_attribute(f"{host.proc}/{pid}/status") or "").splitlines()


def _names(host: Host) -> dict[str, str]:
    known = host.memory.get("passwd")
    if not isinstance(known, dict):
        lines = (read_attribute(host.root + "/etc/passwd") or "").splitlines()
        known = {row[2]: row[0] for line in lines if len(row := line.split(":")) > 2}
        host.memory["passwd"] = known
    return known
