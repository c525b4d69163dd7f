"""What is known of this machine without asking anybody: desktop or server, and whom it speaks to anyway."""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from agent.diagnosis.arguments import spec
from agent.diagnosis.errors import Denied
from agent.diagnosis.policy import Policy

DISPLAY_MANAGERS = ("/etc/systemd/system/display-manager.service", "/etc/X11/default-display-manager")
PRODUCT = r"SYSTEM\CurrentControlSet\Control\ProductOptions"


def kind(root: str = "") -> str:
    """Return "desktop" where people log in to a screen, else "server"."""
    if sys.platform == "darwin":
        return "desktop"
    if sys.platform == "win32":
        return _kind_windows()
    return "desktop" if any(os.path.lexists(root + path) for path in DISPLAY_MANAGERS) else "server"


def _kind_windows() -> str:
    import winreg

    with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, PRODUCT) as key:  # type: ignore[attr-defined,unused-ignore]
        return "desktop" if winreg.QueryValueEx(key, "ProductType")[0] == "WinNT" else "server"  # type: ignore[attr-defined,unused-ignore]


def known_targets(options: Mapping[str, str], urls: list[str], root: str = "", proc: str = "/proc") -> set[str]:
    """Return the hosts that this machine speaks to by its own configuration: itself, its gateways and name servers,
    its collector, and what agent.conf has it check.
    """
    found = {"localhost", "127.0.0.1", "::1", socket.gethostname().lower()}
    found |= {_host_of(url) for url in urls}
    found |= _gateways(proc) | _name_servers(root)
    for key, value in options.items():
        if key.startswith(("check.", "exporter.")) and "://" in value:
            found.add(_host_of(value.split()[-1]))
        elif key.startswith("check.") and value.startswith(("tcp ", "icmp ")):
            found.add(value.split()[1].rpartition(":")[0] if value.startswith("tcp ") else value.split()[1])
        elif key in ("reach.internet", "reach.dns"):
            found |= {word.strip().rpartition(":")[0] or word.strip() for word in value.split(",")}
    return {host.strip("[]").lower() for host in found if host}


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _gateways(proc: str) -> set[str]:
    try:
        with open(f"{proc}/net/route", encoding="ascii") as file:
            rows = [line.split() for line in file]
    except OSError:
        return set()
    return {
        socket.inet_ntoa(struct.pack("<I", int(row[2], 16)))
        for row in rows[1:]
        if len(row) > 2 and row[1] == "00000000" and row[2] != "00000000"
    }


def _name_servers(root: str) -> set[str]:
    found: set[str] = set()
    for path in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"):
        try:
            with open(root + path, encoding="utf-8", errors="replace") as file:
                found |= {line.split()[1] for line in file if line.startswith("nameserver ") and len(line.split()) > 1}
        except OSError:
            continue
    return found


def check_targets(asked: Any, policy: Policy, known: set[str]) -> None:
    """See to it that a diagnosis speaks to nobody whom the machine does not know or the policy does not name.

    Raises:
        Denied: it would.
    """
    for name, bounds in spec(type(asked)).items():
        value = getattr(asked, name)
        if bounds.get("target") and value:
            host = (_host_of(value) if "://" in value else value).strip("[]").lower()
            if host not in known and not policy.lets_speak_to(host):
                raise Denied("target", f"{host[:100]} is not among the targets of the policy, and not known here")
