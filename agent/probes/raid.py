"""Software RAID: disks that work, that failed, and how far a rebuild is."""

from __future__ import annotations

from agent.probes import NoData, probe
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host
STATES = ("active", "inactive", "recovering", "resync", "check")


@probe("raid", blocks=False)
def raid(host: Host) -> Iterator[tuple[str, float]]:
    """/proc/mdstat.

    Metrics:
        node_md_disks (gauge): Number of active/failed/spare disks of device.
        node_md_disks_required (gauge): Total number of disks of device.
        node_md_state (gauge): Indicates the state of md-device.
        node_md_blocks (gauge): Total number of blocks on device.
        node_md_blocks_synced (gauge): Number of blocks synced on device.
    """
    lines = host.read_proc("mdstat").split("\n")
    arrays = [at for at, line in enumerate(lines) if line.startswith("md") and " : " in line]
    if not arrays:
        raise NoData("mdstat")
    for at in arrays:
        following = [line for line in lines[at + 1 : at + 4] if line.startswith(" ")]
        yield from _array(lines[at], following)


def _array(line: str, following: list[str]) -> Iterator[tuple[str, float]]:
    device, _, description = line.partition(" : ")
    state = description.split()[0]
    blocks, total, active = _size(description, following[0] if following else "")
    synced = blocks
    for progress in following[1:]:
        now = _progress(progress)
        if now:
            state = now
            synced = _synced(progress, blocks)
    label = labels(device=device)
    yield "node_md_disks_required" + label, float(total)
    counts = {"active": active, "failed": description.count("(F)"), "spare": description.count("(S)")}
    for kind, count in counts.items():
        yield "node_md_disks" + labels(device=device, state=kind), float(count)
    for known in STATES:
        yield "node_md_state" + labels(device=device, state=known), float(known == state)
    yield "node_md_blocks" + label, float(blocks)
    yield "node_md_blocks_synced" + label, float(synced)


def _size(description: str, line: str) -> tuple[int, int, int]:
    """Return (blocks, disks that it should have, disks that work); the line is `976 blocks … [2/1] [U_]`."""
    fields = line.split()
    blocks = int(fields[0]) if fields and fields[0].isdigit() else 0
    if "inactive" in description:
        return blocks, 0, 0
    if "raid0" in description or "linear" in description:
        disks = description.count("[")
        return blocks, disks, disks
    for field in fields:
        total, slash, active = field.strip("[]").partition("/")
        if slash and field.startswith("[") and total.isdigit() and active.isdigit():
            return blocks, int(total), int(active)
    return blocks, 0, 0


def _progress(line: str) -> str:
    """Return what is under way; an array that takes another shape is active meanwhile."""
    if "recovery" in line:
        return "recovering"
    if "resync" in line:
        return "resync"
    return "check" if "check" in line else ""


def _synced(line: str, blocks: int) -> int:
    """Return how far it is: `… (123/456) …`; one that waits for another has not begun."""
    if "PENDING" in line or "DELAYED" in line:
        return 0
    done = line.partition("(")[2].partition("/")[0]
    return int(done) if done.isdigit() else blocks
