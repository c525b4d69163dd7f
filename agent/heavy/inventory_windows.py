"""What the machine is made of, on Windows."""

from __future__ import annotations

import socket
from functools import partial

from agent.heavy.changes import inventory
from agent.heavy.tools import listing, number, strings
from agent.heavy.windows import cim, get
from agent.probes import NoData
from agent.registry_windows import tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent.heavy.tools import Found, Task

    Row = dict[str, object]

UNINSTALL = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall"
UNINSTALL_32 = r"SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion\Uninstall"
VERSION = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion"
MAX_LISTED = 5_000
LISTED = ("serials", "patches", "users", "shares", "addresses", "peripherals")
# part → {name: expression}; a part that the policy switches off is not asked for
ASKED: dict[str, dict[str, str]] = {
    "hardware": {
        "computer": get("Win32_ComputerSystem", "Manufacturer,Model,TotalPhysicalMemory,Domain"),
        "processors": get("Win32_Processor", "Name,NumberOfCores,NumberOfLogicalProcessors"),
        "memory": get("Win32_PhysicalMemory", "DeviceLocator,Capacity,Speed,Manufacturer,PartNumber"),
        "bios": get("Win32_BIOS", "Manufacturer,SMBIOSBIOSVersion"),
    },
    "serials": {"serials": get("Win32_BIOS", "SerialNumber"), "boards": get("Win32_BaseBoard", "SerialNumber")},
    "patches": {"patches": get("Win32_QuickFixEngineering", "HotFixID,Description")},
    "users": {"users": get("Win32_UserAccount", "Name,Disabled,SID", where="LocalAccount=True"),
              "administrators": "Get-LocalGroupMember -SID S-1-5-32-544 | Select-Object Name"},
    "shares": {"shares": get("Win32_Share", "Name,Path,Type")},
    "disks": {"disks": get("Win32_DiskDrive", "DeviceID,Model,Size,InterfaceType,SerialNumber,FirmwareRevision")},
    "addresses": {"addresses": get("Win32_NetworkAdapterConfiguration",
                                   "Description,MACAddress,IPAddress,DefaultIPGateway,DNSServerSearchOrder",
                                   where="IPEnabled=True")},
    "monitors": {"monitors": get("WmiMonitorID", "ManufacturerName,UserFriendlyName,SerialNumberID,YearOfManufacture",
                                 "root/wmi")},
    "peripherals": {"peripherals": get("Win32_PnPEntity", "Name,Manufacturer,PNPClass,DeviceID",
                                       where="PNPClass='USB' OR PNPClass='HIDClass' OR PNPClass='Camera' OR "
                                       "PNPClass='Printer' OR PNPClass='Media' OR PNPClass='Bluetooth'")},
}  # fmt: skip


def read(task: Task) -> Iterator[Found]:
    """CIM classes of the parts that are allowed, installed programs and the version of Windows from the registry.

    Metrics:
        watchdesk_inventory_change_timestamp_seconds (gauge): When that part last changed, 0 where it never did.
    """
    wanted = {name: text for part, asked in ASKED.items() if task.allows(part) for name, text in asked.items()}
    try:
        rows: Mapping[str, list[Row]] = cim(task, wanted, timeout=100.0) if wanted else {}
    except NoData:
        rows = {}
    yield from inventory(
        task,
        {
            "os": lambda _task: system(tree(VERSION)),
            "software": lambda _task: programs({**tree(UNINSTALL_32), **tree(UNINSTALL)}),
            "hardware": lambda _task: hardware(rows),
            "disks": lambda one: disks(rows, with_serial=one.allows("serials")),
            "monitors": lambda one: monitors(rows, with_serial=one.allows("serials")),
            **{name: partial(listed, rows, name) for name in LISTED},
        },
    )  # fmt: skip


def listed(rows: Mapping[str, list[Row]], name: str, _task: Task) -> object:
    """Return a part that is what Windows tells of it."""
    return plain(rows.get(name, []))


def plain(rows: list[Row]) -> list[Row]:
    """Return the objects with the members that are told, in an order that stays."""
    kept = [{name: value for name, value in row.items() if value not in (None, "")} for row in rows[:MAX_LISTED]]
    return sorted(kept, key=str)


def system(keys: Mapping[str, Mapping[str, object]]) -> object:
    """Return edition, version and build of Windows; 11 calls itself 10 in the registry."""
    values = keys.get("", {})
    build = strings(values.get("CurrentBuild"))
    name = strings(values.get("ProductName")) or "Windows"
    if build.isdigit() and int(build) >= 22_000 and "Server" not in name:
        name = name.replace("Windows 10", "Windows 11")
    release = strings(values.get("DisplayVersion") or values.get("ReleaseId"))
    return {"name": name, "id": "windows", "version": release, "hostname": socket.gethostname(),
            "kernel": f"10.0.{build}.{strings(values.get('UBR'))}"}  # fmt: skip


def programs(keys: Mapping[str, Mapping[str, object]]) -> object:
    """Return the installed programs: entries with a name that are no part of Windows and no update of another."""
    found = {}
    for values in keys.values():
        name = strings(values.get("DisplayName"))
        if name and values.get("SystemComponent") != 1 and not values.get("ParentKeyName"):
            version, publisher = strings(values.get("DisplayVersion")), strings(values.get("Publisher"))
            found[name, version] = {"name": name, "version": version, "publisher": publisher}
    return [found[key] for key in sorted(found)][:MAX_LISTED]


def hardware(rows: Mapping[str, list[Row]]) -> object:
    """Return maker, model, processors, memory and firmware."""
    computers, firmware = rows.get("computer", []), rows.get("bios", [])
    if not computers:
        return {}
    return {
        "vendor": strings(computers[0].get("Manufacturer")),
        "product": strings(computers[0].get("Model")),
        "memory_bytes": int(number(computers[0].get("TotalPhysicalMemory")) or 0),
        "processor": ", ".join(strings(one.get("Name")).strip() for one in rows.get("processors", [])),
        "memory_modules": plain(rows.get("memory", [])),
        "bios_version": strings(firmware[0].get("SMBIOSBIOSVersion")) if firmware else "",
    }


def disks(rows: Mapping[str, list[Row]], *, with_serial: bool) -> object:
    """Return the disks."""
    found = []
    for row in rows.get("disks", []):
        disk: Row = {
            "name": strings(row.get("DeviceID")).replace("\\\\.\\", ""),
            "model": strings(row.get("Model")),
            "bytes": int(number(row.get("Size")) or 0),
            "firmware": strings(row.get("FirmwareRevision")),
        }
        serial = strings(row.get("SerialNumber")).strip()
        if with_serial and serial:
            disk["serial"] = serial
        found.append(disk)
    return sorted(found, key=lambda one: str(one["name"]))


def monitors(rows: Mapping[str, list[Row]], *, with_serial: bool) -> object:
    """Return the monitors; their texts come as lists of codes that end with zeros."""
    found = []
    for row in rows.get("monitors", []):
        told: Row = {"vendor": text_of(row.get("ManufacturerName")), "name": text_of(row.get("UserFriendlyName")),
                     "year": int(number(row.get("YearOfManufacture")) or 0)}  # fmt: skip
        if with_serial:
            told["serial"] = text_of(row.get("SerialNumberID"))
        found.append(told)
    return found


def text_of(codes: object) -> str:
    """Return the text of a list of character codes."""
    return "".join(chr(code) for code in listing(codes) if isinstance(code, int) and 32 <= code < 0x10000)
