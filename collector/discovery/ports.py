"""The network interfaces of this machine."""

from __future__ import annotations

import socket
from ipaddress import IPv4Interface, IPv6Interface
from typing import Final

import psutil

from collector.discovery.task import Port

_NO_MAC: Final = ("", "00:00:00:00:00:00")


def ports() -> list[Port]:
    """Return the interfaces that are up and speak Ethernet, with the addresses that are no link's own."""
    up = {name for name, stats in psutil.net_if_stats().items() if stats.isup}
    found = []
    for name, entries in sorted(psutil.net_if_addrs().items()):
        macs = [entry.address.lower().replace("-", ":") for entry in entries if entry.family == psutil.AF_LINK]
        if name not in up or not macs or macs[0] in _NO_MAC:
            continue
        addresses: list[IPv4Interface | IPv6Interface] = []
        for entry in entries:
            if entry.family == socket.AF_INET and entry.netmask:
                addresses.append(IPv4Interface(f"{entry.address}/{entry.netmask}"))
            elif entry.family == socket.AF_INET6 and not entry.address.startswith("fe80"):
                bits = sum(part.bit_count() for part in socket.inet_pton(socket.AF_INET6, entry.netmask or "ffff::"))
                addresses.append(IPv6Interface(f"{entry.address}/{bits}"))
        found.append(Port(name, macs[0], tuple(addresses)))
    return found
