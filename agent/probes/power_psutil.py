"""The battery of a notebook, where there is no /sys."""

from __future__ import annotations

from agent.probes import NoData, probe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host


@probe("power")
def power(_host: Host) -> Iterator[tuple[str, float]]:
    """Charge, and whether mains power is there.

    Metrics:
        node_power_supply_* (gauge): Value of the name.
    """
    import psutil  # where it is used: Linux does without

    ask = getattr(psutil, "sensors_battery", None)  # not on every system
    battery = ask() if ask is not None else None
    if battery is None:
        raise NoData("battery")
    yield 'node_power_supply_capacity{power_supply="battery"}', float(battery.percent)
    if battery.power_plugged is not None:
        yield 'node_power_supply_online{power_supply="mains"}', float(battery.power_plugged)
    if battery.secsleft > 0:  # negative: unknown, or no end in sight
        yield 'node_power_supply_time_to_empty_seconds{power_supply="battery"}', float(battery.secsleft)
