"""Processor time and boot time where there is no /proc."""

from __future__ import annotations

from agent.probes import probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host
# psutil's name → node_exporter's
MODES = {
    "user": "user",
    "nice": "nice",
    "system": "system",
    "idle": "idle",
    "iowait": "iowait",
    "irq": "irq",
    "interrupt": "irq",
    "softirq": "softirq",
    "dpc": "softirq",
    "steal": "steal",
}


@probe("cpu")
def cpu(_host: Host) -> Iterator[tuple[str, float]]:
    """Windows: interrupts and deferred calls are part of "system" there, and are taken out of it.

    Metrics:
        node_cpu_seconds_total (counter): Seconds the CPUs spent in each mode.
        node_boot_time_seconds (gauge): Node boot time, in unixtime.
        node_context_switches_total (counter): Total number of context switches.
        node_intr_total (counter): Total number of interrupts serviced.
    """
    import psutil  # where it is used: Linux does without

    for number, times in enumerate(psutil.cpu_times(percpu=True)):
        modes = dict.fromkeys(("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"), 0.0)
        for field, mode in MODES.items():
            modes[mode] += getattr(times, field, 0.0)
        if hasattr(times, "interrupt"):
            modes["system"] = max(0.0, modes["system"] - modes["irq"] - modes["softirq"])
        for mode, seconds in modes.items():
            yield f'node_cpu_seconds_total{{cpu="{number}",mode="{mode}"}}', seconds
    stats = psutil.cpu_stats()
    yield "node_context_switches_total", float(stats.ctx_switches)
    yield "node_intr_total", float(stats.interrupts)
    yield "node_boot_time_seconds", float(psutil.boot_time())
