"""Paging, swapping, faults and kills for want of memory, of /proc/vmstat."""

from __future__ import annotations

from agent.probes import probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host


@probe("vmstat", blocks=False)
def vmstat(host: Host) -> Iterator[tuple[str, float]]:
    """/proc/vmstat, the fields that matter: oom_kill…, pgpg…, pswp…, pg…fault….

    Metrics:
        node_vmstat_* (untyped): /proc/vmstat information field of the same name.
    """
    for line in host.read_proc("vmstat").split("\n"):
        if line.startswith(("oom_kill", "pgpg", "pswp")) or (line.startswith("pg") and "fault" in line):
            name, _, value = line.partition(" ")
            yield "node_vmstat_" + name, float(value)
