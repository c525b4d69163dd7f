"""The catalogue of diagnoses: every function that can be asked for, and nothing else.

A family is a module of this folder and a line in FAMILIES with what is in it; a diagnosis is a function there:

    FILLS = "%(path)s holds %(size)s of the %(total)s that are used on %(mount)s"

    @diagnosis(
        "disk.top_dirs", TopDirectories, privacy="names", cost="heavy", seconds=20, output=OUTPUT, findings=(FILLS,)
    )
    def top_directories(look: Look, asked: TopDirectories) -> Found:
        '''What fills a file system: its largest directories.'''

The first line of the docstring is what people read. The function reads; it never changes anything on the machine, and
what it takes is bounded by its caps, which the process around it enforces (agent/diagnosis/worker.py). The modules of
all families can be loaded on every system; what belongs to one system is imported inside the functions.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from agent.diagnosis.arguments import NoArguments, spec
from agent.heavy.tools import Task

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "container": ("container.state",),
    "desk": ("power.battery", "print.queue"),
    "disk": ("disk.top_dirs", "disk.deleted_open"),
    "disk_health": ("disk.health",),
    "log": ("log.around", "login.failures"),
    "memory": ("memory.by_process",),
    "mount": ("mount.check",),
    "net_capture": ("net.capture",),
    "net_dns": ("net.dns",),
    "net_link": ("net.interface", "net.wifi"),
    "net_path": ("net.ping", "net.mtu", "net.traceroute"),
    "net_sockets": ("net.port_holder", "net.sockets"),
    "net_tls": ("net.tls", "cert.chain", "net.http"),
    "net_way": ("net.route", "net.tcp"),
    "process": ("process.top", "process.tree"),
    "service": ("service.status",),
    "time_sync": ("time.sync",),
    "upkeep": ("updates.pending", "changes.recent"),
}
SYSTEMS = ("linux", "windows", "macos")
HERE = {"win32": "windows", "darwin": "macos"}.get(sys.platform, "linux")
MAX_SECONDS = 120.0
MAX_BYTES = 256 << 10

Privacy = Literal["health", "names", "content"]
Cost = Literal["light", "heavy"]
CLASSES: tuple[Privacy, ...] = ("health", "names", "content")


class Look(Task):
    """What a function is given: `host`, `command`, `options` (of agent.conf), `now`, `memory`, and how long it has.

    `memory` is what the function left the last time (a JSON object of at most 16 KB), such as the sizes of then.
    `deadline` is by time.monotonic(): a function that ends before it and says `truncated` is of more use than one that
    is ended.
    """

    __slots__ = ("deadline",)

    def __init__(self, task: Task, deadline: float) -> None:
        super().__init__(task.host, task.options, task.now, task.memory, task.command)
        self.deadline = deadline


@dataclass(frozen=True, slots=True)
class Found:
    """What a function found: a sentence of its `findings` with its values, which names the cause, and the data."""

    sentence: str
    values: Mapping[str, str | float] = field(default_factory=dict)
    data: Mapping[str, object] = field(default_factory=dict)
    truncated: bool = False


Function = Callable[[Look, Any], Found]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """An entry of the catalogue."""

    name: str
    function: Function
    arguments: type
    output: Mapping[str, object]
    findings: tuple[str, ...]
    privacy: Privacy
    cost: Cost
    seconds: float
    bytes: int
    systems: tuple[str, ...]
    raised: Mapping[str, Privacy]
    scratch: int = 0

    def privacy_of(self, asked: object) -> Privacy:
        """Return the class that these very arguments need: some ask for more than the function by itself."""
        needed = [self.privacy, *(level for name, level in self.raised.items() if getattr(asked, name))]
        return max(needed, key=CLASSES.index)

    def describe(self) -> dict[str, object]:
        """Return the entry as the collector keeps it."""
        return {
            "name": self.name,
            "summary": (self.function.__doc__ or "").strip().split("\n")[0],
            "privacy": self.privacy,
            "raised": dict(self.raised),
            "cost": self.cost,
            "seconds": self.seconds,
            "bytes": self.bytes,
            "systems": list(self.systems),
            "arguments": spec(self.arguments),
            "output": self.output,
            "findings": list(self.findings),
        }


_KNOWN: dict[str, Diagnosis] = {}


def diagnosis(
    name: str,
    arguments: type = NoArguments,
    *,
    privacy: Privacy,
    output: Mapping[str, object],
    findings: tuple[str, ...],
    cost: Cost = "light",
    seconds: float = 10.0,
    bytes: int = 64 << 10,  # noqa: A002
    systems: tuple[str, ...] = SYSTEMS,
    raised: Mapping[str, Privacy] | None = None,
    scratch: int = 0,
) -> Callable[[Function], Function]:
    """Register a function.

    `output` is the shape of its data, see agent/diagnosis/output.py. `findings` are the sentences that it may give,
    with %(name)s places. `scratch` is how long a file may become that a program which it starts writes: nothing, unless
    that program cannot do without a temporary one. `raised` names arguments that, when they are set, need a higher
    privacy class.
    """

    def register(function: Function) -> Function:
        if name in _KNOWN or seconds > MAX_SECONDS or bytes > MAX_BYTES or not findings:
            raise ValueError(f"the diagnosis {name} is there already, or its caps are too high, or it has no findings")
        _KNOWN[name] = Diagnosis(
            name,
            function,
            arguments,
            output,
            findings,
            privacy,
            cost,
            float(seconds),
            bytes,
            systems,
            raised or {},
            scratch,
        )
        return function

    return register


def one(name: str) -> Diagnosis | None:
    """Return a diagnosis by its name, None if there is none; only its own family is loaded."""
    family = next((family for family, names in FAMILIES.items() if name in names), None)
    if family is not None:
        importlib.import_module(f"agent.diagnosis.{family}")
    return _KNOWN.get(name)


def catalogue() -> dict[str, Diagnosis]:
    """Return every diagnosis of every system, by name."""
    for family in FAMILIES:
        importlib.import_module(f"agent.diagnosis.{family}")
    return dict(sorted(_KNOWN.items()))
