"""Space and inodes of mounted filesystems. A mount that does not answer is told as an error; the others go on."""

from __future__ import annotations

import os

from agent.probes import NoData, probe
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host

# Debian's defaults of node_exporter. A path excludes what is mounted there and below; one that ends in "/" only below.
EXCLUDED_MOUNTS = "/dev, /proc, /run, /sys, /mnt, /media, /var/lib/docker/, /var/lib/containers/storage/"
EXCLUDED_TYPES = (
    "autofs, binfmt_misc, bpf, cgroup, cgroup2, configfs, debugfs, devpts, devtmpfs, fusectl, hugetlbfs, iso9660, "
    "mqueue, nsfs, overlay, proc, procfs, pstore, rpc_pipefs, securityfs, selinuxfs, squashfs, sysfs, tracefs"
)


@probe("filesystem")
def filesystem(host: Host) -> Iterator[tuple[str, float]]:
    """statvfs of each mount of /proc/1/mounts.

    Metrics:
        node_filesystem_size_bytes (gauge): Filesystem size in bytes.
        node_filesystem_free_bytes (gauge): Filesystem free space in bytes.
        node_filesystem_avail_bytes (gauge): Filesystem space available to non-root users in bytes.
        node_filesystem_files (gauge): Filesystem total file nodes.
        node_filesystem_files_free (gauge): Filesystem total free file nodes.
        node_filesystem_readonly (gauge): Filesystem read-only status.
        node_filesystem_device_error (gauge): Whether an error occurred while getting statistics for the given device.
    """
    # Mounts that a reading is waiting for. When the runner abandons it, its mount stays in here, and the next
    # reading leaves it out; when the server comes back, the abandoned thread ends and takes it out.
    waiting = host.memory.setdefault("filesystem.waiting", set())
    assert isinstance(waiting, set)  # noqa: S101 - for the type checker
    for device, mountpoint, fstype, options in mounts(host):
        label = labels(device=device, fstype=fstype, mountpoint=mountpoint)
        if mountpoint in waiting:
            yield "node_filesystem_device_error" + label, 1.0
            continue
        waiting.add(mountpoint)
        try:
            stat = host.statvfs(host.root + mountpoint)
        except OSError:
            yield "node_filesystem_device_error" + label, 1.0
            continue
        finally:
            waiting.discard(mountpoint)
        yield from _usage(stat, label)
        yield "node_filesystem_readonly" + label, float("ro" in options)


def _usage(stat: os.statvfs_result, label: str) -> Iterator[tuple[str, float]]:
    yield "node_filesystem_device_error" + label, 0.0
    # f_bsize, not f_frsize: they differ on some network filesystems, and node_exporter takes this one.
    block = float(stat.f_bsize)
    yield "node_filesystem_size_bytes" + label, stat.f_blocks * block
    yield "node_filesystem_free_bytes" + label, stat.f_bfree * block
    yield "node_filesystem_avail_bytes" + label, stat.f_bavail * block
    yield "node_filesystem_files" + label, float(stat.f_files)
    yield "node_filesystem_files_free" + label, float(stat.f_ffree)


def mounts(host: Host) -> Iterator[tuple[str, str, str, list[str]]]:
    """Yield (device, mount point, type, options) of every mount that is not excluded, each once."""
    try:
        table = host.read_proc("1/mounts")
    except (NoData, PermissionError):  # hidepid
        table = host.read_proc("mounts")
    excluded_mounts = _names(host.options.get("filesystem.exclude_mounts", EXCLUDED_MOUNTS))
    excluded_types = _names(host.options.get("filesystem.exclude_types", EXCLUDED_TYPES))
    seen = set()
    for line in table.split("\n"):
        fields = line.split()
        if len(fields) < 4 or fields[2] in excluded_types:
            continue
        point = fields[1].replace("\\040", " ").replace("\\011", "\t")
        if _excluded(point, excluded_mounts) or (fields[0], point, fields[2]) in seen:
            continue
        seen.add((fields[0], point, fields[2]))
        yield fields[0], point, fields[2], fields[3].split(",")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _excluded(point: str, paths: list[str]) -> bool:
    for path in paths:
        if path.endswith("/"):
            if point.startswith(path) and len(point) > len(path):
                return True
        elif point == path or point.startswith(path + "/"):
            return True
    return False
