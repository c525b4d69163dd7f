"""Processes where there is no /proc: Windows and macOS, by psutil."""

from __future__ import annotations

import psutil

from agent.diagnosis.processes import MAX_PROCESSES, Process
from agent.redact import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

STATES = {psutil.STATUS_RUNNING: "R", psutil.STATUS_SLEEPING: "S", psutil.STATUS_STOPPED: "T"}
ASKED = ["pid", "ppid", "name", "cpu_times", "memory_info", "num_threads", "create_time", "status"]


def processes(*, io: bool = False, found: Iterable[psutil.Process] | None = None) -> dict[int, Process]:
    """Return the processes by number; what another's process does not tell us is 0."""
    wanted = [*ASKED, "io_counters"] if io and hasattr(psutil.Process, "io_counters") else ASKED
    out: dict[int, Process] = {}
    for handle in found if found is not None else psutil.process_iter(wanted):
        told = handle.info
        cpu, memory = told.get("cpu_times"), told.get("memory_info")
        one = Process(
            told["pid"], told.get("ppid") or 0, clean(told.get("name") or "", 64),
            state=STATES.get(str(told.get("status")), ""), cpu=cpu.user + cpu.system if cpu else 0.0,
            memory=memory.rss if memory else 0,
        )  # fmt: skip
        one.threads = told.get("num_threads") or 1
        one.started = told.get("create_time") or 0.0
        traffic = told.get("io_counters")
        one.io = traffic.read_bytes + traffic.write_bytes if traffic else 0
        out[one.pid] = one
        if len(out) >= MAX_PROCESSES:
            break
    return out


def arguments(pid: int) -> list[str]:
    """Return the words that a process was started with, none if it is another's or gone."""
    try:
        return psutil.Process(pid).cmdline()
    except psutil.Error:
        return []
