"""What Windows keeps of its network in the registry."""

from __future__ import annotations

from agent.registry_windows import tree

INTERFACES = r"SYSTEM\CurrentControlSet\Services\Tcpip\Parameters\Interfaces"


def name_servers(found: dict[str, dict[str, object]] | None = None) -> list[str]:
    """Return the name servers of all interfaces: those that were set, else those of DHCP."""
    servers: list[str] = []
    for values in (tree(INTERFACES) if found is None else found).values():
        told = str(values.get("NameServer") or values.get("DhcpNameServer") or "")
        servers.extend(told.replace(",", " ").split())
    return list(dict.fromkeys(servers))
