"""A heavy reading's own process: `watchdesk-agent errand NAME BUDGET [MEMORY]`, started by agent/errands.py."""

from __future__ import annotations

import json
import os
import sys
import time

from agent.errors import AgentError
from agent.events import Event
from agent.heavy import every_heavy
from agent.heavy.tools import Again, Inventory, Task
from agent.probes import NoData
from agent.probes.host import Host
from agent.state import parse, read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agent.heavy.tools import Found

MAX_ADDRESS_SPACE = 1 << 30
MAX_INVENTORY = 500_000


def errand(directory: str, config_file: str | None, words: Sequence[str]) -> int:
    """Read, and write what was found as lines; return the exit code."""
    name, budget = words[0], float(words[1])
    bound(budget)
    try:
        # Pairs are enough: the running agent has read the file with care, and would not have started us otherwise.
        path = config_file if config_file is not None else os.path.join(directory, "agent.conf")
        options = parse(read_file(path) or "")
        memory = json.loads(words[2]) if len(words) > 2 else {}
        task = Task(Host(options=options), options, time.time(), memory)
        write(reader(name)(task), task, before=json.dumps(memory))
    except (AgentError, ValueError) as error:
        sys.stdout.write(f"? {type(error).__name__}: {error}\n")
        return 1
    return 0


def bound(budget: float) -> None:
    """Limit what this process may take, for the case that nobody is left to end it."""
    if sys.platform == "win32":
        return
    import resource
    import signal

    signal.alarm(int(budget) + 5)
    resource.setrlimit(resource.RLIMIT_CPU, (int(budget) + 1, int(budget) + 2))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_SPACE, MAX_ADDRESS_SPACE))


def reader(name: str):  # type: ignore[no-untyped-def]  # the modules are found by name
    """Return the function of a heavy reading.

    Raises:
        ValueError: there is none of that name on this system.
    """
    known = every_heavy()
    if name not in known:
        raise ValueError(f"no reading {name}; there are: {', '.join(sorted(known))}")
    module = "agent.heavy." + known[name].module
    __import__(module)
    return sys.modules[module].read


def write(found: Iterable[Found], task: Task, before: str) -> None:
    """Write the lines that agent/errands.py reads; `before` is the memory as it was."""
    out: list[str] = []
    error = ""
    try:
        out.extend(line_of(one, task) for one in found)
    except NoData:
        out.append("")
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as raised:  # of others' output
        error = f"{type(raised).__name__}: {raised}".replace("\n", " ")
    if error:
        out = [f"? {error}"]
    memory = json.dumps(task.memory)
    if not error and memory != before:
        out.append("M " + memory)
    sys.stdout.flush()
    data = "".join(line + "\n" for line in out if line) + ("" if error else ".\n")
    left = memoryview(data.encode("utf-8", "replace"))
    while left:
        left = left[os.write(1, left) :]


def line_of(found: Found, task: Task) -> str:
    """Return what stands for a finding."""
    if isinstance(found, Event):
        members = found.members(task.now)
        return "! " + json.dumps(members)
    if isinstance(found, Inventory):
        return "I " + inventory_payload(found, task.now)
    if isinstance(found, Again):
        return f"W {found.seconds:g}"
    series, value = found
    return "= " + series.replace("\n", " ") + f" {float(value)!r}"


def inventory_payload(inventory: Inventory, now: float) -> str:
    """Return the event as JSON; parts that would make it too long are shortened, and told."""
    parts = dict(inventory.parts)
    while True:
        text = json.dumps(
            {"t": now, "type": "inventory", "source": "inventory", "level": "info", "text": "", "attributes": {},
             "data": parts}
        )  # fmt: skip
        if len(text) <= MAX_INVENTORY:
            return text
        longest = max(parts, key=lambda part: len(json.dumps(parts[part])))
        value = parts[longest]
        parts[longest] = value[: len(value) // 2] if isinstance(value, list) and len(value) > 1 else []
