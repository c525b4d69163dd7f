"""The clock, its time zone, and the kernel's clock sources."""

from __future__ import annotations

import time as clock

from agent.probes import NoData, probe
from agent.probes.host import list_directory, read_attribute
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host


@probe("time", blocks=False)
def time(host: Host) -> Iterator[tuple[str, float]]:
    """The system's clock.

    Metrics:
        node_time_seconds (gauge): System time in seconds since epoch (1970).
        node_time_zone_offset_seconds (gauge): System time zone offset in seconds.
        node_time_clocksource_available_info (gauge): Available clocksources of /sys/devices/system/clocksource.
        node_time_clocksource_current_info (gauge): Current clocksource of /sys/devices/system/clocksource.
    """
    now = host.clock()
    yield "node_time_seconds", now
    local = clock.localtime(now)
    yield "node_time_zone_offset_seconds" + labels(time_zone=local.tm_zone), float(local.tm_gmtoff)
    folder = host.sys + "/devices/system/clocksource"
    try:
        sources = [name for name in list_directory(folder) if name.startswith("clocksource")]
    except NoData:
        return
    for name in sources:
        device = name[len("clocksource") :]
        for source in (read_attribute(f"{folder}/{name}/available_clocksource") or "").split():
            label = labels(clocksource=source, device=device)
            yield "node_time_clocksource_available_info" + label, 1.0
        current = read_attribute(f"{folder}/{name}/current_clocksource")
        if current:
            label = labels(clocksource=current, device=device)
            yield "node_time_clocksource_current_info" + label, 1.0
