"""State of ZFS pools."""

from __future__ import annotations

from agent.probes import NoData, probe
from agent.probes.host import list_directory, read_attribute
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host

STATES = ("online", "degraded", "faulted", "offline", "removed", "unavail", "suspended")


@probe("zfs")
def zfs(host: Host) -> Iterator[tuple[str, float]]:
    """/proc/spl/kstat/zfs/<pool>/state.

    Metrics:
        node_zfs_zpool_state (gauge): kstat.zfs.misc.state
    """
    folder = host.proc + "/spl/kstat/zfs"
    found = False
    for pool in list_directory(folder):
        current = read_attribute(f"{folder}/{pool}/state")
        if current is None:  # a file, not a pool
            continue
        found = True
        for state in STATES:
            yield "node_zfs_zpool_state" + labels(state=state, zpool=pool), float(state == current.lower())
    if not found:
        raise NoData(folder)
