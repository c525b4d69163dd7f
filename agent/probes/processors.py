"""Frequencies of the processors, how often heat slowed them down, and how long tasks ran and waited on them."""

from __future__ import annotations

from agent.probes import NoData, probe
from agent.probes.host import list_directory, read_attribute, read_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host
# file of cpufreq/, name after node_cpu_; the files tell kHz
FREQUENCIES = (
    ("cpuinfo_cur_freq", "frequency_hertz"),
    ("scaling_cur_freq", "scaling_frequency_hertz"),
    ("cpuinfo_min_freq", "frequency_min_hertz"),
    ("cpuinfo_max_freq", "frequency_max_hertz"),
    ("scaling_min_freq", "scaling_frequency_min_hertz"),
    ("scaling_max_freq", "scaling_frequency_max_hertz"),
)


@probe("processors", blocks=False)
def processors(host: Host) -> Iterator[tuple[str, float]]:
    """/sys/devices/system/cpu, /proc/schedstat.

    Metrics:
        node_cpu_frequency_hertz (gauge): Current CPU thread frequency in hertz.
        node_cpu_frequency_min_hertz (gauge): Minimum CPU thread frequency in hertz.
        node_cpu_frequency_max_hertz (gauge): Maximum CPU thread frequency in hertz.
        node_cpu_scaling_frequency_hertz (gauge): Current scaled CPU thread frequency in hertz.
        node_cpu_scaling_frequency_min_hertz (gauge): Minimum scaled CPU thread frequency in hertz.
        node_cpu_scaling_frequency_max_hertz (gauge): Maximum scaled CPU thread frequency in hertz.
        node_cpu_core_throttles_total (counter): Number of times this CPU core has been throttled.
        node_cpu_package_throttles_total (counter): Number of times this CPU package has been throttled.
        node_cpu_isolated (gauge): Whether each core is isolated, information from /sys/devices/system/cpu/isolated.
        node_schedstat_running_seconds_total (counter): Number of seconds CPU spent running a process.
        node_schedstat_waiting_seconds_total (counter): Number of seconds spent by processing waiting for this CPU.
        node_schedstat_timeslices_total (counter): Number of timeslices executed by CPU.
    """
    folder = host.sys + "/devices/system/cpu"
    known = host.memory.get("processors")
    if not isinstance(known, tuple):
        known = (list(_frequency_files(folder)), list(_throttle_files(folder)), list(_isolated(folder)))
        host.memory["processors"] = known
    readings = [(series, read_number(path), factor) for path, series, factor in (*known[0], *known[1])]
    found = [(series, value * factor) for series, value, factor in readings if value is not None]
    found += [*known[2], *_schedstat(host)]
    if not found:
        raise NoData("cpufreq, thermal_throttle, schedstat")
    yield from found


def _cpus(folder: str) -> list[str]:
    try:
        names = list_directory(folder)
    except NoData:
        return []
    return [name[3:] for name in names if name.startswith("cpu") and name[3:].isdigit()]


def _frequency_files(folder: str) -> Iterator[tuple[str, str, float]]:
    for cpu in _cpus(folder):
        for file, name in FREQUENCIES:
            path = f"{folder}/cpu{cpu}/cpufreq/{file}"
            if read_number(path) is not None:
                yield path, f'node_cpu_{name}{{cpu="{cpu}"}}', 1000.0


def _throttle_files(folder: str) -> Iterator[tuple[str, str, float]]:
    """Threads of a core tell the same number; one of them is asked."""
    seen = set()
    for cpu in _cpus(folder):
        package = read_attribute(f"{folder}/cpu{cpu}/topology/physical_package_id")
        core = read_attribute(f"{folder}/cpu{cpu}/topology/core_id")
        if not package or not core or not package.isdigit():
            continue
        of_core = f'node_cpu_core_throttles_total{{core="{core}",package="{package}"}}'
        of_package = f'node_cpu_package_throttles_total{{package="{package}"}}'
        for file, series in (("core_throttle_count", of_core), ("package_throttle_count", of_package)):
            path = f"{folder}/cpu{cpu}/thermal_throttle/{file}"
            if series not in seen and read_number(path) is not None:
                seen.add(series)
                yield path, series, 1.0


def _isolated(folder: str) -> Iterator[tuple[str, float]]:
    """The list is like `2-3,7`."""
    for part in (read_attribute(folder + "/isolated") or "").split(","):
        first, dash, last = part.partition("-")
        if first.isdigit():
            for cpu in range(int(first), int(last if dash else first) + 1):
                yield f'node_cpu_isolated{{cpu="{cpu}"}}', 1.0


def _schedstat(host: Host) -> Iterator[tuple[str, float]]:
    try:
        lines = host.read_proc("schedstat").split("\n")
    except NoData:
        return
    for line in lines:
        fields = line.split()
        if line.startswith("cpu") and len(fields) >= 10:
            label = f'{{cpu="{fields[0][3:]}"}}'
            yield "node_schedstat_running_seconds_total" + label, int(fields[7]) / 1e9
            yield "node_schedstat_waiting_seconds_total" + label, int(fields[8]) / 1e9
            yield "node_schedstat_timeslices_total" + label, float(fields[9])
