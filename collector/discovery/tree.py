"""The tree of a site: what each device hangs on, from the tables of its network gear. Pure.

Links between network devices come from LLDP and CDP, and make a graph; its root is the way out of the site. What is no
network gear hangs on the port where its MAC address is learned: of several switches the one whose port leads to the
fewest others, as all switches on the way see it too. Where no switch tells, the router that has it in its ARP table
counts; where network gear has no neighbour that tells, the next hop of its default route.
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
    addresses: frozenset[str] = frozenset()  # further ones, as its agent tells
    macs: frozenset[str] = frozenset()


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
        if number not in found and number not in gear:
            link = _by_mac(node, gear, uplinks, addresses) or _by_arp(node, gear)
        elif number not in found:
            link = _by_mac(node, gear, uplinks, addresses) if not edges[number] else None
            link = link or _by_route(number, gear)
        else:
            continue
        if link is not None and not _circle(number, link.parent, found):
            found[number] = link
    return found


def _circle(number: int, parent: int, found: Mapping[int, Link]) -> bool:
    seen = parent
    while seen != number and seen in found:
        seen = found[seen].parent
    return seen == number


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
    known = {addresses.get(address, ""): address for address in sorted({node.address, *node.addresses})}
    known = {**dict.fromkeys(sorted(node.macs), ""), **known}
    known.pop("", None)
    best: tuple[int, int, Link] | None = None
    for number, switch in gear.items():
        if switch is node or switch.tables is None:
            continue
        for hardware, address in known.items():
            port = switch.tables.learned.get(hardware, "")
            if not port or (number, port) in uplinks:
                continue
            behind = Counter(switch.tables.learned.values())[port]
            who = f"{hardware} ({address})" if address else hardware
            link = Link(number, port, "mac", f"{switch.name} learned {who} on {port}")
            if best is None or (behind, number) < best[:2]:
                best = behind, number, link
    return best[2] if best else None


def _by_arp(node: Node, gear: Mapping[int, Node]) -> Link | None:
    """Return the router nearest to a device by its ARP table: the smallest that has it."""
    found: list[tuple[int, int, Link]] = []
    for number, router in gear.items():
        tables = router.tables or Tables()
        for address in sorted({node.address, *node.addresses} & set(tables.arp)):
            words = f"{router.name} has {address} as {tables.arp[address]} in its ARP table"
            found.append((len(tables.arp), number, Link(number, tables.arp_ports.get(address, ""), "arp", words)))
    return min(found, key=lambda one: one[:2])[2] if found else None


def _by_route(number: int, gear: Mapping[int, Node]) -> Link | None:
    """Return the device of the site to which a router sends what it has no other way for."""
    tables = gear[number].tables
    for hop in tables.gateways if tables else ():
        for other, node in gear.items():
            if other != number and node.tables and hop in {node.address, *node.tables.addresses}:
                return Link(other, "", "route", f"the default route of {gear[number].name} leads to {hop}")
    return None


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
