"""Processor time, and the other counters of /proc/stat."""

from __future__ import annotations

from agent.probes import probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host

MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
HERTZ = 100  # USER_HZ, the unit of /proc/stat, on every architecture that Linux runs on
IDLE = 3
PLUGGED_IN_AGAIN = 3 * HERTZ  # an idle time that falls by more is a processor that was taken out
COUNTERS = {
    "ctxt": "node_context_switches_total",
    "btime": "node_boot_time_seconds",
    "processes": "node_forks_total",
    "procs_running": "node_procs_running",
    "procs_blocked": "node_procs_blocked",
    "intr": "node_intr_total",
}


@probe("cpu", blocks=False)
def cpu(host: Host) -> Iterator[tuple[str, float]]:
    """/proc/stat.

    Metrics:
        node_cpu_seconds_total (counter): Seconds the CPUs spent in each mode.
        node_cpu_guest_seconds_total (counter): Seconds the CPUs spent in guests (VMs) for each mode.
        node_boot_time_seconds (gauge): Node boot time, in unixtime.
        node_context_switches_total (counter): Total number of context switches.
        node_forks_total (counter): Total number of forks.
        node_intr_total (counter): Total number of interrupts serviced.
        node_procs_blocked (gauge): Number of processes blocked waiting for I/O to complete.
        node_procs_running (gauge): Number of processes in runnable state.
    """
    for line in host.read_proc("stat").split("\n"):
        if line.startswith("cpu"):
            fields = line.split()
            if fields[0] != "cpu":
                yield from _one(host, fields[0][3:], [int(field) for field in fields[1:]])
            continue
        key, _, rest = line.partition(" ")
        if key in COUNTERS:
            yield COUNTERS[key], float(rest.partition(" ")[0])


def _one(host: Host, number: str, ticks: list[int]) -> Iterator[tuple[str, float]]:
    """The kernel's idle and iowait times fall back a little now and then; a counter that falls would mean a restart."""
    key = "cpu." + number
    last = host.memory.get(key)
    if isinstance(last, list) and len(last) == len(ticks) and last[IDLE] - ticks[IDLE] < PLUGGED_IN_AGAIN:
        ticks = list(map(max, last, ticks))
    host.memory[key] = ticks
    for mode, value in zip(MODES, ticks, strict=False):
        yield f'node_cpu_seconds_total{{cpu="{number}",mode="{mode}"}}', value / HERTZ
    for mode, value in zip(("user", "nice"), ticks[8:10], strict=False):
        yield f'node_cpu_guest_seconds_total{{cpu="{number}",mode="{mode}"}}', value / HERTZ
