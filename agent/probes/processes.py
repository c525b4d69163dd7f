"""How many processes and threads there are, and in which state."""

from __future__ import annotations

import os

from agent.probes import probe
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host

STATES = dict.fromkeys("RSDTtZI")  # absent ones have no value, and a column all the same: they come and go
MANY = 1_000  # with so many, a scan costs milliseconds: they are counted less often
MANY_READINGS = 6
COMM = 15


@probe("processes", blocks=False)
def processes(host: Host) -> Iterator[tuple[str, float]]:
    """/proc/<pid>/stat of every process.

    Metrics:
        node_processes_pids (gauge): Number of PIDs.
        node_processes_state (gauge): Number of processes in each state.
        node_processes_threads (gauge): Allocated threads in system.
        node_processes_max_threads (gauge): Limit of threads in the system.
        node_processes_max_processes (gauge): Number of max PIDs limit.
        watchdesk_process_count (gauge): Processes of a name that the configuration has watched.
    """
    known = host.memory.get("processes")
    watched = [name.strip() for name in host.options.get("watch.processes", "").split(",") if name.strip()]
    if not isinstance(known, tuple) or known[0] <= 0:
        # The kernel keeps 15 bytes of a name.
        found: dict[bytes, list[str]] = {name.encode()[:COMM]: [] for name in watched}
        pids, threads, states = _scan(host.proc, found)
        host.memory["processes.watched"] = {name: found[name.encode()[:COMM]] for name in watched}
        known = (MANY_READINGS if pids > MANY else 1, pids, threads, states)
    host.memory["processes"] = (known[0] - 1, *known[1:])
    for name, ones in host.memory["processes.watched"].items():  # type: ignore[attr-defined]
        yield "watchdesk_process_count" + labels(name=name), float(len(ones))
    yield "node_processes_pids", float(known[1])
    yield "node_processes_threads", float(known[2])
    for state in {**STATES, **known[3]}:
        yield f'node_processes_state{{state="{state}"}}', float(known[3].get(state, "nan"))
    yield "node_processes_max_threads", float(host.read_proc("sys/kernel/threads-max"))
    yield "node_processes_max_processes", float(host.read_proc("sys/kernel/pid_max"))


def _scan(proc: str, watched: dict[bytes, list[str]]) -> tuple[int, int, dict[str, int]]:
    """Return the number of processes, of threads, and of processes by state; note those of the watched names."""
    pids = threads = 0
    states: dict[str, int] = {}
    for name in os.listdir(proc):
        if not name.isdigit():
            continue
        try:
            file = os.open(f"{proc}/{name}/stat", os.O_RDONLY)
        except OSError:  # it has ended meanwhile
            continue
        try:
            line = os.read(file, 2_048)
        except OSError:
            continue
        finally:
            os.close(file)
        # The name in parentheses may hold anything, parentheses too: what follows the last one is to be trusted.
        end = line.rfind(b")")
        fields = line[end + 2 :].split(None, 18)
        if len(fields) < 18:
            continue
        if watched and (command := line[line.find(b"(") + 1 : end]) in watched:
            watched[command].append(name)
        pids += 1
        threads += int(fields[17])
        state = fields[0].decode("ascii", "replace")
        states[state] = states.get(state, 0) + 1
    return pids, threads, states
