"""Running one diagnosis in a process of its own, which cannot write a file, and is ended with all that it started.

The limits are the kernel's: time, processor, memory, and a size of zero for files that are written, which hold for the
programs that the function starts, too.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from agent import child
from agent.child import Child
from agent.diagnosis.catalogue import Diagnosis, Look
from agent.diagnosis.errors import NotFound, Refusal
from agent.diagnosis.output import OutputError, finished
from agent.errors import AgentError
from agent.heavy.tools import Task, run
from agent.probes import NoData
from agent.probes.host import Host
from agent.redact import redact

MAX_MEMORY = 512 << 20  # of address space, beside what the process has at its start
MAX_FILES = 512
MAX_KEPT = 16 << 10  # characters of what a function wants to know next time
GRACE = 2.0  # seconds after its cap until it is ended
FAILURES = (
    *(OSError, LookupError, ValueError, TypeError, AttributeError, MemoryError, OutputError),
    RuntimeError,  # no further thread can be had
)


def examine(diagnosis: Diagnosis, asked: object, look: Look) -> dict[str, Any]:
    """Run it in this process, and return the members of its result.

    Raises:
        NotFound: there is nothing of its kind here.
        OutputError: it gave what it does not declare.
    """
    return finished(diagnosis, diagnosis.function(look, asked))


def told(diagnosis: Diagnosis, asked: object, options: Mapping[str, str], memory: dict[str, object]) -> dict[str, Any]:
    """Run it, and return {"result", "memory"}, {"none": what was looked for} or {"failed": why}."""
    command = functools.partial(run, own_group=False)
    task = Task(Host(options=options), options, time.time(), memory, command)
    try:
        result = examine(diagnosis, asked, Look(task, time.monotonic() + diagnosis.seconds))
    except (NotFound, NoData) as error:
        return {"none": redact(str(error), 300)}
    except FAILURES as error:
        return {"failed": redact(f"{type(error).__name__}: {error}", 300)}
    kept = task.memory if len(json.dumps(task.memory)) <= MAX_KEPT else {}
    return {"result": result, "memory": kept}


def begin(diagnosis: Diagnosis, asked: object, options: Mapping[str, str], memory: dict[str, object]) -> Child:
    """Start it; what the process writes is the JSON of `told`.

    Raises:
        OSError: no process can be had.
    """
    if sys.platform == "win32":
        given = json.dumps({"options": dict(options), "memory": memory, "arguments": _given(asked)})
        return child.start(["diagnosis-worker", diagnosis.name, given])
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    pid = os.fork()
    if pid == 0:
        _in_the_child(write_end, diagnosis, asked, options, memory)
    os.close(write_end)
    return Child(pid, read_end)


def _in_the_child(
    out: int, diagnosis: Diagnosis, asked: object, options: Mapping[str, str], memory: dict[str, object]
) -> None:
    """Run it and end, whatever happens: nothing of the process that this one was copied from may go on here."""
    try:
        os.setpgid(0, 0)
        for file in range(3, 256):
            if file != out:
                _close(file)
        bound(diagnosis.seconds, diagnosis.scratch)
        _write(out, json.dumps(told(diagnosis, asked, options, memory)).encode())
    finally:
        os._exit(0)


def _close(file: int) -> None:
    try:
        os.close(file)
    except OSError:
        return


def bound(seconds: float, scratch: int) -> None:
    """Limit what this process and those that it starts may take and do."""
    if sys.platform == "win32":
        return
    import resource
    import signal

    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(int(seconds + GRACE) + 1)
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (scratch, scratch))
    resource.setrlimit(resource.RLIMIT_NOFILE, (MAX_FILES, MAX_FILES))
    os.nice(5)
    if sys.platform == "linux":
        most = MAX_MEMORY + _address_space()
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        _be_first_to_go()


def _address_space() -> int:
    """Return the bytes that this process has already: who starts a thread that gets no stack waits for ever."""
    try:
        with open("/proc/self/statm", "rb", buffering=0) as file:
            return int(file.read(64).split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _be_first_to_go() -> None:
    """When the service's memory runs out, it is the diagnosis that the kernel ends, not the agent."""
    try:
        file = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    except OSError:
        return
    _write(file, b"1000")
    os.close(file)


def _write(file: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]


def _given(asked: Any) -> dict[str, object]:
    return {name: getattr(asked, name) for name in type(asked).__slots__}


def worker(words: list[str]) -> int:
    """The process of a diagnosis where there is no fork: `diagnosis-worker NAME JSON`."""
    from agent.diagnosis.request import find

    try:
        said = json.loads(words[1])
        diagnosis, asked = find(words[0], said["arguments"])
    except (Refusal, NotFound, AgentError, ValueError, KeyError, IndexError) as error:
        sys.stdout.write(json.dumps({"failed": str(error)[:300]}))
        return 1
    sys.stdout.write(json.dumps(told(diagnosis, asked, said["options"], said["memory"])))
    return 0
