"""Which processes take most, as evidence when a machine is short of something: two looks at /proc, a second apart."""

from __future__ import annotations

import os
import time

from agent.events import Event
from agent.probes.host import read_attribute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent.heavy.tools import Found, Task

SHOWN = 5
SECOND = 1.0
MAX_PROCESSES = 20_000


class Taken:
    """What a process has taken so far: ticks of CPU, bytes of memory now, bytes read and written."""

    __slots__ = ("io", "memory", "name", "ticks")

    def __init__(self, name: str, ticks: int, memory: int, io: int) -> None:
        self.name = name
        self.ticks = ticks
        self.memory = memory
        self.io = io


def read(task: Task, sleep: Callable[[float], None] = time.sleep) -> Iterator[Found]:
    """Give one event with the processes that take most CPU, memory and disk; their names alone, no command lines."""
    proc = task.host.proc
    before = processes(proc)
    sleep(SECOND)
    after = processes(proc)
    ticks_a_second = os.sysconf("SC_CLK_TCK") * SECOND
    cpu, io = {}, {}
    for pid, taken in after.items():
        old = before.get(pid)
        if old is not None and old.name == taken.name:
            cpu[pid] = 100 * max(0, taken.ticks - old.ticks) / ticks_a_second
            io[pid] = max(0, taken.io - old.io) / SECOND
    memory = {pid: float(taken.memory) for pid, taken in after.items()}
    parts = []
    attributes: dict[str, str | float] = {"processes": float(len(after))}
    for title, values, show in (("cpu", cpu, _percent), ("memory", memory, _mib), ("io", io, _mib)):
        first = sorted((pid for pid in values if values[pid] > 0), key=lambda pid: -values[pid])[:SHOWN]
        listed = [f"{after[pid].name} ({pid}) {show(values[pid])}" for pid in first]
        if listed:
            parts.append(f"{title}: " + ", ".join(listed))
            attributes["top_" + title] = listed[0]
    yield Event("agent", "top", "info", "; ".join(parts), attributes)


def _percent(value: float) -> str:
    return f"{value:.0f} %"


def _mib(value: float) -> str:
    return f"{value / (1 << 20):.0f} MiB"


def processes(proc: str) -> dict[int, Taken]:
    """Return what each process has taken so far; disk traffic only where we may read it."""
    page = os.sysconf("SC_PAGE_SIZE")
    found: dict[int, Taken] = {}
    for name in os.listdir(proc):
        if not name.isdigit() or len(found) >= MAX_PROCESSES:
            continue
        line = read_attribute(f"{proc}/{name}/stat")
        if not line:
            continue
        fields = line[line.rfind(")") + 2 :].split()
        if len(fields) < 22:
            continue
        command = line[line.find("(") + 1 : line.rfind(")")]
        io = 0
        for text in (read_attribute(f"{proc}/{name}/io") or "").splitlines():
            if text.startswith(("read_bytes:", "write_bytes:")):
                io += int(text.split()[1])
        found[int(name)] = Taken(command, int(fields[11]) + int(fields[12]), int(fields[21]) * page, io)
    return found
