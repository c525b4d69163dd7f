"""What the machine is made of, on Linux. A part that the customer's policy switches off is not even looked at."""

from __future__ import annotations

import os

from agent.heavy import hardware_linux, software_linux
from agent.heavy.changes import inventory
from agent.heavy.tools import lines_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent.heavy.tools import Found, Task

MAX_LISTED = 2_000
ADMINISTRATORS = ("sudo", "wheel", "adm", "docker", "lxd", "libvirt")


def read(task: Task) -> Iterator[Found]:
    """Files of /sys, /proc, /etc and the package manager's database; dmidecode where we may.

    Metrics:
        watchdesk_inventory_change_timestamp_seconds (gauge): When that part last changed, 0 where it never did.
    """
    collectors: dict[str, Callable[[Task], object]] = {
        "hardware": hardware_linux.hardware,
        "serials": hardware_linux.serials,
        "os": software_linux.system,
        "software": software_linux.packages,
        "patches": software_linux.kernels,
        "users": users,
        "shares": shares,
        "disks": hardware_linux.disks,
        "addresses": addresses,
        "monitors": hardware_linux.monitors,
        "peripherals": hardware_linux.peripherals,
    }
    yield from inventory(task, collectors)


def users(task: Task) -> object:
    """Return the accounts of people and of root, and the groups that let them administer."""
    groups: dict[str, list[str]] = {}
    for line in lines_of(task.host.root + "/etc/group"):
        name, _, rest = line.partition(":")
        if name in ADMINISTRATORS:
            for member in rest.rpartition(":")[2].split(","):
                groups.setdefault(member, []).append(name)
    found = []
    for line in lines_of(task.host.root + "/etc/passwd"):
        fields = line.split(":")
        if len(fields) < 7 or not fields[2].isdigit():
            continue
        uid = int(fields[2])
        if uid == 0 or 1000 <= uid < 60_000:
            login = not fields[6].endswith(("nologin", "false"))
            found.append({"name": fields[0], "uid": uid, "login": login, "groups": sorted(groups.get(fields[0], []))})
    return found[:MAX_LISTED]


def shares(task: Task) -> object:
    """Return what is shared by Samba and NFS."""
    found: list[dict[str, str]] = []
    name = ""
    for line in lines_of(task.host.root + "/etc/samba/smb.conf"):
        text = line.strip()
        if text.startswith("[") and text.endswith("]"):
            name = text[1:-1]
        elif text.partition("=")[0].strip().lower() == "path" and name.lower() not in ("global", "printers", "print$"):
            found.append({"name": name, "path": text.partition("=")[2].strip(), "kind": "smb"})
    for line in lines_of(task.host.root + "/etc/exports"):
        words = line.split()
        if words and words[0].startswith("/"):
            found.append({"name": words[0], "path": words[0], "kind": "nfs", "clients": " ".join(words[1:])[:500]})
    return found[:MAX_LISTED]


def addresses(task: Task) -> object:
    """Return each interface with its hardware address, IP addresses, and the way out."""
    told = task.command(["ip", "-json", "address", "show"]).json()
    found = []
    for entry in told if isinstance(told, list) else []:
        name = str(entry.get("ifname", ""))
        if name == "lo" or name.startswith(("veth", "cali")):
            continue
        # What IPv6 makes up anew for each day would be a change of the inventory each day.
        lasting = [one for one in entry.get("addr_info", []) if not one.get("temporary") and "local" in one]
        listed = sorted(f"{one['local']}/{one.get('prefixlen', '')}" for one in lasting)
        found.append({"interface": name, "mac": str(entry.get("address", "")), "addresses": listed})
    gateways = [
        {"gateway": str(route.get("gateway", "")), "interface": str(route.get("dev", ""))}
        for route in task.command(["ip", "-json", "route", "show", "default"]).json() or []  # type: ignore[attr-defined]
        if isinstance(route, dict)
    ]
    servers = [
        line.split()[1] for line in lines_of(task.host.root + "/etc/resolv.conf")
        if line.startswith("nameserver") and len(line.split()) > 1
    ]  # fmt: skip
    return {"interfaces": found[:MAX_LISTED], "gateways": gateways, "dns": servers, "hostname": os.uname().nodename}
