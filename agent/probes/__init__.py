"""What the agent reads. A probe is one file with one function and one decorator, and a name in a list below.

    @probe("load")
    def load(host: Host) -> Iterator[tuple[str, float]]:
        '''Load averages of /proc/loadavg.

        Metrics:
            node_load1 (gauge): Runnable processes, 1 minute mean.
        '''
        yield "node_load1", …

A probe yields (series in Prometheus notation, value). The lines under "Metrics:" become # HELP and # TYPE of
`watchdesk-agent probe`. Names, labels and values are those of Prometheus' node_exporter, version 1.5, as Debian
builds it, so that its dashboards and rules work; what it does not have is named watchdesk_….

Operating systems are told apart by the file's name: `memory.py` is Linux, `memory_psutil.py` is what psutil tells on
Windows and macOS alike; where they differ, `…_windows.py`, `…_macos.py`.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agent.probes.host import Host

    Readings = Iterable[tuple[str, float]]
    Read = Callable[[Host], Readings]

LINUX = (
    "cpu",
    "memory",
    "vmstat",
    "load",
    "filesystem",
    "disk",
    "network",
    "processes",
    "processors",
    "sockets",
    "netstat",
    "softnet",
    "conntrack",
    "neighbours",
    "kernel",
    "pressure",
    "hwmon",
    "thermal",
    "power",
    "hardware",
    "raid",
    "uname",
    "os_release",
    "time",
    "timex",
    "systemd",
    "users",
    "wireless",
    "zfs",
    "containers",
    "textfile",
    "reach",
)
MACOS = (
    "cpu_psutil",
    "memory_psutil",
    "load_psutil",
    "filesystem_psutil",
    "disk_psutil",
    "network_psutil",
    "processes_psutil",
    "power_psutil",
    "uname_psutil",
    "time",
)
WINDOWS = (*MACOS, "services_windows", "counters_windows")


class NoData(Exception):
    """This machine has nothing of the kind; neither a success that is empty nor a failure."""


class Probe:
    """A reading by its name; `blocks` says that it may hang in the kernel and must not run in the loop's thread."""

    __slots__ = ("blocks", "name", "read")

    def __init__(self, name: str, read: Read, *, blocks: bool) -> None:
        self.name = name
        self.read = read
        self.blocks = blocks


_found: dict[str, Probe] = {}  # by module


def probe(name: str, *, blocks: bool = True) -> Callable[[Read], Read]:
    """Register the decorated function. Only what reads nothing but /proc and memory may say `blocks=False`."""

    def register(read: Read) -> Read:
        _found[read.__module__] = Probe(name, read, blocks=blocks)
        return read

    return register


def names(platform: str = sys.platform) -> tuple[str, ...]:
    """Return the modules that hold this system's probes."""
    if platform == "win32":
        return WINDOWS
    return MACOS if platform == "darwin" else LINUX


def discover(platform: str = sys.platform) -> dict[str, Probe]:
    """Import this system's probes, and return them by name in the order of the list."""
    return {found.name: found for found in map(discover_one, names(platform))}


def discover_one(module: str) -> Probe:
    """Import one probe's module and return the probe."""
    name = "agent.probes." + module
    __import__(name)
    return _found[name]
