"""disk.health: what the disks say of themselves, the arrays they are in, and what the kernel could not read."""

from __future__ import annotations

from dataclasses import dataclass

from agent.diagnosis.arguments import name
from agent.diagnosis.catalogue import Found, diagnosis
from agent.diagnosis.errors import NotFound
from agent.diagnosis.words import count_of
from agent.heavy import smart
from agent.heavy.tools import NOT_FOUND, listing, mapping, number, strings
from agent.probes import NoData
from agent.probes.host import list_directory, read_attribute, read_text
from agent.redact import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.diagnosis.catalogue import Look

MAX_DISKS = 32
WORN, NEARLY_WORN = 100, 90
HOT = 60
VIRTUAL = ("loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd")

FAILING = "disk %(disk)s (%(model)s) says itself that it is failing: replace it now"
SECTORS = (
    "disk %(disk)s (%(model)s) has %(pending)s sectors that it cannot read and %(reallocated)s that it has replaced"
)
MEDIA = "disk %(disk)s (%(model)s) has %(count)s errors of its medium"
WEAR = "disk %(disk)s (%(model)s) has used %(percent)s%% of the life that its maker gives it"
SPARE = "disk %(disk)s (%(model)s) has only %(percent)s%% of its spare cells left"
TESTS = "disk %(disk)s (%(model)s) failed its self-test"
TOO_HOT = "disk %(disk)s (%(model)s) is at %(degrees)s °C"
CABLE = "disk %(disk)s (%(model)s) had %(count)s transfer errors (CRC): cable or plug"
DEGRADED = "array %(array)s lacks %(count)s of its %(total)s disks (%(failed)s)"
KERNEL = "disk %(disk)s gave the kernel %(count)s errors since the start"
FINE = "%(count)s disks are well; the warmest is at %(degrees)s °C"
UNKNOWN = "The disks tell nothing of their health here: smartctl is not there, or the agent may not ask"
UNSEEN = (
    "%(arrays)s arrays are whole and the kernel has seen no errors; the disks themselves may not be asked by the agent"
)

DISK = {
    "disk": "name", "model": "name", "passed": "truth", "degrees": "number", "hours": "number", "reallocated": "number",
    "pending": "number", "uncorrectable": "number", "crc": "number", "worn": "number", "spare": "number",
    "media_errors": "number", "test_errors": "number", "asleep": "truth", "firmware": "name",
}  # fmt: skip
ARRAY = {"array": "name", "total": "number", "active": "number", "failed": "name"}
ERRORS = {"disk": "name", "errors": "number"}
CRC = 199


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Which disk, such as sda; "" is all."""

    device: str = name("")


@diagnosis(
    "disk.health", Health, privacy="health", cost="heavy", seconds=60,
    findings=(FAILING, SECTORS, MEDIA, WEAR, SPARE, TESTS, TOO_HOT, CABLE, DEGRADED, KERNEL, FINE, UNKNOWN, UNSEEN),
    output={"disks": [DISK], "arrays": [ARRAY], "errors": [ERRORS]},
)  # fmt: skip
def health(look: Look, asked: Health) -> Found:
    """What disks say of their health, arrays that lack a disk, and read errors that the kernel saw."""
    disks = [one for one in _disks(look) if asked.device in ("", one["disk"])]
    arrays, errors = _arrays(look), _errors(look)
    data: dict[str, object] = {"disks": disks, "arrays": arrays, "errors": errors}
    found = [verdict for one in disks if (verdict := judge(one)) is not None]
    for array in arrays:
        missing = (number(array["total"]) or 0) - (number(array["active"]) or 0)
        if missing > 0:
            values: dict[str, str | float] = {
                "array": str(array["array"]), "count": round(missing), "total": count_of(array["total"]),
                "failed": str(array["failed"]) or "?",
            }  # fmt: skip
            found.append((8, DEGRADED, values))
    found.extend(
        (2, KERNEL, {"disk": str(one["disk"]), "count": count_of(one["errors"])})
        for one in errors if one["errors"] and asked.device in ("", one["disk"])
    )  # fmt: skip
    if found:
        _, text, values = max(found, key=lambda verdict: verdict[0])
        return Found(text, values, data)
    if not disks and not arrays and not errors:
        raise NotFound("a disk")
    if not any(one.get("passed") is not None or one.get("degrees") is not None for one in disks):
        return Found(UNSEEN if arrays else UNKNOWN, {"arrays": len(arrays)}, data)
    warmest = max((number(one.get("degrees")) or 0 for one in disks), default=0)
    return Found(FINE, {"count": len(disks), "degrees": round(warmest)}, data)


def judge(one: dict[str, object]) -> tuple[int, str, dict[str, str | float]] | None:
    """Return (how bad it is, sentence, values) of a disk, None for a good one."""

    def count(fact: str) -> int:
        return count_of(one.get(fact))

    values: dict[str, str | float] = {"disk": str(one["disk"]), "model": str(one.get("model") or "?")}
    if one.get("passed") is False:
        return 10, FAILING, values
    if count("pending") or count("uncorrectable"):
        pending = max(count("pending"), count("uncorrectable"))
        return 9, SECTORS, {**values, "pending": pending, "reallocated": count("reallocated")}
    if count("media_errors"):
        return 7, MEDIA, {**values, "count": count("media_errors")}
    if one.get("spare") is not None and count("spare") < 10:
        return 7, SPARE, {**values, "percent": count("spare")}
    if count("test_errors"):
        return 6, TESTS, values
    if count("worn") >= NEARLY_WORN:
        return 5, WEAR, {**values, "percent": count("worn")}
    if count("degrees") >= HOT:
        return 4, TOO_HOT, {**values, "degrees": count("degrees")}
    if count("reallocated"):
        return 3, SECTORS, {**values, "pending": 0, "reallocated": count("reallocated")}
    return (1, CABLE, {**values, "count": count("crc")}) if count("crc") > 100 else None


def _disks(look: Look) -> list[dict[str, object]]:
    scan = look.command(["smartctl", "--scan", "--json"])
    if scan.code == NOT_FOUND:
        return []
    found = []
    for entry in listing(mapping(scan.json()).get("devices"))[:MAX_DISKS]:
        path, kind = str(mapping(entry).get("name", "")), str(mapping(entry).get("type", "auto"))
        told = look.command(["smartctl", "--json", "-n", "standby", "-a", "-d", kind, path], timeout=10.0)
        found.append(of_report(path.rpartition("/")[2] or path, mapping(told.json())))
    return found


def of_report(disk: str, report: dict[str, object]) -> dict[str, object]:
    """Return what smartctl's document says of a disk."""
    one: dict[str, object] = {
        "disk": clean(disk, 64),
        "model": clean(strings(report.get("model_name") or report.get("scsi_model_name")), 100),
        "firmware": clean(strings(report.get("firmware_version")), 64),
        "degrees": number(mapping(report.get("temperature")).get("current")),
        "hours": number(mapping(report.get("power_on_time")).get("hours")),
    }  # fmt: skip
    passed = mapping(report.get("smart_status")).get("passed")
    one["passed"] = passed if isinstance(passed, bool) else None
    for entry in map(mapping, listing(mapping(report.get("ata_smart_attributes")).get("table"))):
        identity, raw = count_of(entry.get("id")), number(mapping(entry.get("raw")).get("value"))
        if identity in smart.SECTORS:
            one[smart.SECTORS[identity]] = raw
        elif identity == CRC:
            one["crc"] = raw
        if entry.get("name") in smart.LIFE_LEFT and number(entry.get("value")) is not None:
            one["worn"] = max(0.0, 100.0 - (number(entry.get("value")) or 0.0))
    log = mapping(report.get("nvme_smart_health_information_log"))
    if log:
        one |= {"worn": number(log.get("percentage_used")), "spare": number(log.get("available_spare")),
                "media_errors": number(log.get("media_errors"))}  # fmt: skip
    tests = mapping(mapping(report.get("ata_smart_self_test_log")).get("standard"))
    one["test_errors"] = number(tests.get("error_count_total"))
    return one


def _arrays(look: Look) -> list[dict[str, object]]:
    try:
        return of_mdstat(read_text(look.host.proc + "/mdstat"))
    except (NoData, OSError):
        return []


def of_mdstat(text: str) -> list[dict[str, object]]:
    """Return the arrays of /proc/mdstat: `md0 : active raid1 sdb1[1](F) sda1[0]`, then `… [2/1] [U_]`."""
    found: list[dict[str, object]] = []
    for line in text.splitlines():
        device, colon, rest = line.partition(" : ")
        if colon and device.startswith("md"):
            failed = [word.partition("[")[0] for word in rest.split() if word.endswith("(F)")]
            found.append({"array": clean(device, 32), "total": None, "active": None, "failed": ", ".join(failed)})
        elif found and "[" in line and found[-1]["total"] is None:
            for word in line.split():
                total, slash, active = word.strip("[]").partition("/")
                if slash and total.isdecimal() and active.isdecimal():
                    found[-1] |= {"total": int(total), "active": int(active)}
    return found


def _errors(look: Look) -> list[dict[str, object]]:
    """Return the errors that SCSI and ATA disks have given, by /sys/block/*/device/ioerr_cnt (hexadecimal)."""
    folder = look.host.sys + "/block"
    try:
        names = list_directory(folder)
    except NoData:
        return []
    found: list[dict[str, object]] = []
    for one in names:
        text = read_attribute(f"{folder}/{one}/device/ioerr_cnt")
        if one.startswith(VIRTUAL):
            continue
        try:
            found.append({"disk": clean(one, 64), "errors": int(text, 16) if text else None})
        except ValueError:
            continue
    return found
