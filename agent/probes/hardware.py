"""What keeps a server honest: memory errors, RAID arrays, bonded links; and what it is."""

from __future__ import annotations

from agent.probes import NoData, probe
from agent.probes.host import list_directory, read_attribute, read_number
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host
DMI = (
    "bios_date bios_release bios_vendor bios_version board_asset_tag board_name board_serial board_vendor "
    "board_version chassis_asset_tag chassis_serial chassis_vendor chassis_version product_family product_name "
    "product_serial product_sku product_uuid product_version sys_vendor"
).split()
PRIVATE = ("serial", "uuid", "asset_tag")
EDAC = (("ce", "correctable"), ("ue", "uncorrectable"))


@probe("hardware", blocks=False)
def hardware(host: Host) -> Iterator[tuple[str, float]]:
    """EDAC, bonding, NVMe and DMI of /sys.

    Metrics:
        node_edac_correctable_errors_total (counter): Total correctable memory errors.
        node_edac_uncorrectable_errors_total (counter): Total uncorrectable memory errors.
        node_edac_csrow_correctable_errors_total (counter): Total correctable memory errors for this csrow.
        node_edac_csrow_uncorrectable_errors_total (counter): Total uncorrectable memory errors for this csrow.
        node_bonding_slaves (gauge): Number of configured slaves per bonding interface.
        node_bonding_active (gauge): Number of active slaves per bonding interface.
        node_nvme_info (gauge): Non-numeric data from /sys/class/nvme/<device>, value is always 1.
        node_dmi_info (gauge): What the board's firmware tells of itself, value is always 1.
    """
    readings = [*_edac(host), *_bonding(host), *_nvme(host), *_dmi(host)]
    if not readings:
        raise NoData("hardware")
    yield from readings


def _names(path: str, prefix: str = "") -> list[str]:
    try:
        return [name for name in list_directory(path) if name.startswith(prefix)]
    except NoData:
        return []


def _edac(host: Host) -> Iterator[tuple[str, float]]:
    folder = host.sys + "/devices/system/edac/mc"
    for name in _names(folder, "mc"):
        if not name[2:].isdigit():
            continue
        for short, kind in EDAC:
            count = read_number(f"{folder}/{name}/{short}_count")
            if count is not None:
                yield f"node_edac_{kind}_errors_total" + labels(controller=name[2:]), count
            rows = [("unknown", f"{short}_noinfo_count")]
            rows += [(row[5:], f"{row}/{short}_count") for row in _names(f"{folder}/{name}", "csrow")]
            for row, file in rows:
                count = read_number(f"{folder}/{name}/{file}")
                if count is not None:
                    label = labels(controller=name[2:], csrow=row)
                    yield f"node_edac_csrow_{kind}_errors_total{label}", count


def _bonding(host: Host) -> Iterator[tuple[str, float]]:
    folder = host.sys + "/class/net"
    for master in (read_attribute(folder + "/bonding_masters") or "").split():
        slaves = (read_attribute(f"{folder}/{master}/bonding/slaves") or "").split()
        states = [_mii_status(f"{folder}/{master}", slave) for slave in slaves]
        yield "node_bonding_slaves" + labels(master=master), float(len(slaves))
        yield "node_bonding_active" + labels(master=master), float(states.count("up"))


def _mii_status(master: str, slave: str) -> str | None:
    state = read_attribute(f"{master}/lower_{slave}/bonding_slave/mii_status")
    return state if state is not None else read_attribute(f"{master}/slave_{slave}/bonding_slave/mii_status")


def _nvme(host: Host) -> Iterator[tuple[str, float]]:
    folder = host.sys + "/class/nvme"
    for device in _names(folder):
        files = {"firmware_revision": "firmware_rev", "model": "model", "serial": "serial", "state": "state"}
        texts = {label: read_attribute(f"{folder}/{device}/{file}") or "" for label, file in files.items()}
        if not host.allows("serials"):
            texts["serial"] = ""
        yield "node_nvme_info" + labels(device=device, **texts), 1.0


def _dmi(host: Host) -> Iterator[tuple[str, float]]:
    known = host.memory.get("hardware.dmi")
    if not isinstance(known, str):  # it is the same until the next boot
        files = DMI if host.allows("serials") else [file for file in DMI if not file.endswith(PRIVATE)]
        texts = {file: read_attribute(f"{host.sys}/class/dmi/id/{file}") for file in files}
        told = {file.replace("sys_vendor", "system_vendor"): text for file, text in texts.items() if text is not None}
        known = labels(**told) if told else ""
        host.memory["hardware.dmi"] = known
    if known:
        yield "node_dmi_info" + known, 1.0
