"""Disk reads and writes where there is no /proc."""

from __future__ import annotations

from agent.probes import NoData, probe
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host
# psutil's field, name after node_disk_, factor (psutil tells milliseconds)
FIELDS = (
    ("read_count", "reads_completed_total", 1.0),
    ("write_count", "writes_completed_total", 1.0),
    ("read_bytes", "read_bytes_total", 1.0),
    ("write_bytes", "written_bytes_total", 1.0),
    ("read_time", "read_time_seconds_total", 0.001),
    ("write_time", "write_time_seconds_total", 0.001),
)


@probe("disk")
def disk(_host: Host) -> Iterator[tuple[str, float]]:
    """Counters of each physical disk.

    Metrics:
        node_disk_reads_completed_total (counter): The total number of reads completed successfully.
        node_disk_writes_completed_total (counter): The total number of writes completed successfully.
        node_disk_read_bytes_total (counter): The total number of bytes read successfully.
        node_disk_written_bytes_total (counter): The total number of bytes written successfully.
        node_disk_read_time_seconds_total (counter): The total number of seconds spent by all reads.
        node_disk_write_time_seconds_total (counter): This is the total number of seconds spent by all writes.
    """
    import psutil  # where it is used: Linux does without

    disks = psutil.disk_io_counters(perdisk=True, nowrap=True)
    if not disks:  # Windows, when its counters are switched off (diskperf)
        raise NoData("disk counters")
    for device, counters in disks.items():
        label = labels(device=device)
        for field, name, factor in FIELDS:
            yield f"node_disk_{name}{label}", getattr(counters, field) * factor
