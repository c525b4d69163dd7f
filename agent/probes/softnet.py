"""Packets that the processors took from the network cards, and those they did not get to."""

from __future__ import annotations

from agent.probes import probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host


@probe("softnet", blocks=False)
def softnet(host: Host) -> Iterator[tuple[str, float]]:
    """/proc/net/softnet_stat.

    Metrics:
        node_softnet_processed_total (counter): Number of processed packets.
        node_softnet_dropped_total (counter): Number of dropped packets.
        node_softnet_times_squeezed_total (counter): Number of times processing packets ran out of quota.
    """
    for number, line in enumerate(host.read_proc("net/softnet_stat").splitlines()):
        processed, dropped, squeezed = (int(field, 16) for field in line.split()[:3])
        label = f'{{cpu="{number}"}}'
        yield "node_softnet_processed_total" + label, float(processed)
        yield "node_softnet_dropped_total" + label, float(dropped)
        yield "node_softnet_times_squeezed_total" + label, float(squeezed)
