"""How many processes there are, where there is no /proc."""

from __future__ import annotations

from agent.probes import probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host


@probe("processes")
def processes(_host: Host) -> Iterator[tuple[str, float]]:
    """Their number; states and threads would have to be asked of each, which takes long.

    Metrics:
        node_processes_pids (gauge): Number of PIDs.
    """
    import psutil  # where it is used: Linux does without

    yield "node_processes_pids", float(len(psutil.pids()))
