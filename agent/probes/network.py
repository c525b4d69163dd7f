"""Network interfaces: their counters of /proc/net/dev, their state of /sys/class/net."""

from __future__ import annotations

from agent.probes import NoData, probe
from agent.probes.host import list_directory, read_attribute
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host

RECEIVED = ("bytes", "packets", "errs", "drop", "fifo", "frame", "compressed", "multicast")
TRANSMITTED = ("bytes", "packets", "errs", "drop", "fifo", "colls", "carrier", "compressed")
# file of /sys/class/net/<device>, name after node_network_
MOVING = (
    ("carrier", "carrier"),
    ("carrier_changes", "carrier_changes_total"),
    ("carrier_up_count", "carrier_up_changes_total"),
    ("carrier_down_count", "carrier_down_changes_total"),
    ("dormant", "dormant"),
    ("flags", "flags"),
    ("mtu", "mtu_bytes"),
)
SETTLED = (
    ("addr_assign_type", "address_assign_type"),
    ("dev_id", "device_id"),
    ("ifindex", "iface_id"),
    ("iflink", "iface_link"),
    ("link_mode", "iface_link_mode"),
    ("name_assign_type", "name_assign_type"),
    ("netdev_group", "net_dev_group"),
    ("tx_queue_len", "transmit_queue_length"),
    ("type", "protocol_type"),
)
SETTLED_READINGS = 6  # what hardly ever changes is read once in so many readings


@probe("network")
def network(host: Host) -> Iterator[tuple[str, float]]:
    """/proc/net/dev (all but lo) and /sys/class/net.

    Metrics:
        node_network_receive_* (counter): Network device statistic of the same name.
        node_network_transmit_* (counter): Network device statistic of the same name.
        node_network_transmit_queue_length (gauge): Network device property: transmit_queue_length
        node_network_up (gauge): Value is 1 if operstate is 'up', 0 otherwise.
        node_network_info (gauge): Non-numeric data from /sys/class/net/<iface>, value is always 1.
        node_network_speed_bytes (gauge): Network device property: speed_bytes
        node_network_carrier_changes_total (counter): Network device property: carrier_changes_total
        node_network_carrier_up_changes_total (counter): Network device property: carrier_up_changes_total
        node_network_carrier_down_changes_total (counter): Network device property: carrier_down_changes_total
        node_network_* (gauge): Network device property of the same name.
    """
    folder = host.sys + "/class/net"
    for line in host.read_proc("net/dev").split("\n")[2:]:
        device, colon, rest = line.partition(":")
        device = device.strip()
        if not colon or device == "lo":
            continue
        label = labels(device=device)
        yield from _counters(rest.split(), label)
        without_handler = read_attribute(f"{folder}/{device}/statistics/rx_nohandler")
        if without_handler is not None:
            yield "node_network_receive_nohandler_total" + label, float(without_handler)
    try:
        devices = list_directory(folder)
    except NoData:
        return
    for device in devices:
        yield from _state(host, f"{folder}/{device}/", device)


def _counters(values: list[str], label: str) -> Iterator[tuple[str, float]]:
    for name, value in zip(RECEIVED, values, strict=False):
        yield f"node_network_receive_{name}_total{label}", float(value)
    for name, value in zip(TRANSMITTED, values[8:], strict=False):
        yield f"node_network_transmit_{name}_total{label}", float(value)


def _state(host: Host, folder: str, device: str) -> Iterator[tuple[str, float]]:
    state = read_attribute(folder + "operstate")
    if state is None:  # a file such as bonding_masters, or a device that has just gone
        return
    label = labels(device=device)
    yield "node_network_up" + label, float(state == "up")
    yield from _numbers(folder, MOVING, label)
    speed = read_attribute(folder + "speed")
    megabits = integer(speed) if speed else None
    if megabits is not None:  # unknown is -1, which node_exporter 1.5 passes on like this
        yield "node_network_speed_bytes" + label, megabits * 1_000_000 / 8
    key = "network." + device
    known = host.memory.get(key)
    if not isinstance(known, tuple) or known[0] <= 1:
        settled = list(_numbers(folder, SETTLED, label))
        names = ("address", "broadcast", "ifalias")
        told = host.allows("addresses")
        texts = {name: read_attribute(folder + name) or "" if told else "" for name in names}
        known = (SETTLED_READINGS + 1, settled, texts)
    host.memory[key] = (known[0] - 1, *known[1:])
    yield from known[1]
    duplex = read_attribute(folder + "duplex") or ""
    yield "node_network_info" + labels(device=device, duplex=duplex, operstate=state, **known[2]), 1.0


def _numbers(folder: str, files: tuple[tuple[str, str], ...], label: str) -> Iterator[tuple[str, float]]:
    for file, name in files:
        text = read_attribute(folder + file)
        number = integer(text) if text else None
        if number is not None:
            yield f"node_network_{name}{label}", number


def integer(text: str) -> float | None:
    """Return a number of /sys, decimal or 0x…; None if it is none, so that the others are told all the same."""
    try:
        return float(int(text, 0))
    except ValueError:
        return None
