"""Sockets in use, of /proc/net/sockstat and sockstat6."""

from __future__ import annotations

import os

from agent.probes import NoData, probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host


@probe("sockets", blocks=False)
def sockets(host: Host) -> Iterator[tuple[str, float]]:
    """/proc/net/sockstat, /proc/net/sockstat6.

    Metrics:
        node_sockstat_sockets_used (gauge): Number of IPv4 sockets in use.
        node_sockstat_* (gauge): Number of sockets of the protocol in the state.
    """
    text = host.read_proc("net/sockstat")
    try:
        text += host.read_proc("net/sockstat6")
    except NoData:  # IPv6 is switched off
        text += "\n"
    for line in text.split("\n"):
        protocol, _, rest = line.partition(":")
        fields = rest.split()
        for name, value in zip(fields[::2], fields[1::2], strict=True):
            yield f"node_sockstat_{protocol}_{name}", float(value)
            if name == "mem":
                yield f"node_sockstat_{protocol}_mem_bytes", float(value) * PAGE


PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4_096
