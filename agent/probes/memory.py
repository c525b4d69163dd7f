"""Memory and swap of /proc/meminfo, every field of it."""

from __future__ import annotations

from agent.probes import probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host


@probe("memory", blocks=False)
def memory(host: Host) -> Iterator[tuple[str, float]]:
    """/proc/meminfo.

    Metrics:
        node_memory_* (gauge): Memory information field of the same name.
    """
    for line in host.read_proc("meminfo").split("\n"):
        fields = line.split()
        if len(fields) < 2:
            continue
        name = fields[0].rstrip(":").replace("(", "_").replace(")", "")
        if len(fields) == 2:
            yield "node_memory_" + name, float(fields[1])
        else:  # the unit, always kB
            yield f"node_memory_{name}_bytes", float(fields[1]) * 1024
