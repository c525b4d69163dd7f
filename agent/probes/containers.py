"""Containers: how many there are of each runtime, and what each takes, from the control groups. No runtime is asked."""

from __future__ import annotations

import os

from agent.probes import NoData, probe
from agent.probes.host import read_attribute, read_number
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host

# Where runtimes put their groups: below the root of control groups version 2, or of the memory controller's tree.
PLACES = ("system.slice", "machine.slice", "docker", "lxc", "lxc.payload", "libpod_parent", "user.slice", "kubepods",
          "kubepods.slice")  # fmt: skip
PREFIXES = {
    "docker-": "docker",
    "libpod-": "podman",
    "crio-": "crio",
    "cri-containerd-": "containerd",
    "lxc.payload.": "lxc",
}
PARENTS = {"docker": "docker", "lxc": "lxc", "lxc.payload": "lxc", "libpod_parent": "podman"}
MAX_CONTAINERS = 200
MAX_DEPTH = 4
ID = 12
READINGS = 3  # containers come and go: the tree is walked once in so many readings


@probe("containers")
def containers(host: Host) -> Iterator[tuple[str, float]]:
    """/sys/fs/cgroup.

    Metrics:
        watchdesk_containers (gauge): Running containers, by runtime.
        container_cpu_usage_seconds_total (counter): Cumulative cpu time consumed in seconds.
        container_memory_usage_bytes (gauge): Current memory usage in bytes.
        container_oom_events_total (counter): Count of out of memory events observed for the container
    """
    known = host.memory.get("containers")
    if not isinstance(known, tuple) or known[0] <= 0:
        known = (READINGS, _find(host))
    host.memory["containers"] = (known[0] - 1, known[1])
    found: list[tuple[str, str, str]] = known[1]
    if not found:
        raise NoData("containers")
    counts: dict[str, int] = {}
    for runtime, name, folder in found:
        counts[runtime] = counts.get(runtime, 0) + 1
        yield from _usage(folder, labels(id=name, runtime=runtime))
    for runtime, count in counts.items():
        yield "watchdesk_containers" + labels(runtime=runtime), float(count)


def _find(host: Host) -> list[tuple[str, str, str]]:
    """Return (runtime, short id, folder) of each container."""
    root = host.sys + "/fs/cgroup"
    if not os.path.exists(root + "/cgroup.controllers"):
        root += "/memory"  # version 1
    found: list[tuple[str, str, str]] = []
    for place in PLACES:
        _walk(f"{root}/{place}", place, found, 0)
    for name in _folders(root):
        _add(f"{root}/{name}", name, "", found)
    return found[:MAX_CONTAINERS]


def _walk(folder: str, parent: str, found: list[tuple[str, str, str]], depth: int) -> None:
    for name in _folders(folder):
        if len(found) >= MAX_CONTAINERS or depth >= MAX_DEPTH:
            return
        if not _add(f"{folder}/{name}", name, parent, found) and name.endswith(".slice"):
            _walk(f"{folder}/{name}", name, found, depth + 1)


def _add(folder: str, name: str, parent: str, found: list[tuple[str, str, str]]) -> bool:
    for prefix, runtime in PREFIXES.items():
        if name.startswith(prefix) and not name.startswith(("libpod-conmon", "crio-conmon")):
            found.append((runtime, name[len(prefix) :].removesuffix(".scope")[:ID], folder))
            return True
    if parent in PARENTS:
        found.append((PARENTS[parent], name[:ID], folder))
        return True
    return False


def _folders(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _usage(folder: str, label: str) -> Iterator[tuple[str, float]]:
    current = read_number(folder + "/memory.current")
    if current is None:
        current = read_number(folder + "/memory.usage_in_bytes")
    if current is not None:
        yield "container_memory_usage_bytes" + label, current
    for line in (read_attribute(folder + "/cpu.stat") or "").splitlines():
        if line.startswith("usage_usec "):
            yield "container_cpu_usage_seconds_total" + label, int(line.split()[1]) / 1e6
    for line in (read_attribute(folder + "/memory.events") or "").splitlines():
        if line.startswith("oom_kill "):
            yield "container_oom_events_total" + label, float(line.split()[1])
