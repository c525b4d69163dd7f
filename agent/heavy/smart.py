"""Health, wear and temperature of disks, by smartctl. A disk that sleeps is left asleep.

The form of smartctl's JSON is told by its source (smartmontools, json.md) and by smartctl_exporter, whose names these
metrics have.
"""

from __future__ import annotations

from agent.heavy.tools import NOT_FOUND, listing, mapping, number
from agent.probes import NoData
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.heavy.tools import Found, Task

MAX_DISKS = 64
ASLEEP = 2  # bit 1 of smartctl's exit code: the device did not open, or is in a low-power mode
CANNOT_OPEN = 0b10
# member of nvme_smart_health_information_log → metric
NVME = {
    "percentage_used": "smartctl_device_percentage_used",
    "critical_warning": "smartctl_device_critical_warning",
    "media_errors": "smartctl_device_media_errors",
    "available_spare": "smartctl_device_available_spare",
    "available_spare_threshold": "smartctl_device_available_spare_threshold",
    "num_err_log_entries": "smartctl_device_num_err_log_entries",
    "unsafe_shutdowns": "smartctl_device_unsafe_shutdowns",
}
# What wears in SATA SSDs, by the attribute's name: 100 or its value is what is left of it.
LIFE_LEFT = ("Media_Wearout_Indicator", "Wear_Leveling_Count", "SSD_Life_Left", "Percent_Lifetime_Remain")
SECTORS = {5: "reallocated", 197: "pending", 198: "uncorrectable"}


def read(task: Task) -> Iterator[Found]:
    """smartctl --json of each disk.

    Metrics:
        smartctl_device (gauge): Device info
        smartctl_device_smart_status (gauge): General smart status
        smartctl_device_temperature (gauge): Device temperature celsius
        smartctl_device_power_on_seconds (counter): Device power on seconds
        smartctl_device_power_cycle_count (counter): Device power cycle count
        smartctl_device_percentage_used (counter): Device write percentage used
        smartctl_device_critical_warning (counter): Device critical warning
        smartctl_device_media_errors (counter): Contains the number of occurrences of unrecovered data integrity errors
        smartctl_device_available_spare (counter): Normalized percentage of the remaining spare capacity available
        smartctl_device_available_spare_threshold (counter): Percentage of spare capacity below which it is critical
        smartctl_device_num_err_log_entries (counter): Contains the number of error log entries
        smartctl_device_unsafe_shutdowns (counter): Shutdowns for which the disk was not prepared
        smartctl_device_self_test_log_error_count (counter): Device SMART self test log error count
        watchdesk_disk_sectors (gauge): Sectors that were reallocated, wait for it, or cannot be corrected.
        watchdesk_disk_asleep (gauge): Whether the disk sleeps, and was not asked more.
    """
    scan = task.command(["smartctl", "--scan", "--json"])
    if scan.code == NOT_FOUND:
        raise NoData("smartctl")
    last = mapping(task.memory.get("last"))
    kept: dict[str, object] = {}
    for entry in listing(mapping(scan.json()).get("devices"))[:MAX_DISKS]:
        path, kind = str(mapping(entry).get("name", "")), str(mapping(entry).get("type", "auto"))
        told = task.command(["smartctl", "--json", "-n", "standby", "-a", "-d", kind, path])
        report = mapping(told.json())
        device = path.rpartition("/")[2] or path
        if _sleeps(report):
            yield "watchdesk_disk_asleep" + labels(device=device), 1.0
            # What it said when it was awake; a bad disk must not become a good one by falling asleep.
            found = [(str(series), float(str(value))) for series, value in mapping(last.get(device)).items()]
        else:
            found = list(disk(device, report))
            if found:
                yield "watchdesk_disk_asleep" + labels(device=device), 0.0
        kept[device] = {series: value for series, value in found if "_status" in series or "error" in series}
        yield from found
    task.memory["last"] = kept


def _sleeps(report: dict[str, object]) -> bool:
    """Whether smartctl found the disk in a low-power mode and let it be."""
    power = mapping(report.get("power_mode")).get("string", "")
    messages = [str(mapping(one).get("string")) for one in listing(mapping(report.get("smartctl")).get("messages"))]
    asleep = any("STANDBY" in text.upper() or "SLEEP" in text.upper() for text in messages)
    return asleep or str(power).upper() in ("STANDBY", "SLEEP")


def disk(device: str, report: dict[str, object]) -> Iterator[tuple[str, float]]:
    """Yield what one disk's report says."""
    label = labels(device=device)
    passed = mapping(report.get("smart_status")).get("passed")
    if passed is not None:
        yield "smartctl_device_smart_status" + label, float(passed is True)
    for kind in ("current", "drive_trip"):
        degrees = number(mapping(report.get("temperature")).get(kind))
        if degrees is not None:
            yield "smartctl_device_temperature" + labels(device=device, temperature_type=kind), degrees
    hours = number(mapping(report.get("power_on_time")).get("hours"))
    if hours is not None:
        yield "smartctl_device_power_on_seconds" + label, hours * 3600
    cycles = number(report.get("power_cycle_count"))
    if cycles is not None:
        yield "smartctl_device_power_cycle_count" + label, cycles
    yield from _nvme(mapping(report.get("nvme_smart_health_information_log")), label)
    yield from _attributes(listing(mapping(report.get("ata_smart_attributes")).get("table")), device)
    yield from _self_tests(report, device)
    name = str(report.get("model_name") or report.get("scsi_model_name") or "")
    if name:
        texts = {"model_name": name, "firmware_version": str(report.get("firmware_version") or "")}
        yield "smartctl_device" + labels(device=device, **texts), 1.0


def _nvme(log: dict[str, object], label: str) -> Iterator[tuple[str, float]]:
    for member, metric in NVME.items():
        value = number(log.get(member))
        if value is not None:
            yield metric + label, value


def _attributes(table: list[object], device: str) -> Iterator[tuple[str, float]]:
    label = labels(device=device)
    worn: float | None = None
    for entry in map(mapping, table):
        raw = number(mapping(entry.get("raw")).get("value"))
        kind = SECTORS.get(int(number(entry.get("id")) or 0))
        if kind is not None and raw is not None:
            yield "watchdesk_disk_sectors" + labels(device=device, kind=kind), raw
        left = number(entry.get("value"))
        if entry.get("name") in LIFE_LEFT and left is not None and worn is None:
            worn = max(0.0, 100.0 - left)
    if worn is not None:
        yield "smartctl_device_percentage_used" + label, worn


def _self_tests(report: dict[str, object], device: str) -> Iterator[tuple[str, float]]:
    log = mapping(report.get("ata_smart_self_test_log"))
    for kind in ("standard", "extended"):
        count = number(mapping(log.get(kind)).get("error_count_total"))
        if count is not None:
            text = labels(device=device, self_test_log_type=kind)
            yield "smartctl_device_self_test_log_error_count" + text, count
    table = listing(mapping(report.get("nvme_self_test_log")).get("table"))
    if table:
        results = [mapping(mapping(entry).get("self_test_result")).get("value") for entry in table]
        failed = sum(value in (5, 6, 7) for value in results)  # NVMe base specification: it ended with a failed part
        yield "smartctl_device_self_test_log_error_count" + labels(device=device, self_test_log_type="nvme"), failed
