"""Batteries and mains."""

from __future__ import annotations

from agent.probes import NoData, probe
from agent.probes.host import list_directory, read_attribute
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host
PLAIN = "authentic calibrate capacity capacity_alert_max capacity_alert_min online present".split()
MICRO = (
    "current_boot current_max energy_empty energy_empty_design energy_full energy_full_design voltage_boot "
    "voltage_max voltage_max_design voltage_min voltage_min_design voltage_ocv charge_control_limit "
    "charge_control_limit_max charge_counter charge_empty charge_empty_design charge_full charge_full_design "
    "charge_term_current constant_charge_current constant_charge_current_max constant_charge_voltage "
    "constant_charge_voltage_max precharge_current input_current_limit"
).split()
TENTHS = "temp_alert_max temp_alert_min temp_ambient temp_ambient_max temp_ambient_min temp_max temp_min temp".split()
# file → name after node_power_supply_, divisor
RENAMED = {
    "cycle_count": ("cyclecount", 1.0),
    "time_to_empty_now": ("time_to_empty_seconds", 1.0),
    "time_to_full_now": ("time_to_full_seconds", 1.0),
    "current_now": ("current_ampere", 1e6),
    "energy_now": ("energy_watthour", 1e6),
    "voltage_now": ("voltage_volt", 1e6),
    "charge_now": ("charge_ampere", 1e6),
    "power_now": ("power_watt", 1e6),
}
FILES = {
    **dict.fromkeys(PLAIN, ("", 1.0)),
    **dict.fromkeys(MICRO, ("", 1e6)),
    **{name: (name + "_celsius", 10.0) for name in TENTHS},
    **RENAMED,
}
TEXTS = (
    "capacity_level charge_type health manufacturer model_name scope serial_number status technology type usb_type"
).split()


@probe("power")
def power(host: Host) -> Iterator[tuple[str, float]]:
    """/sys/class/power_supply.

    Metrics:
        node_power_supply_info (gauge): Info of /sys/class/power_supply/<power_supply>.
        node_power_supply_* (gauge): Value of the name of /sys/class/power_supply/<power_supply>.
    """
    folder = host.sys + "/class/power_supply"
    supplies = list_directory(folder)
    if not supplies:
        raise NoData(folder)
    for supply in supplies:
        present = set(list_directory(f"{folder}/{supply}"))
        label = labels(power_supply=supply)
        for file in FILES.keys() & present:
            name, divisor = FILES[file]
            text = read_attribute(f"{folder}/{supply}/{file}")
            if text and text.lstrip("-").isdigit():
                yield f"node_power_supply_{name or file}{label}", int(text) / divisor
        if not host.allows("serials"):
            present.discard("serial_number")
        texts = {file: read_attribute(f"{folder}/{supply}/{file}") or "" for file in TEXTS if file in present}
        yield "node_power_supply_info" + labels(power_supply=supply, **texts), 1.0
