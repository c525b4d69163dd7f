"""The tree of a site: what each device hangs on, from the tables of its network gear. Pure.

Links between network devices come from LLDP and CDP, and make a graph; its root is the way out of the site. What is no
network gear hangs on the port where its MAC address is learned: of several switches the one whose port leads to the
fewest others, as all switches on the way see it too.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from collector.discovery.tables import Neighbour, Tables

OUTWARD: Final = ("router", "firewall", "gateway", "core")  # roles, the first of which is the way out


@dataclass(frozen=True, slots=True)
class Node:
    """A device of the site."""

    id: int
    name: str
    address: str
    klass: str
    role: str
    tables: Tables | None = None  # of network gear that was read


@dataclass(frozen=True, slots=True)
class Link:
    """What a device hangs on, and how that is known."""

    parent: int
    port: str
    how: str
    evidence: str


def parents(nodes: Mapping[int, Node]) -> dict[int, Link]:
    """Return the parent of each device that has one."""
    gear = {number: node for number, node in nodes.items() if node.tables is not None}
    edges = _edges(nodes, gear)
    found = _descend(gear, edges)
    found.update(
        (number, link) for number, node in nodes.items() if number not in gear if (link := _by_neighbour(number, edges))
    )
    uplinks = {(number, port) for number, links in edges.items() for other, (port, _) in links.items() if other in gear}
    addresses = {ip: hardware for node in gear.values() if node.tables for ip, hardware in node.tables.arp.items()}
    for number, node in nodes.items():
        if number not in gear and number not in found:
            link = _by_mac(node, gear, uplinks, addresses)
            if link is not None:
                found[number] = link
    return found


def _edges(nodes: Mapping[int, Node], gear: Mapping[int, Node]) -> dict[int, dict[int, tuple[str, Neighbour]]]:
    """Return device → neighbour → (port on the device, what it says of the neighbour)."""
    edges: dict[int, dict[int, tuple[str, Neighbour]]] = {number: {} for number in nodes}
    for number, node in gear.items():
        for neighbour in node.tables.neighbours if node.tables else ():
            other = _who(neighbour, nodes)
            if other is not None and other != number:
                edges[number].setdefault(other, (neighbour.port, neighbour))
    return edges


def _who(neighbour: Neighbour, nodes: Mapping[int, Node]) -> int | None:
    """Return the device that a neighbour is; names alone count only where one device has that name."""
    by_mac = [n for n, node in nodes.items() if node.tables and neighbour.mac and neighbour.mac in node.tables.macs]
    by_address = [n for n, node in nodes.items() if neighbour.address and node.address == neighbour.address]
    short = neighbour.name.partition(".")[0].lower()
    by_name = [n for n, node in nodes.items() if short and node.name.lower() == short]
    for found in (by_mac, by_address, by_name):
        if len(found) == 1:
            return found[0]
    return None


def _descend(gear: Mapping[int, Node], edges: Mapping[int, Mapping[int, tuple[str, Neighbour]]]) -> dict[int, Link]:
    """Walk the graph from its roots outward."""
    near: dict[int, set[int]] = {number: set() for number in gear}
    for number, links in edges.items():
        for other in links:
            if other in gear and number in gear:
                near[number].add(other)
                near[other].add(number)
    found: dict[int, Link] = {}
    seen: set[int] = set()
    for root in sorted(gear, key=lambda number: _rank(gear[number], len(near[number]))):
        if root in seen:
            continue
        seen.add(root)
        waiting = deque([root])
        while waiting:
            parent = waiting.popleft()
            for child in sorted(near[parent] - seen):
                seen.add(child)
                waiting.append(child)
                found[child] = _link(parent, child, edges, gear)
    return found


def _rank(node: Node, links: int) -> tuple[int, int, int, int]:
    role = OUTWARD.index(node.role) if node.role in OUTWARD else len(OUTWARD)
    return role, -len(node.tables.arp if node.tables else ()), -links, node.id


def _link(
    parent: int, child: int, edges: Mapping[int, Mapping[int, tuple[str, Neighbour]]], gear: Mapping[int, Node]
) -> Link:
    if child in edges[parent]:
        port, neighbour = edges[parent][child]
        return Link(parent, port, neighbour.how, f"{gear[parent].name} sees {neighbour.name} on {port}")
    port, neighbour = edges[child][parent]
    return Link(parent, neighbour.remote_port, neighbour.how, f"{gear[child].name} sees {neighbour.name} on {port}")


def _by_neighbour(number: int, edges: Mapping[int, Mapping[int, tuple[str, Neighbour]]]) -> Link | None:
    for parent, links in edges.items():
        if number in links:
            port, neighbour = links[number]
            return Link(parent, port, neighbour.how, f"{neighbour.name or neighbour.mac} tells so on {port}")
    return None


def _by_mac(
    node: Node, gear: Mapping[int, Node], uplinks: set[tuple[int, str]], addresses: Mapping[str, str]
) -> Link | None:
    hardware = addresses.get(node.address, "")
    if not hardware:
        return None
    best: tuple[int, int, Link] | None = None
    for number, switch in gear.items():
        tables = switch.tables
        port = tables.learned.get(hardware, "") if tables else ""
        if tables is None or not port or (number, port) in uplinks:
            continue
        behind = Counter(tables.learned.values())[port]
        link = Link(number, port, "mac", f"{switch.name} learned {hardware} ({node.address}) on {port}")
        if best is None or (behind, number) < best[:2]:
            best = behind, number, link
    return best[2] if best else None


def kinds(nodes: Mapping[int, Node], links: Mapping[int, Link]) -> dict[int, dict[str, str]]:
    """Return what hangs on the ports of each device: port → uplink, server, access_point, phone or desktop."""
    order = ("uplink", "server", "access_point", "phone", "desktop")
    found: dict[int, dict[str, str]] = {}
    for number, link in links.items():
        node = nodes[number]
        kind = {"server": "server", "desktop": "desktop"}.get(node.klass, "desktop")
        if node.klass == "network":
            kind = "access_point" if node.role in ("ap", "access_point") else "uplink"
        known = found.setdefault(link.parent, {})
        known[link.port] = min(known.get(link.port, kind), kind, key=order.index)
    for number, node in nodes.items():  # the port that leads up is an uplink, too
        for neighbour in node.tables.neighbours if node.tables and number in links else ():
            if _who(neighbour, nodes) == links[number].parent:
                found.setdefault(number, {})[neighbour.port] = "uplink"
    return found
