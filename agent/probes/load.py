"""Load averages."""

from __future__ import annotations

from agent.probes import probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host


@probe("load", blocks=False)
def load(host: Host) -> Iterator[tuple[str, float]]:
    """/proc/loadavg.

    Metrics:
        node_load1 (gauge): 1m load average.
        node_load5 (gauge): 5m load average.
        node_load15 (gauge): 15m load average.
    """
    one, five, fifteen = host.read_proc("loadavg").split()[:3]
    yield "node_load1", float(one)
    yield "node_load5", float(five)
    yield "node_load15", float(fifteen)
