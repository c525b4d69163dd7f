"""Memory: who holds it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import NamedTuple

from agent.diagnosis.arguments import whole
from agent.diagnosis.catalogue import Found, Look, diagnosis
from agent.diagnosis.errors import NotFound
from agent.probes.host import read_attribute

MOST = "%(name)s (process %(pid)d) holds %(memory).0f MiB of memory and %(swap).0f MiB of swap"
MIB = 1 << 20
MAX_PROCESSES = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ByProcess:
    """How many processes to list."""

    count: int = whole(10, 1, 50)


@diagnosis(
    "memory.by_process",
    ByProcess,
    privacy="names",
    output={"processes": [{"pid": "number", "name": "name", "memory": "number", "swap": "number"}]},
    findings=(MOST,),
    systems=("linux",),
)
def by_process(look: Look, asked: ByProcess) -> Found:
    """Memory and swap by process."""
    found = sorted(processes(look.host.proc), key=lambda one: one.memory + one.swap, reverse=True)
    if not found:
        raise NotFound("no process whose memory may be read")
    first = found[0]
    values: dict[str, str | float] = {
        "name": first.name,
        "pid": first.pid,
        "memory": first.memory / MIB,
        "swap": first.swap / MIB,
    }
    listed = [one._asdict() for one in found[: asked.count]]
    return Found(MOST, values, {"processes": listed}, truncated=len(found) > asked.count)


class Holder(NamedTuple):
    """A process and what it holds, in bytes."""

    pid: int
    name: str
    memory: int
    swap: int


def processes(proc: str) -> list[Holder]:
    """Return what each process holds; those of the kernel hold nothing and are left out."""
    pids = [name for name in os.listdir(proc) if name.isdigit()][:MAX_PROCESSES]
    texts = ((pid, read_attribute(f"{proc}/{pid}/status")) for pid in pids)
    return [_of_status(int(pid), text) for pid, text in texts if text and "VmRSS:" in text]


def _of_status(pid: int, text: str) -> Holder:
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    memory, swap = (int(fields.get(name, "0").split()[0]) << 10 for name in ("VmRSS", "VmSwap"))
    return Holder(pid, fields.get("Name", "").strip(), memory, swap)
