"""Temperature zones of the board, and what cools them."""

from __future__ import annotations

from agent.probes import NoData, probe
from agent.probes.host import list_directory, read_attribute, read_number
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host


@probe("thermal")
def thermal(host: Host) -> Iterator[tuple[str, float]]:
    """/sys/class/thermal.

    Metrics:
        node_thermal_zone_temp (gauge): Zone temperature in Celsius.
        node_cooling_device_cur_state (gauge): Current throttle state of the cooling device.
        node_cooling_device_max_state (gauge): Maximum throttle state of the cooling device.
    """
    folder = host.sys + "/class/thermal"
    names = list_directory(folder)
    if not names:
        raise NoData(folder)
    for name in names:
        kind = read_attribute(f"{folder}/{name}/type") or ""
        if name.startswith("thermal_zone"):
            millidegrees = read_number(f"{folder}/{name}/temp")  # some cannot be read while their chip sleeps
            if millidegrees is not None:
                label = labels(type=kind, zone=name[len("thermal_zone") :])
                yield "node_thermal_zone_temp" + label, millidegrees / 1000
        elif name.startswith("cooling_device"):
            label = labels(name=name[len("cooling_device") :], type=kind)
            for state in ("cur_state", "max_state"):
                value = read_number(f"{folder}/{name}/{state}")
                if value is not None:
                    yield f"node_cooling_device_{state}{label}", value
