"""What the machine is made of, on macOS."""

from __future__ import annotations

import socket

from agent.heavy.changes import inventory
from agent.heavy.macos import profile
from agent.heavy.tools import listing, mapping, strings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent.heavy.tools import Found, Task

    Profile = Mapping[str, list[dict[str, object]]]

# part → kinds of system_profiler; a part that the policy switches off is not asked for
KINDS = {
    "hardware": ("SPHardwareDataType", "SPMemoryDataType"),
    "serials": ("SPHardwareDataType",),
    "os": ("SPSoftwareDataType",),
    "software": ("SPApplicationsDataType",),
    "patches": ("SPInstallHistoryDataType",),
    "disks": ("SPNVMeDataType", "SPSerialATADataType"),
    "addresses": ("SPNetworkDataType",),
    "monitors": ("SPDisplaysDataType",),
    "peripherals": ("SPUSBDataType",),
}
MAX_LISTED = 5_000


def read(task: Task) -> Iterator[Found]:
    """system_profiler, dscl, sharing.

    Metrics:
        watchdesk_inventory_change_timestamp_seconds (gauge): When that part last changed, 0 where it never did.
    """
    kinds = sorted({kind for part, wanted in KINDS.items() if task.allows(part) for kind in wanted})
    told: Profile = profile(task, *kinds, timeout=100.0) if kinds else {}
    yield from inventory(
        task,
        {
            "hardware": lambda _task: hardware(told),
            "serials": lambda _task: serials(told),
            "os": lambda _task: system(told),
            "software": lambda _task: programs(told),
            "patches": lambda _task: patches(told),
            "users": lambda one: users(one.command(["dscl", ".", "-list", "/Users", "UniqueID"]).text),
            "shares": lambda one: shares(one.command(["sharing", "-l"]).text),
            "disks": lambda one: disks(told, with_serial=one.allows("serials")),
            "addresses": lambda _task: addresses(told),
            "monitors": lambda one: monitors(told, with_serial=one.allows("serials")),
            "peripherals": lambda _task: peripherals(told.get("SPUSBDataType", [])),
        },
    )


def _first(told: Profile, kind: str) -> dict[str, object]:
    return next(iter(told.get(kind, [])), {})


def hardware(told: Profile) -> object:
    """Return model, chip and memory."""
    row = _first(told, "SPHardwareDataType")
    if not row:
        return {}
    return {
        "vendor": "Apple",
        "product": strings(row.get("machine_name")),
        "version": strings(row.get("machine_model")),
        "processor": strings(row.get("chip_type") or row.get("cpu_type")),
        "memory_bytes": _gigabytes(strings(row.get("physical_memory"))),
        "bios_version": strings(row.get("boot_rom_version")),
    }


def _gigabytes(text: str) -> int:
    """Return the bytes of `16 GB`."""
    number, _, unit = text.partition(" ")
    return int(number) << (40 if unit == "TB" else 30) if number.isdigit() else 0


def serials(told: Profile) -> object:
    """Return the serial number and the hardware's UUID."""
    row = _first(told, "SPHardwareDataType")
    found = {"product": row.get("serial_number"), "uuid": row.get("platform_UUID")}
    return {name: strings(value) for name, value in found.items() if value}


def system(told: Profile) -> object:
    """Return the version of macOS and the machine's name."""
    row = _first(told, "SPSoftwareDataType")
    version = strings(row.get("os_version"))
    return {"name": version, "id": "macos", "version": version.partition(" (")[0].removeprefix("macOS "),
            "kernel": strings(row.get("kernel_version")), "hostname": socket.gethostname()}  # fmt: skip


def programs(told: Profile) -> object:
    """Return the applications that are not Apple's own."""
    rows = told.get("SPApplicationsDataType", [])
    others = [row for row in rows if row.get("obtained_from") != "apple"]
    found = [{"name": strings(row.get("_name")), "version": strings(row.get("version"))} for row in others]
    return sorted(found, key=lambda one: one["name"])[:MAX_LISTED]


def patches(told: Profile) -> object:
    """Return what Apple's installer has brought."""
    rows = told.get("SPInstallHistoryDataType", [])
    apples = [row for row in rows if "apple" in strings(row.get("package_source"))]
    return [{"name": strings(row.get("_name")), "version": strings(row.get("install_version"))} for row in apples][
        -500:
    ]


def users(text: str) -> object:
    """Return the accounts of people: `NAME   NUMBER`, from 500 on."""
    rows = (line.split() for line in text.splitlines())
    return [{"name": row[0], "uid": int(row[1])} for row in rows if len(row) == 2 and row[1].isdigit()
            and int(row[1]) >= 500]  # fmt: skip


def shares(text: str) -> object:
    """Return the shared folders: blocks with `name:` and `path:`."""
    found: list[dict[str, str]] = []
    for line in text.splitlines():
        name, _, value = line.strip().partition(":")
        if name == "name" and not line.startswith((" ", "\t\t")):
            found.append({"name": value.strip()})
        elif name == "path" and found:
            found[-1]["path"] = value.strip()
    return found


def disks(told: Profile, *, with_serial: bool) -> object:
    """Return the disks, which are below their controllers."""
    found = []
    for kind in ("SPNVMeDataType", "SPSerialATADataType"):
        for controller in told.get(kind, []):
            for row in filter(None, map(mapping, listing(controller.get("_items")))):
                disk = {"name": strings(row.get("bsd_name")), "model": strings(row.get("device_model")),
                        "bytes": row.get("size_in_bytes"), "firmware": strings(row.get("device_revision"))}  # fmt: skip
                if with_serial and row.get("device_serial"):
                    disk["serial"] = strings(row.get("device_serial")).strip()
                found.append(disk)
    return found


def addresses(told: Profile) -> object:
    """Return the network services with their addresses."""
    found = []
    for row in told.get("SPNetworkDataType", []):
        ethernet, ipv4 = mapping(row.get("Ethernet")), mapping(row.get("IPv4"))
        if row.get("interface"):
            names = {"interface": strings(row.get("interface")), "mac": strings(ethernet.get("MAC Address"))}
            listed = listing(ipv4.get("Addresses"))
            found.append({**names, "addresses": listed, "gateway": strings(ipv4.get("Router"))})
    return found


def monitors(told: Profile, *, with_serial: bool) -> object:
    """Return the displays, which are below their graphics cards."""
    found = []
    for card in told.get("SPDisplaysDataType", []):
        for row in map(mapping, listing(card.get("spdisplays_ndrvs"))):
            display = {"name": strings(row.get("_name")), "year": strings(row.get("_spdisplays_display-year"))}
            if with_serial and row.get("_spdisplays_display-serial-number"):
                display["serial"] = strings(row.get("_spdisplays_display-serial-number"))
            found.append(display)
    return found


def peripherals(rows: list[dict[str, object]], depth: int = 0) -> list[dict[str, str]]:
    """Return what is plugged into USB, at whatever hub."""
    found: list[dict[str, str]] = []
    for row in rows:
        if row.get("vendor_id") and depth:
            found.append({"product": strings(row.get("_name")), "vendor": strings(row.get("manufacturer")),
                          "id": f"{strings(row.get('vendor_id'))}:{strings(row.get('product_id'))}"})  # fmt: skip
        if depth < 8:
            found += peripherals([mapping(one) for one in listing(row.get("_items"))], depth + 1)
    return found[:MAX_LISTED]
