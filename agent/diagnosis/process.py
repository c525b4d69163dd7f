"""process.*: who takes the processor, the memory or the disks, and who started it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from agent.diagnosis.arguments import choice, text, whole
from agent.diagnosis.catalogue import Found, diagnosis
from agent.diagnosis.errors import NotFound
from agent.diagnosis.processes import ancestors, processes, row, shown, starter
from agent.diagnosis.words import moment, size
from agent.probes.host import read_attribute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.diagnosis.catalogue import Look
    from agent.diagnosis.processes import Process
    from agent.probes.host import Host

LOOK = 1.0  # seconds between the two looks
BUSY = 20.0  # percent of a core that is worth a name
FULL = 80.0  # percent of all processors
STOLEN = 10.0  # percent of all processors
BUSY_IO = 1_000_000.0  # bytes a second
MAX_CHILDREN = 100

RUNAWAY = "%(command)s (pid %(pid)s), started by %(parent)s, uses %(percent)s%% of a core; it has run since %(since)s"
QUIET = "No process takes much of the processors; the first is %(name)s (pid %(pid)s) with %(percent)s%% of a core"
WAITING = "The processors wait for disks %(percent)s%% of the time; waiting: %(names)s"
STEAL = "The host of this virtual machine withholds %(percent)s%% of its processors' time"
MANY = "%(count)s processes %(name)s together use %(percent)s%% of a core; started by %(parent)s"
MEMORY = "%(command)s (pid %(pid)s), started by %(parent)s, holds %(size)s of memory; it has run since %(since)s"
IO = "%(command)s (pid %(pid)s), started by %(parent)s, moves %(size)s a second to and from disks"
NO_IO = "No process reads or writes much; the first is %(name)s (pid %(pid)s) with %(size)s a second"
IO_UNSEEN = (
    "The agent may see the disk traffic of %(seen)s of %(count)s processes alone; of these the first is %(name)s "
    "(pid %(pid)s) with %(size)s a second"
)
TREE = "%(command)s (pid %(pid)s) was started by %(parents)s; with %(count)s processes below it, it holds %(size)s"
GONE = "There is no process %(name)s"

SHAPE = {
    "pid": "number", "name": "name", "command": "text", "user": "name", "unit": "name", "state": "name",
    "started": "number", "threads": "number", "parents": ["name"], "percent": "number", "memory": "number",
    "io": "number",
}  # fmt: skip
CHILD = {"pid": "number", "parent": "number", "name": "name", "command": "text", "memory": "number"}
SHARES = {"busy": "number", "iowait": "number", "steal": "number"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Top:
    """By what to sort, and how many processes to tell."""

    sort: str = choice("cpu", "cpu", "memory", "io")
    count: int = whole(10, 1, 50)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A process by its number or its name."""

    pid: int = whole(0, 0, 4_194_304)
    name: str = text("", most=64)


class Taken:
    """What a process took between two looks: percent of a core, bytes a second."""

    __slots__ = ("io", "one", "percent")

    def __init__(self, one: Process, percent: float, io: float) -> None:
        self.one = one
        self.percent = percent
        self.io = io


@diagnosis(
    "process.top", Top, privacy="names", seconds=15,
    findings=(RUNAWAY, QUIET, WAITING, STEAL, MANY, MEMORY, IO, NO_IO, IO_UNSEEN),
    output={"sort": "name", "processes": [SHAPE], "count": "number", "processors": SHARES},
)  # fmt: skip
def top(look: Look, asked: Top) -> Found:
    """The processes that take most CPU, memory or disk traffic, with who started them."""
    host = look.host
    before, times, started = processes(host, io=True), _processors(host), time.monotonic()
    time.sleep(LOOK)
    after, seconds = processes(host, io=True), time.monotonic() - started
    shares = shares_of(times, _processors(host))
    taken = [_taken(before.get(pid), one, seconds) for pid, one in after.items()]
    taken.sort(key=_key(asked.sort), reverse=True)
    if not taken:
        raise NotFound("processes")
    rows = [
        {
            **row(host, after, each.one),
            "percent": round(each.percent, 1),
            "memory": each.one.memory,
            "io": round(each.io),
        }
        for each in taken[: asked.count]
    ]
    data: dict[str, object] = {"sort": asked.sort, "processes": rows, "count": len(after), "processors": shares}
    first = taken[0]
    values: dict[str, str | float] = {
        "command": shown(host, first.one, 80),
        "name": first.one.name,
        "pid": first.one.pid,
        "parent": starter(after, first.one) or "?",
        "percent": round(first.percent),
        "since": moment(first.one.started, look.now),
        "size": size(first.one.memory if asked.sort == "memory" else first.io),
    }
    if asked.sort == "memory":
        return Found(MEMORY, values, data)
    if asked.sort == "io":
        seen = sum(one.io >= 0 for one in after.values())
        values |= {"seen": seen, "count": len(after)}
        quiet = NO_IO if seen == len(after) else IO_UNSEEN
        return Found(IO if first.io >= BUSY_IO else quiet, values, data)
    return _of_cpu(values, data, taken, after, shares)


def _of_cpu(
    values: dict[str, str | float],
    data: dict[str, object],
    taken: list[Taken],
    after: dict[int, Process],
    shares: dict[str, float],
) -> Found:
    crowd = [each for each in taken if each.one.name == taken[0].one.name and each.percent >= 1]
    together = sum(each.percent for each in crowd)
    if taken[0].percent < BUSY and shares["steal"] >= STOLEN:
        return Found(STEAL, {"percent": round(shares["steal"])}, data)
    if taken[0].percent < BUSY and shares["iowait"] >= BUSY:
        stuck = [f"{each.one.name} ({each.one.pid})" for each in taken if each.one.state == "D"][:5]
        return Found(WAITING, {"percent": round(shares["iowait"]), "names": ", ".join(stuck) or "?"}, data)
    if len(crowd) > 2 and together >= max(BUSY, 2 * taken[0].percent):
        parent = starter(after, taken[0].one) or "?"
        return Found(
            MANY, {"count": len(crowd), "name": taken[0].one.name, "percent": round(together), "parent": parent}, data
        )
    # On a machine whose processors are all taken, the first is to be named even if it does not get much of them.
    is_half = shares["busy"] >= FULL and taken[0].percent >= sum(each.percent for each in taken) / 2
    return Found(RUNAWAY if taken[0].percent >= BUSY or is_half else QUIET, values, data)


def _key(sort: str):  # type: ignore[no-untyped-def]  # a key for list.sort
    if sort == "memory":
        return lambda each: each.one.memory
    return (lambda each: each.io) if sort == "io" else (lambda each: each.percent)


def _taken(old: Process | None, one: Process, seconds: float) -> Taken:
    """What it took since; the number may be another process's by now."""
    if old is None or old.name != one.name or abs(old.started - one.started) > 1:
        return Taken(one, 0.0, 0.0)
    return Taken(one, 100 * max(0.0, one.cpu - old.cpu) / seconds, max(0, one.io - old.io) / seconds)


def _processors(host: Host) -> list[int]:
    line = (read_attribute(host.proc + "/stat") or "").partition("\n")[0].split()
    return (
        [int(word) for word in line[1:9]] if line[:1] == ["cpu"] and all(word.isdecimal() for word in line[1:9]) else []
    )


def shares_of(before: list[int], after: list[int]) -> dict[str, float]:
    """Return how the time of all processors was spent between two lines `cpu` of /proc/stat, in percent."""
    moved = [max(0, new - old) for old, new in zip(before, after, strict=False)]
    whole = sum(moved)
    if len(moved) < 8 or not whole:
        return {"busy": 0.0, "iowait": 0.0, "steal": 0.0}
    busy = whole - moved[3] - moved[4]
    return {
        "busy": round(100 * busy / whole, 1),
        "iowait": round(100 * moved[4] / whole, 1),
        "steal": round(100 * moved[7] / whole, 1),
    }


@diagnosis(
    "process.tree", Tree, privacy="names", findings=(TREE, GONE),
    output={"process": SHAPE, "children": [CHILD]},
)  # fmt: skip
def tree(look: Look, asked: Tree) -> Found:
    """A process with those that started it and those it has started."""
    if not asked.pid and not asked.name:
        raise NotFound("a process: its number or its name is needed")
    found = processes(look.host)
    one = found.get(asked.pid) if asked.pid else _oldest(found, asked.name)
    if one is None:
        return Found(GONE, {"name": str(asked.pid) if asked.pid else asked.name}, {})
    below = descendants(found, one)
    rows = [
        {
            "pid": each.pid,
            "parent": each.parent,
            "name": each.name,
            "command": shown(look.host, each),
            "memory": each.memory,
        }
        for each in below[:MAX_CHILDREN]
    ]
    parents = " ← ".join(f"{each.name} ({each.pid})" for each in ancestors(found, one)) or "?"
    values: dict[str, str | float] = {
        "command": shown(look.host, one, 80),
        "pid": one.pid,
        "parents": parents,
        "count": len(below),
        "size": size(one.memory + sum(each.memory for each in below)),
    }
    whole = {**row(look.host, found, one), "memory": one.memory, "percent": 0.0, "io": 0.0}
    return Found(TREE, values, {"process": whole, "children": rows})


def _oldest(found: dict[int, Process], name: str) -> Process | None:
    """Return the process of a name that has run longest: its parent, where there are several."""
    named = [one for one in found.values() if name and one.name in (name, name[:15])]
    return min(named, key=lambda one: (one.started, one.pid), default=None)


def descendants(found: dict[int, Process], one: Process) -> list[Process]:
    """Return all that it has started, and what they have."""
    below: dict[int, list[Process]] = {}
    for each in found.values():
        below.setdefault(each.parent, []).append(each)
    out: list[Process] = []
    waiting, seen = [one.pid], {one.pid}
    while waiting:
        for child in below.get(waiting.pop(), ()):
            if child.pid not in seen:
                seen.add(child.pid)
                out.append(child)
                waiting.append(child.pid)
    return out
