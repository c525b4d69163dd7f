"""Hardware of Linux: the board, processors, memory, disks, monitors, what is plugged in."""

from __future__ import annotations

import os

from agent.heavy.edid import monitor
from agent.heavy.tools import lines_of
from agent.probes import NoData
from agent.probes.host import list_directory, read_attribute, read_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.heavy.tools import Task

BOARD = {
    "vendor": "sys_vendor", "product": "product_name", "version": "product_version", "board": "board_name",
    "board_vendor": "board_vendor", "bios_vendor": "bios_vendor", "bios_version": "bios_version",
    "bios_date": "bios_date", "chassis_type": "chassis_type",
}  # fmt: skip
SERIALS = {"product": "product_serial", "board": "board_serial", "chassis": "chassis_serial", "uuid": "product_uuid"}
NO_DISK = ("loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd")
SECTOR = 512
STEP = 64 << 20  # memory is told in steps, for the kernel takes a little of it at each start
HUB = "09"


def hardware(task: Task) -> object:
    """Return board, firmware, processors and memory."""
    folder = task.host.sys + "/class/dmi/id/"
    found: dict[str, object] = {}
    for name, file in BOARD.items():
        text = read_attribute(folder + file)
        if text:
            found[name] = text
    found.update(_processors(task))
    for line in lines_of(task.host.proc + "/meminfo"):
        if line.startswith("MemTotal:"):
            found["memory_bytes"] = round(int(line.split()[1]) * 1024 / STEP) * STEP
    modules = memory_modules(task.command(["dmidecode", "--type", "memory"]).text, with_serial=task.allows("serials"))
    if modules:
        found["memory_modules"] = modules
    return found


def _processors(task: Task) -> dict[str, object]:
    models: dict[str, int] = {}
    for line in lines_of(task.host.proc + "/cpuinfo"):
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model"):
            models[value.strip()] = models.get(value.strip(), 0) + 1
    return {"processor": ", ".join(models), "processors": sum(models.values())}


def memory_modules(text: str, *, with_serial: bool) -> list[dict[str, str]]:
    """Return the modules of `dmidecode --type memory`: blocks of `Name: value` lines, headed by "Memory Device"."""
    wanted = {"Size": "size", "Locator": "slot", "Type": "type", "Speed": "speed", "Manufacturer": "vendor",
              "Part Number": "part"}  # fmt: skip
    if with_serial:
        wanted["Serial Number"] = "serial"
    found: list[dict[str, str]] = []
    for block in text.split("\n\n"):
        if "\nMemory Device\n" not in block:
            continue
        pairs = (line.strip().partition(": ") for line in block.splitlines())
        module = {wanted[name]: value.strip() for name, _, value in pairs if name in wanted}
        if module.get("size", "No Module Installed") != "No Module Installed":
            found.append(module)
    return found


def serials(task: Task) -> object:
    """Return the serial numbers of the machine; root alone may read them."""
    texts = {name: read_attribute(f"{task.host.sys}/class/dmi/id/{file}") for name, file in SERIALS.items()}
    return {name: text for name, text in texts.items() if text}


def disks(task: Task) -> object:
    """Return the disks: what they are, how large, and their serial numbers if those may be told."""
    folder = task.host.sys + "/block"
    found = []
    for name in list_directory(folder):
        sectors = read_number(f"{folder}/{name}/size")
        if name.startswith(NO_DISK) or not sectors:
            continue
        disk: dict[str, object] = {"name": name, "bytes": int(sectors * SECTOR)}
        for member, file in (
            ("model", "device/model"),
            ("vendor", "device/vendor"),
            ("firmware", "device/firmware_rev"),
        ):
            text = read_attribute(f"{folder}/{name}/{file}")
            if text:
                disk[member] = text
        disk["rotating"] = read_attribute(f"{folder}/{name}/queue/rotational") == "1"
        disk["removable"] = read_attribute(f"{folder}/{name}/removable") == "1"
        serial = _disk_serial(task, name) if task.allows("serials") else ""
        if serial:
            disk["serial"] = serial
        found.append(disk)
    return found


def _disk_serial(task: Task, name: str) -> str:
    for file in ("device/serial", "serial"):
        text = read_attribute(f"{task.host.sys}/block/{name}/{file}")
        if text:
            return text
    number = read_attribute(f"{task.host.sys}/block/{name}/dev") or ""
    for line in lines_of(f"{task.host.root}/run/udev/data/b{number}"):
        if line.startswith("E:ID_SERIAL_SHORT="):
            return line.partition("=")[2]
    return ""


def monitors(task: Task) -> object:
    """Return the monitors that are connected, from what they tell of themselves."""
    folder = task.host.sys + "/class/drm"
    found = []
    for name in list_directory(folder):
        try:
            with open(f"{folder}/{name}/edid", "rb") as file:
                told = monitor(file.read(1_024), with_serial=task.allows("serials"))
        except OSError:
            continue
        if told:
            found.append({"connector": name.partition("-")[2], **told})
    return found


def peripherals(task: Task) -> object:
    """Return what is plugged into USB, hubs left out."""
    folder = task.host.sys + "/bus/usb/devices"
    found = []
    try:
        names = list_directory(folder)
    except NoData:
        return []
    for name in names:
        place = f"{folder}/{name}"
        if ":" in name or read_attribute(place + "/bDeviceClass") in (HUB, None) or not os.path.isdir(place):
            continue
        device = {"port": name}
        for member, file in (("vendor", "manufacturer"), ("product", "product")):
            text = read_attribute(f"{place}/{file}")
            if text:
                device[member] = text
        device["id"] = f"{read_attribute(place + '/idVendor')}:{read_attribute(place + '/idProduct')}"
        found.append(device)
    return found
