"""How long processes waited for processor, memory and disk (pressure stall information)."""

from __future__ import annotations

import errno

from agent.probes import NoData, probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host


@probe("pressure", blocks=False)
def pressure(host: Host) -> Iterator[tuple[str, float]]:
    """/proc/pressure.

    Metrics:
        node_pressure_cpu_waiting_seconds_total (counter): Total time in seconds that processes have waited for CPU time
        node_pressure_io_waiting_seconds_total (counter): Seconds that processes have waited due to IO congestion.
        node_pressure_io_stalled_seconds_total (counter): Seconds no process could make progress due to IO congestion.
        node_pressure_memory_waiting_seconds_total (counter): Seconds that processes have waited for memory.
        node_pressure_memory_stalled_seconds_total (counter): Seconds no process could make progress for want of memory.
    """
    for resource in ("cpu", "io", "memory"):
        try:
            text = host.read_proc("pressure/" + resource)
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP:  # compiled in, switched off with psi=0
                raise NoData("psi") from None
            raise
        for line in text.splitlines():
            kind, _, fields = line.partition(" ")
            total = int(fields.rpartition("total=")[2]) / 1_000_000
            if kind == "some":
                yield f"node_pressure_{resource}_waiting_seconds_total", total
            elif resource != "cpu":  # of the CPU it is always 0 for the whole system
                yield f"node_pressure_{resource}_stalled_seconds_total", total
