"""What the tests of diagnoses share: running one in this process, as the worker does."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.diagnosis import arguments
from agent.diagnosis.catalogue import Look, catalogue
from agent.diagnosis.worker import examine
from agent.heavy.tools import Task
from agent.probes.host import Host

if TYPE_CHECKING:
    from agent.heavy.tools import Command


def look(
    root: Path | None = None,
    *,
    command: "Command | None" = None,
    memory: dict[str, object] | None = None,
    now: float | None = None,
    seconds: float = 60.0,
    options: dict[str, str] | None = None,
) -> Look:
    """A look at this machine, or at one whose files lie below `root`."""
    if root is None:
        host = Host(options=options)
    else:
        host = Host(root=str(root), proc=str(root / "proc"), sys=str(root / "sys"), options=options)
    task = Task(host, options or {}, time.time() if now is None else now, memory, command)
    return Look(task, time.monotonic() + seconds)


def diagnose(name: str, at: Look | None = None, /, **given: object) -> dict[str, Any]:
    """Run a diagnosis; return the members of its result, checked and redacted as they would be sent."""
    entry = catalogue()[name]
    return examine(entry, arguments.read(entry.arguments, given), at or look())
