"""Disk reads, writes, discards, flushes and their times, of /proc/diskstats."""

from __future__ import annotations

import os

from agent.probes import NoData, probe
from agent.probes.host import read_text
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host

SECTOR = 512.0  # the unit of diskstats whatever the device's own is, see the kernel's Documentation/block/stat.rst
# name after node_disk_, factor
FIELDS = (
    ("reads_completed_total", 1.0),
    ("reads_merged_total", 1.0),
    ("read_bytes_total", SECTOR),
    ("read_time_seconds_total", 0.001),
    ("writes_completed_total", 1.0),
    ("writes_merged_total", 1.0),
    ("written_bytes_total", SECTOR),
    ("write_time_seconds_total", 0.001),
    ("io_now", 1.0),
    ("io_time_seconds_total", 0.001),
    ("io_time_weighted_seconds_total", 0.001),
    ("discards_completed_total", 1.0),
    ("discards_merged_total", 1.0),
    ("discarded_sectors_total", 1.0),
    ("discard_time_seconds_total", 0.001),
    ("flush_requests_total", 1.0),
    ("flush_requests_time_seconds_total", 0.001),
)


@probe("disk", blocks=False)
def disk(host: Host) -> Iterator[tuple[str, float]]:
    """/proc/diskstats, and what udev knows of the device.

    Metrics:
        node_disk_reads_completed_total (counter): The total number of reads completed successfully.
        node_disk_reads_merged_total (counter): The total number of reads merged.
        node_disk_read_bytes_total (counter): The total number of bytes read successfully.
        node_disk_read_time_seconds_total (counter): The total number of seconds spent by all reads.
        node_disk_writes_completed_total (counter): The total number of writes completed successfully.
        node_disk_writes_merged_total (counter): The number of writes merged.
        node_disk_written_bytes_total (counter): The total number of bytes written successfully.
        node_disk_write_time_seconds_total (counter): This is the total number of seconds spent by all writes.
        node_disk_io_now (gauge): The number of I/Os currently in progress.
        node_disk_io_time_seconds_total (counter): Total seconds spent doing I/Os.
        node_disk_io_time_weighted_seconds_total (counter): The weighted # of seconds spent doing I/Os.
        node_disk_discards_completed_total (counter): The total number of discards completed successfully.
        node_disk_discards_merged_total (counter): The total number of discards merged.
        node_disk_discarded_sectors_total (counter): The total number of sectors discarded successfully.
        node_disk_discard_time_seconds_total (counter): This is the total number of seconds spent by all discards.
        node_disk_flush_requests_total (counter): The total number of flush requests completed successfully.
        node_disk_flush_requests_time_seconds_total (counter): Total number of seconds spent by all flush requests.
        node_disk_info (gauge): Info of /sys/block/<block_device>.
        node_disk_filesystem_info (gauge): Info about disk filesystem.
        node_disk_device_mapper_info (gauge): Info about disk device mapper.
        node_disk_ata_write_cache (gauge): ATA disk has a write cache.
        node_disk_ata_write_cache_enabled (gauge): ATA disk has its write cache enabled.
        node_disk_ata_rotation_rate_rpm (gauge): ATA disk rotation rate in RPMs (0 for SSDs).
    """
    for line in host.read_proc("diskstats").split("\n"):
        fields = line.split()
        if len(fields) < 14 or ignored(fields[2]):
            continue
        label = labels(device=fields[2])
        for (name, factor), value in zip(FIELDS, fields[3:], strict=False):
            yield f"node_disk_{name}{label}", int(value) * factor
        yield from _described(host, fields[0], fields[1], fields[2])


def ignored(device: str) -> bool:
    """Whether it is a RAM disk, a loop device, a floppy or a partition, as node_exporter's default has it."""
    stem = device.rstrip("0123456789")
    if stem == device:
        return False
    if stem in ("ram", "loop", "fd"):
        return True
    if stem[-2:-1] == "d" and stem[:-2] in ("h", "s", "v", "xv") and "a" <= stem[-1] <= "z":
        return True
    controller, _, namespace = stem[4:].partition("n")
    return stem.startswith("nvme") and controller.isdigit() and namespace.endswith("p") and namespace[:-1].isdigit()


def _described(host: Host, major: str, minor: str, device: str) -> Iterator[tuple[str, float]]:
    """What udev wrote down about the device; read again only when its file has changed."""
    path = f"{host.root}/run/udev/data/b{major}:{minor}"
    try:
        written = os.stat(path).st_mtime_ns
    except OSError:
        written = 0
    key = "disk." + path
    known = host.memory.get(key)
    if not isinstance(known, tuple) or known[:2] != (written, device):
        udev = _udev(path) if written else {}
        if not host.allows("serials"):
            udev = {key: value for key, value in udev.items() if key not in PRIVATE}
        known = (written, device, list(_info(udev, device, major, minor)))
        host.memory[key] = known
    yield from known[2]


PRIVATE = ("ID_SERIAL_SHORT", "ID_SERIAL", "ID_WWN", "ID_PATH")  # the path of an iSCSI disk names it


def _udev(path: str) -> dict[str, str]:
    try:
        lines = read_text(path).split("\n")
    except (NoData, OSError):
        return {}
    return dict(line[2:].split("=", 1) for line in lines if line.startswith("E:") and "=" in line)


def _info(udev: dict[str, str], device: str, major: str, minor: str) -> Iterator[tuple[str, float]]:
    get = udev.get
    yield (
        "node_disk_info"
        + labels(
            device=device,
            major=major,
            minor=minor,
            model=get("ID_MODEL", ""),
            path=get("ID_PATH", ""),
            revision=get("ID_REVISION", ""),
            serial=get("ID_SERIAL_SHORT", ""),
            wwn=get("ID_WWN", ""),
        ),
        1.0,
    )
    if get("ID_FS_TYPE"):
        filesystem = {key: get("ID_FS_" + key.upper(), "") for key in ("type", "usage", "uuid", "version")}
        yield "node_disk_filesystem_info" + labels(device=device, **filesystem), 1.0
    if get("DM_NAME"):
        mapper = {key: get("DM_" + key.upper(), "") for key in ("lv_layer", "lv_name", "name", "uuid", "vg_name")}
        yield "node_disk_device_mapper_info" + labels(device=device, **mapper), 1.0
    if get("ID_ATA"):
        for key in ("write_cache", "write_cache_enabled", "rotation_rate_rpm"):
            value = get("ID_ATA_" + key.upper(), "")
            if value.isdigit():
                yield f"node_disk_ata_{key}" + labels(device=device), float(value)
