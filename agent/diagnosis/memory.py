"""memory.*: who holds the memory and the swap."""

from __future__ import annotations

from dataclasses import dataclass

from agent.diagnosis.arguments import whole
from agent.diagnosis.catalogue import Found, diagnosis
from agent.diagnosis.errors import NotFound
from agent.diagnosis.processes import processes, row, shown, starter, swapped
from agent.diagnosis.words import moment, size
from agent.probes.host import read_attribute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.diagnosis.catalogue import Look
    from agent.diagnosis.processes import Process
    from agent.probes.host import Host

LARGE = 0.2  # share of the whole memory that explains a shortage
MAX_SWAP_LOOKS = 2_000

ONE = "%(command)s (pid %(pid)s), started by %(parent)s, holds %(size)s of %(total)s memory; it has run since %(since)s"
CROWD = "%(count)s processes %(name)s together hold %(size)s of %(total)s memory; started by %(parent)s"
SHARED = "Files in memory (tmpfs, shared memory) hold %(size)s of %(total)s memory"
KERNEL = "The kernel itself holds %(size)s of %(total)s memory in its caches of objects (slab) that cannot be freed"
HUGE = "Huge pages keep %(size)s of %(total)s memory reserved, whether used or not"
SPREAD = (
    "No single process explains it: %(available)s of %(total)s memory are available; the first is %(name)s "
    "with %(size)s"
)
AMOUNTS = ("total", "available", "swap_total", "swap_free", "shared", "slab", "huge")
HOLDER = {
    "pid": "number", "name": "name", "command": "text", "user": "name", "unit": "name", "state": "name",
    "started": "number", "threads": "number", "parents": ["name"], "memory": "number", "swap": "number",
}  # fmt: skip
NAMED = {"name": "name", "count": "number", "memory": "number"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ByProcess:
    """How many processes to tell."""

    count: int = whole(10, 1, 50)


@diagnosis(
    "memory.by_process", ByProcess, privacy="names",
    findings=(ONE, CROWD, SHARED, KERNEL, HUGE, SPREAD),
    output={**dict.fromkeys(AMOUNTS, "number"), "processes": [HOLDER], "names": [NAMED]},
)  # fmt: skip
def by_process(look: Look, asked: ByProcess) -> Found:
    """Who holds the memory: a process, many of one name, files in memory, or the kernel."""
    host = look.host
    found = processes(host)
    numbers = amounts(host)
    if not found or not numbers.get("total"):
        raise NotFound("memory")
    largest = sorted(found.values(), key=lambda one: -one.memory)
    swap = {one.pid: swapped(host, one.pid) for one in largest[:MAX_SWAP_LOOKS]} if numbers["swap_total"] else {}
    first = sorted(largest, key=lambda one: -(one.memory + swap.get(one.pid, 0)))[: asked.count]
    rows = [{**row(host, found, one), "memory": one.memory, "swap": swap.get(one.pid, 0)} for one in first]
    names = by_name(found)
    listed = [{"name": name, "count": len(ones), "memory": total_of(ones)} for name, ones in names[: asked.count]]
    data: dict[str, object] = {**numbers, "processes": rows, "names": listed}
    return _cause(look, found, numbers, names, data)


def _cause(
    look: Look,
    found: dict[int, Process],
    numbers: dict[str, int],
    names: list[tuple[str, list[Process]]],
    data: dict[str, object],
) -> Found:
    total = numbers["total"]
    one = max(found.values(), key=lambda each: each.memory)
    name, ones = names[0]
    shares = {
        ONE: one.memory,
        CROWD: total_of(ones) if len(ones) > 1 and total_of(ones) > 2 * one.memory else 0,
        SHARED: numbers["shared"],
        KERNEL: numbers["slab"],
        HUGE: numbers["huge"],
    }
    text = max(shares, key=lambda each: shares[each])
    if shares[text] < LARGE * total:
        text = SPREAD
    values: dict[str, str | float] = {
        "size": size(shares.get(text, one.memory)),
        "total": size(total),
        "available": size(numbers["available"]),
        "name": name if text == CROWD else one.name,
        "count": len(ones),
        "pid": one.pid,
        "command": shown(look.host, one, 80),
        "parent": starter(found, min(ones, key=lambda each: each.started) if text == CROWD else one) or "?",
        "since": moment(one.started, look.now),
    }
    return Found(text, values, data)


def by_name(found: dict[int, Process]) -> list[tuple[str, list[Process]]]:
    """Return the processes of each name, those that together hold most first."""
    names: dict[str, list[Process]] = {}
    for one in found.values():
        names.setdefault(one.name, []).append(one)
    return sorted(names.items(), key=lambda pair: -total_of(pair[1]))


def total_of(ones: list[Process]) -> int:
    """Return the memory that they hold; what they share is counted for each."""
    return sum(one.memory for one in ones)


def amounts(host: Host) -> dict[str, int]:
    """Return what /proc/meminfo, or psutil, tells in bytes."""
    lines = (line.split() for line in (read_attribute(host.proc + "/meminfo") or "").splitlines())
    told = {words[0].rstrip(":"): int(words[1]) for words in lines if len(words) > 1 and words[1].isdecimal()}
    if not told:
        return _by_psutil()
    return {
        "total": told.get("MemTotal", 0) * 1024,
        "available": told.get("MemAvailable", told.get("MemFree", 0)) * 1024,
        "swap_total": told.get("SwapTotal", 0) * 1024,
        "swap_free": told.get("SwapFree", 0) * 1024,
        "shared": told.get("Shmem", 0) * 1024,
        "slab": told.get("SUnreclaim", 0) * 1024,
        "huge": told.get("HugePages_Total", 0) * told.get("Hugepagesize", 0) * 1024,
    }


def _by_psutil() -> dict[str, int]:
    import psutil

    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    return {
        "total": memory.total, "available": memory.available, "swap_total": swap.total, "swap_free": swap.free,
        "shared": 0, "slab": 0, "huge": 0,
    }  # fmt: skip
