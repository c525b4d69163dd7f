"""Network interfaces where there is no /proc."""

from __future__ import annotations

from agent.probes import probe
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host
LOOPBACK = ("lo", "lo0", "Loopback Pseudo-Interface 1")
FIELDS = (
    ("bytes_recv", "receive_bytes_total"),
    ("bytes_sent", "transmit_bytes_total"),
    ("packets_recv", "receive_packets_total"),
    ("packets_sent", "transmit_packets_total"),
    ("errin", "receive_errs_total"),
    ("errout", "transmit_errs_total"),
    ("dropin", "receive_drop_total"),
    ("dropout", "transmit_drop_total"),
)


@probe("network")
def network(_host: Host) -> Iterator[tuple[str, float]]:
    """Counters, state, speed and MTU of each interface.

    Metrics:
        node_network_receive_* (counter): Network device statistic of the same name.
        node_network_transmit_* (counter): Network device statistic of the same name.
        node_network_up (gauge): Value is 1 if operstate is 'up', 0 otherwise.
        node_network_speed_bytes (gauge): Network device property: speed_bytes
        node_network_mtu_bytes (gauge): Network device property: mtu_bytes
    """
    import psutil  # where it is used: Linux does without

    for device, counters in psutil.net_io_counters(pernic=True, nowrap=True).items():
        if device not in LOOPBACK:
            label = labels(device=device)
            for field, name in FIELDS:
                yield f"node_network_{name}{label}", float(getattr(counters, field))
    for device, state in psutil.net_if_stats().items():
        label = labels(device=device)
        yield "node_network_up" + label, float(state.isup)
        yield "node_network_mtu_bytes" + label, float(state.mtu)
        if state.speed:  # Mbit/s; 0 is unknown
            yield "node_network_speed_bytes" + label, state.speed * 1_000_000 / 8
