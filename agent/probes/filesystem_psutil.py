"""Space of drives and volumes where there is no /proc."""

from __future__ import annotations

import os

from agent.probes import probe
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host
EXCLUDED_TYPES = ("", "autofs", "devfs", "nullfs", "cdfs", "udf")


@probe("filesystem")
def filesystem(host: Host) -> Iterator[tuple[str, float]]:
    """Local and network drives; CDs and empty drives are left out.

    Metrics:
        node_filesystem_size_bytes (gauge): Filesystem size in bytes.
        node_filesystem_free_bytes (gauge): Filesystem free space in bytes.
        node_filesystem_avail_bytes (gauge): Filesystem space available to non-root users in bytes.
        node_filesystem_files (gauge): Filesystem total file nodes.
        node_filesystem_files_free (gauge): Filesystem total free file nodes.
        node_filesystem_readonly (gauge): Filesystem read-only status.
        node_filesystem_device_error (gauge): Whether an error occurred while getting statistics for the given device.
    """
    import psutil  # where it is used: Linux does without

    for part in psutil.disk_partitions(all=False):
        fstype = part.fstype.lower()
        options = part.opts.split(",")
        if fstype in EXCLUDED_TYPES or "cdrom" in options:
            continue
        label = labels(device=part.device, fstype=part.fstype, mountpoint=part.mountpoint)
        try:
            usage = psutil.disk_usage(part.mountpoint)
        except OSError:
            yield "node_filesystem_device_error" + label, 1.0
            continue
        yield "node_filesystem_device_error" + label, 0.0
        yield "node_filesystem_size_bytes" + label, float(usage.total)
        yield "node_filesystem_free_bytes" + label, float(usage.free)
        yield "node_filesystem_avail_bytes" + label, float(usage.free)
        yield "node_filesystem_readonly" + label, float("ro" in options)
        if hasattr(os, "statvfs"):
            inodes = host.statvfs(part.mountpoint)
            yield "node_filesystem_files" + label, float(inodes.f_files)
            yield "node_filesystem_files_free" + label, float(inodes.f_ffree)
