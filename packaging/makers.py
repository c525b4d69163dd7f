"""Makes `collector/discovery/makers.txt` from the IEEE's list of OUIs: `python packaging/makers.py oui.csv`."""

from __future__ import annotations

import csv
import re
import sys
import textwrap
from collections import defaultdict
from pathlib import Path

# What is found in offices: the name that people know, and a pattern of the names under which it registers.
MAKERS = {
    "Apple": r"apple, inc",
    "Cisco": r"cisco (systems|spvtg|meraki)|cisco-linksys",
    "Huawei": r"huawei",
    "H3C": r"h3c",
    "ZTE": r"zte corp",
    "Ruijie": r"ruijie|fujian star-net",
    "Juniper": r"juniper net",
    "Aruba": r"aruba|hewlett packard enterprise",
    "HP": r"hewlett.packard$|^hp inc",
    "Dell": r"^dell (inc|emc)",
    "Lenovo": r"lenovo",
    "Intel": r"intel corp",
    "Samsung": r"samsung electronics",
    "Microsoft": r"microsoft",
    "VMware": r"vmware",
    "QEMU/Proxmox": r"proxmox",
    "Xen": r"xensource",
    "Nutanix": r"nutanix",
    "Supermicro": r"super micro",
    "IBM": r"^ibm corp",
    "Fujitsu": r"^fujitsu (limited|tech)",
    "MikroTik": r"routerboard|mikrotik",
    "Ubiquiti": r"ubiquiti",
    "TP-Link": r"tp-link",
    "D-Link": r"^d-link",
    "NETGEAR": r"netgear",
    "Zyxel": r"zyxel",
    "Fortinet": r"fortinet",
    "Palo Alto": r"palo alto net",
    "SonicWall": r"sonicwall",
    "WatchGuard": r"watchguard",
    "Sophos": r"sophos",
    "Check Point": r"check point",
    "Extreme": r"extreme networks",
    "Ruckus": r"ruckus",
    "Brocade": r"brocade",
    "Arista": r"arista net",
    "Mellanox": r"mellanox",
    "Allied Telesis": r"allied telesis|allied telesyn",
    "Alcatel-Lucent": r"alcatel-lucent ent",
    "Synology": r"synology",
    "QNAP": r"qnap",
    "APC": r"american power conv",
    "Eaton": r"^eaton|powerware",
    "Vertiv": r"vertiv|emerson network power|liebert",
    "Brother": r"brother ind",
    "Canon": r"^canon",
    "Epson": r"seiko epson",
    "Kyocera": r"kyocera d|kyocera corp",
    "Konica Minolta": r"konica minolta",
    "Ricoh": r"ricoh",
    "Xerox": r"^xerox|fuji.?xerox",
    "Lexmark": r"lexmark",
    "OKI": r"oki electric|oki data",
    "Zebra": r"zebra tech",
    "Sharp": r"^sharp corp",
    "Hikvision": r"hikvision",
    "Dahua": r"dahua",
    "Axis": r"axis comm",
    "Yealink": r"yealink",
    "Polycom": r"polycom",
    "Snom": r"^snom",
    "Grandstream": r"grandstream",
    "Avaya": r"^avaya",
    "AVM": r"^avm",
    "Raspberry Pi": r"raspberry",
    "Espressif": r"espressif",
    "Amazon": r"amazon tech",
    "Google": r"^google",
    "Xiaomi": r"xiaomi comm",
    "ASUS": r"asustek",
    "Gigabyte": r"giga-byte",
    "MSI": r"micro-star int",
    "Realtek": r"realtek semi",
    "Sony": r"^sony",
    "LG": r"^lg elec",
    "Siemens": r"^siemens",
    "Moxa": r"^moxa",
    "Advantech": r"^advantech",
    "DrayTek": r"draytek",
    "LANCOM": r"lancom",
    "Inspur": r"inspur",
    "Sangfor": r"sangfor",
    "Maipu": r"maipu",
}
# What no list of the IEEE has: addresses that hypervisors give.
EXTRA = {"QEMU/Proxmox": ["525400"]}
HEAD = "# Makers and their OUIs, made by packaging/makers.py from the public list of the IEEE.\n"


def main() -> None:
    """Write the table."""
    found: dict[str, set[str]] = defaultdict(set, {name: set(ouis) for name, ouis in EXTRA.items()})
    patterns = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in MAKERS.items()}
    with Path(sys.argv[1]).open(encoding="utf-8") as file:
        for _, oui, organization, *_ in csv.reader(file):
            name = next((name for name, pattern in patterns.items() if pattern.search(organization)), "")
            if name and len(oui) == 6:
                found[name].add(oui.lower())
    lines = [HEAD]
    for name in sorted(found):
        text = textwrap.fill(" ".join(sorted(found[name])), 118, initial_indent=" ", subsequent_indent=" ")
        lines.append(f"{name}\n{text}\n")
    (Path(__file__).parents[1] / "collector/discovery/makers.txt").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
