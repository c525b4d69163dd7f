"""Load averages of macOS. Windows has none, and psutil's imitation costs a thread."""

from __future__ import annotations

import os

from agent.probes import NoData, probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host


@probe("load")
def load(_host: Host) -> Iterator[tuple[str, float]]:
    """getloadavg(3).

    Metrics:
        node_load1 (gauge): 1m load average.
        node_load5 (gauge): 5m load average.
        node_load15 (gauge): 15m load average.
    """
    if not hasattr(os, "getloadavg"):
        raise NoData("getloadavg")
    for minutes, value in zip((1, 5, 15), os.getloadavg(), strict=True):
        yield f"node_load{minutes}", value
