"""Other machines on the wire, and bytes that wait in UDP sockets."""

from __future__ import annotations

from agent.probes import NoData, probe
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host


@probe("neighbours", blocks=False)
def neighbours(host: Host) -> Iterator[tuple[str, float]]:
    """/proc/net/arp, /proc/net/udp, /proc/net/udp6.

    Metrics:
        node_arp_entries (gauge): ARP entries by device.
        node_udp_queues (gauge): Number of allocated memory in the kernel for UDP datagrams in bytes.
    """
    entries: dict[str, int] = {}
    for line in host.read_proc("net/arp").splitlines()[1:]:
        device = line.split()[-1]
        entries[device] = entries.get(device, 0) + 1
    for device, count in entries.items():
        yield "node_arp_entries" + labels(device=device), float(count)
    for version, file in (("v4", "net/udp"), ("v6", "net/udp6")):
        try:
            lines = host.read_proc(file).splitlines()[1:]
        except NoData:
            continue
        queues = [line.split(None, 5)[4].partition(":") for line in lines]
        yield f'node_udp_queues{{ip="{version}",queue="tx"}}', float(sum(int(sent, 16) for sent, _, _ in queues))
        yield f'node_udp_queues{{ip="{version}",queue="rx"}}', float(sum(int(held, 16) for _, _, held in queues))
