"""Temperatures, fans, voltages, currents and powers of the sensor chips."""

from __future__ import annotations

import os

from agent.probes import probe
from agent.probes.host import list_directory, read_attribute
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host
TYPES = (
    "vrm",
    "beep_enable",
    "update_interval",
    "in",
    "cpu",
    "fan",
    "pwm",
    "temp",
    "curr",
    "power",
    "energy",
    "humidity",
    "intrusion",
)
# What changes is read each time; limits and labels once in so many readings, for a big server has hundreds of them.
MOVING = ("input", "average", "alarm", "fault", "")
SETTLED_READINGS = 12


@probe("hwmon")
def hwmon(host: Host) -> Iterator[tuple[str, float]]:
    """/sys/class/hwmon, in the names and units that node_exporter gives them.

    Metrics:
        node_hwmon_chip_names (gauge): Annotation metric for human-readable chip names.
        node_hwmon_sensor_label (gauge): Label for given chip and sensor.
        node_hwmon_*_joule_total (counter): Hardware monitor for joules used so far.
        node_hwmon_* (gauge): Hardware monitor value of the name.
    """
    for name in list_directory(host.sys + "/class/hwmon"):
        folder = f"{host.sys}/class/hwmon/{name}"
        if os.path.isdir(folder):
            yield from _chip(host, folder)


def _chip(host: Host, folder: str) -> Iterator[tuple[str, float]]:
    chip = _chip_name(folder)
    human = clean(read_attribute(folder + "/name") or "")
    if human:
        yield "node_hwmon_chip_names" + labels(chip=chip, chip_name=human), 1.0
    for sensor, elements in _sensors(host, folder).items():
        if "label" in elements:
            yield "node_hwmon_sensor_label" + labels(chip=chip, label=elements["label"], sensor=sensor), 1.0
        label = labels(chip=chip, sensor=sensor)
        kind = sensor.rstrip("0123456789")
        for element, text in elements.items():
            found = None if element == "label" else reading(kind, element, text, has_bare="" in elements)
            if found is not None:
                yield found[0] + label, found[1]


def _sensors(host: Host, folder: str) -> dict[str, dict[str, str]]:
    """Return sensor → element → text."""
    key = "hwmon." + folder
    known = host.memory.get(key)
    if not isinstance(known, tuple) or known[0] <= 0:
        known = (SETTLED_READINGS, list(_files(folder)), {})
    settled: dict[str, str] = known[2]
    sensors: dict[str, dict[str, str]] = {}
    for path, sensor, element in known[1]:
        text = None if element in MOVING else settled.get(path)
        if text is None:
            text = read_attribute(path, ends="\n" if element == "label" else None)
        if text is not None:
            settled[path] = text
            sensors.setdefault(sensor, {})[element] = text
    host.memory[key] = (known[0] - 1, known[1], settled)
    return sensors


def _files(folder: str) -> Iterator[tuple[str, str, str]]:
    """Yield (path, sensor, element) of the sensor files, those of the device behind the chip too."""
    for place in (folder, folder + "/device"):
        if not os.path.isdir(place):
            continue
        for file in list_directory(place):
            kind, number, element = explode(file)
            if kind in TYPES:
                yield f"{place}/{file}", f"{kind}{number}", element


def explode(file: str) -> tuple[str, int, str]:
    """Return (type, number, element) of a name such as temp1_input; the type is "" if it is no sensor's."""
    first = next((at for at, char in enumerate(file) if char.isdigit()), len(file))
    last = next((at for at in range(first, len(file)) if not file[at].isdigit()), len(file))
    kind, number, rest = file[:first], file[first:last], file[last:]
    if rest and (not rest.startswith("_") or rest == "_"):
        return "", 0, ""
    return kind, int(number or 0), rest[1:]


def reading(kind: str, element: str, text: str, *, has_bare: bool) -> tuple[str, float] | None:
    """Return (metric name, value in base units) of a sensor's element, or None if the text is no number."""
    try:
        value = float(text)
    except ValueError:
        return float_beep(kind, text)
    if kind in ("beep_enable", "vrm", "update_interval"):
        return _of_chip(kind, value)
    name = "node_hwmon_" + kind
    if element == "input":
        name += "_input" if has_bare else ""
    elif element:
        name += "_" + clean(element)
    return _with_unit(kind, element, name, value)


def float_beep(kind: str, text: str) -> tuple[str, float] | None:
    """Return the reading of a beep switch, whatever it says that is not 1; None for other kinds."""
    return ("node_hwmon_beep_enabled", float(text == "1")) if kind == "beep_enable" else None


def _of_chip(kind: str, value: float) -> tuple[str, float]:
    if kind == "beep_enable":
        return "node_hwmon_beep_enabled", float(value == 1)
    if kind == "vrm":
        return "node_hwmon_voltage_regulator_version", value
    return "node_hwmon_update_interval_seconds", value * 0.001


def _with_unit(kind: str, element: str, name: str, value: float) -> tuple[str, float]:
    """The order matters: alarms have no unit whatever they watch."""
    if element in ("fault", "alarm"):
        return name, value
    if element == "beep":
        return name + "_enabled", value
    if kind == "power":
        return _power(element, name, value)
    if kind == "temp" and element != "type":
        return name + "_celsius", value * 0.001
    if kind == "fan" and element in ("input", "min", "max", "target"):
        return name + "_rpm", value
    suffix, factor = UNITS.get(kind, ("", 1.0))
    return name + suffix, value * factor if factor > 1e-5 else value / 1_000_000


UNITS = {
    "in": ("_volts", 0.001),
    "cpu": ("_volts", 0.001),
    "curr": ("_amps", 0.001),
    "energy": ("_joule_total", 1e-6),
    "humidity": ("", 1e-6),
}


def _power(element: str, name: str, value: float) -> tuple[str, float]:
    if element == "accuracy":
        return name, value / 1_000_000
    if element in ("average_interval", "average_interval_min", "average_interval_max"):
        return name + "_seconds", value * 0.001
    return name + "_watt", value / 1_000_000


def _chip_name(folder: str) -> str:
    """Return a name that stays the same over boots: the device's bus and name, else the driver's, else hwmonN."""
    if os.path.exists(folder + "/device"):
        parts = os.path.realpath(folder + "/device").split("/")
        bus, device = clean(parts[-2]), clean(parts[-1])
        if device:
            return f"{bus}_{device}" if bus else device
    name = clean(read_attribute(folder + "/name") or "")
    return name or clean(os.path.realpath(folder).rpartition("/")[2])


def clean(name: str) -> str:
    """Return a name as part of a metric's or a label's."""
    kept = [char if char.isascii() and (char.isalnum() or char in ":_") else "_" for char in name.lower()]
    return "".join(kept).strip("_")
