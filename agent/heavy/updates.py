"""Updates that wait, and whether the machine asks for a restart: what the package manager knows without the network."""

from __future__ import annotations

import os

from agent.heavy.tools import NOT_FOUND, mapping, number
from agent.probes import NoData

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.heavy.tools import Found, Task

STAMPS = ("/var/lib/dpkg/status", "/var/lib/apt/lists", "/var/lib/apt/lists/partial", "/var/cache/dnf", "/var/lib/rpm")
ASKS = ("/run/reboot-required", "/var/run/reboot-required")
SECONDS = 60.0


def read(task: Task) -> Iterator[Found]:
    """apt-get in simulation, or dnf with its cache alone; neither writes or asks the network.

    Metrics:
        watchdesk_updates_pending (gauge): Updates that wait, by kind; those for security are important.
        node_reboot_required (gauge): Node reboot is required for software updates.
        node_apt_upgrades_pending (gauge): Updates that wait, in the name of the textfile script apt_info.
    """
    stamp = _stamp(task.host.root)
    known = task.memory.get("stamp")
    counts = mapping(task.memory.get("counts"))
    if known != stamp or not counts:
        found = _apt(task) or _dnf(task)
        counts = dict(found) if found is not None else {}
        task.memory.update(stamp=stamp, counts=counts)
    if not counts and not _has_systems_files(task.host.root):
        raise NoData("updates")
    for kind, count in counts.items():
        yield f'watchdesk_updates_pending{{kind="{kind}"}}', number(count) or 0.0
    yield "node_reboot_required", float(reboot_required(task))


def _stamp(root: str) -> str:
    """Return what changes when the answer may."""
    times = []
    for path in STAMPS:
        try:
            times.append(str(os.stat(root + path).st_mtime_ns))
        except OSError:
            times.append("-")
    return " ".join(times)


def _has_systems_files(root: str) -> bool:
    return os.path.isdir(root + "/run") or os.path.isdir(root + "/lib/modules")


def reboot_required(task: Task) -> bool:
    """Whether the system asks for a restart: by its own word, or as the running kernel's modules are gone."""
    root = task.host.root
    if any(os.path.exists(root + path) for path in ASKS):
        return True
    told = task.command(["needs-restarting", "-r"], timeout=20.0)
    if told.code == 1:
        return True
    release = task.host.read_proc("sys/kernel/osrelease").strip()
    modules = root + "/lib/modules"
    return bool(os.path.isdir(modules) and os.listdir(modules) and not os.path.isdir(f"{modules}/{release}"))


def _apt(task: Task) -> dict[str, int] | None:
    words = ["apt-get", "--simulate", "--quiet", "-o", "Debug::NoLocking=true", "dist-upgrade"]
    told = task.command(words, timeout=SECONDS)
    return None if told.code == NOT_FOUND or told.code else apt_counts(told.text)


def apt_counts(text: str) -> dict[str, int]:
    """Count `Inst NAME [OLD] (NEW ORIGIN [ARCH])`; an origin of security updates says so."""
    counts = {"important": 0, "optional": 0}
    for line in text.splitlines():
        if line.startswith("Inst ") and "[" in line.partition("(")[0]:  # without an old version it is a new package
            origin = line.partition("(")[2]
            counts["important" if "security" in origin.lower() else "optional"] += 1
    return counts


def _dnf(task: Task) -> dict[str, int] | None:
    told = task.command(["dnf", "--cacheonly", "--quiet", "check-update"], timeout=SECONDS)
    if told.code not in (0, 100):
        return None
    security = task.command(["dnf", "--cacheonly", "--quiet", "updateinfo", "list", "--security"], timeout=SECONDS)
    return dnf_counts(told.text, security.text)


def dnf_counts(updates: str, security: str) -> dict[str, int]:
    """Count `NAME.ARCH VERSION REPOSITORY` of check-update; `ADVISORY SEVERITY PACKAGE` of updateinfo is important."""
    total = 0
    for line in updates.splitlines():
        if line.startswith("Obsoleting"):
            break
        total += len(line.split()) == 3 and not line.startswith(" ")
    packages = {line.split()[-1] for line in security.splitlines() if len(line.split()) == 3}
    important = min(total, len(packages))
    return {"important": important, "optional": total - important}
