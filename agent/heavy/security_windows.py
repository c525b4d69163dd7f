"""Virus scanner, firewall, encryption, drives and backups of Windows."""

from __future__ import annotations

from agent.heavy.tools import number, strings
from agent.heavy.windows import cim, get
from agent.probes import NoData
from agent.probes.series import labels
from agent.registry_windows import tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent.heavy.tools import Found, Task

    Objects = Mapping[str, list[dict[str, object]]]

FIREWALL = r"SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy"
PROFILES = {"DomainProfile": "domain", "StandardProfile": "private", "PublicProfile": "public"}
FILE_HISTORY = r"SYSTEM\CurrentControlSet\Services\fhsvc\Parameters\Configs"
EPOCH_1601 = 11_644_473_600
ENCRYPTION = "root/cimv2/Security/MicrosoftVolumeEncryption"
CLASSES = {
    "defender": "Get-MpComputerStatus | Select-Object AMServiceEnabled,RealTimeProtectionEnabled,"
    "@{n='Signatures';e={[int64](New-TimeSpan -Start '1970-01-01' -End $_.AntivirusSignatureLastUpdated"
    ".ToUniversalTime()).TotalSeconds}}",
    "products": get("AntiVirusProduct", "displayName,productState", "root/SecurityCenter2"),
    "volumes": get("Win32_EncryptableVolume", "DriveLetter,ProtectionStatus", ENCRYPTION),
    "drives": get("Win32_DiskDrive", "DeviceID,Status"),
    "backup": "Get-WBSummary | Where-Object {$_.LastSuccessfulBackupTime} | Select-Object "
    "@{n='Last';e={[int64](New-TimeSpan -Start '1970-01-01' -End $_.LastSuccessfulBackupTime"
    ".ToUniversalTime()).TotalSeconds}}",
}
STATUSES = {"OK": "ok", "Degraded": "degraded", "Pred Fail": "pred_fail", "Error": "error"}
ON = 0x1000  # of productState's second byte: the scanner is on


def read(task: Task) -> Iterator[Found]:
    """CIM: Defender, security centre, BitLocker, drives, Windows Server Backup; registry: firewall, File History.

    Metrics:
        watchdesk_antivirus_enabled (gauge): Whether its protection is on.
        watchdesk_antivirus_signatures_timestamp_seconds (gauge): When its signatures were made.
        watchdesk_volume_encrypted (gauge): Whether the volume is encrypted and protection is on.
        watchdesk_disk_status (gauge): The drive's status, as Windows has it.
        watchdesk_firewall_enabled (gauge): Whether a firewall is on.
        watchdesk_backup_last_success_timestamp_seconds (gauge): When the last backup ended well.
    """
    yield from firewall(tree(FIREWALL))
    yield from file_history(tree(FILE_HISTORY))
    try:
        objects = cim(task, CLASSES)
    except NoData:
        return
    yield from antivirus(objects)
    yield from volumes(objects)
    yield from drives(objects)
    for summary in objects.get("backup", []):
        time = number(summary.get("Last"))
        if time is not None:
            yield "watchdesk_backup_last_success_timestamp_seconds" + labels(method="windows_server_backup"), time


def antivirus(objects: Objects) -> Iterator[tuple[str, float]]:
    """Yield Defender's state, and that of others which the security centre (desktops) knows."""
    for status in objects.get("defender", []):
        label = labels(product="Microsoft Defender")
        on = bool(status.get("AMServiceEnabled")) and bool(status.get("RealTimeProtectionEnabled"))
        yield "watchdesk_antivirus_enabled" + label, float(on)
        made = number(status.get("Signatures"))
        if made is not None and made > 0:
            yield "watchdesk_antivirus_signatures_timestamp_seconds" + label, made
    for product in objects.get("products", []):
        name, state = strings(product.get("displayName")), number(product.get("productState"))
        if name and "Defender" not in name and state is not None:
            yield "watchdesk_antivirus_enabled" + labels(product=name), float(int(state) & 0xF000 == ON)


def volumes(objects: Objects) -> Iterator[tuple[str, float]]:
    """Yield BitLocker's state of each volume with a letter."""
    for volume in objects.get("volumes", []):
        letter = strings(volume.get("DriveLetter"))
        if letter:
            label = labels(method="bitlocker", mountpoint=letter + "\\")
            yield "watchdesk_volume_encrypted" + label, float(number(volume.get("ProtectionStatus")) == 1)


def drives(objects: Objects) -> Iterator[tuple[str, float]]:
    """Yield each drive's status, one series for each status that it could have."""
    for drive in objects.get("drives", []):
        device = strings(drive.get("DeviceID")).replace("\\\\.\\", "")
        current = STATUSES.get(strings(drive.get("Status")), "unknown")
        for status in (*STATUSES.values(), "unknown"):
            yield "watchdesk_disk_status" + labels(device=device, status=status), float(status == current)


def firewall(keys: Mapping[str, Mapping[str, object]]) -> Iterator[tuple[str, float]]:
    """Yield whether the firewall is on, for each kind of network."""
    for key, profile in PROFILES.items():
        value = keys.get(key, {}).get("EnableFirewall")
        if isinstance(value, int):
            yield "watchdesk_firewall_enabled" + labels(product="Windows Firewall", profile=profile), float(value == 1)


def file_history(keys: Mapping[str, Mapping[str, object]]) -> Iterator[tuple[str, float]]:
    """Yield until when File History has kept files: ProtectedUpToTime, in 100 ns since 1601."""
    times = [values.get("ProtectedUpToTime") for values in keys.values()]
    newest = max((time for time in times if isinstance(time, int)), default=0)
    if newest:
        seconds = newest / 1e7 - EPOCH_1601
        yield "watchdesk_backup_last_success_timestamp_seconds" + labels(method="file_history"), seconds
