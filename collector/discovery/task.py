"""What the discovery helper is asked to do, and what will be sent for it: worked out before anything is sent. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_network,
)
from typing import Annotated, Final

import msgspec
from msgspec import Meta

PASSES: Final = 2  # who does not answer is asked once more
MOST: Final = 4_096  # addresses of a network that are asked one by one
MOST_V6: Final = 1_024
PORTS: Final = (22, 23, 80, 443, 445, 3389, 9100)  # SSH, Telnet, web, file shares, remote desktop, printing
MULTICASTS: Final = 2  # questions to all nodes of a link: an echo, and one with an option that nobody knows
Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Area(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A network of a site, in CIDR; nothing is sent to what lies in none."""

    site: Annotated[str, Meta(max_length=200)]  # site.customer
    network: Annotated[str, Meta(max_length=64)]


class Look(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A closer look at one machine, if it lies in a network of the task."""

    address: Annotated[str, Meta(max_length=64)]


class Task(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the helper does from its start to the end of its input."""

    areas: Annotated[list[Area], Meta(max_length=1024)]
    rate: Annotated[float, Meta(ge=1, le=1000)] = 50.0  # packets a second, all together
    interval: Annotated[float, Meta(ge=0, le=86400)] = 240.0  # seconds from sweep to sweep; 0: one, then the end
    listen: bool = True  # to ARP, neighbour discovery, DHCP and mDNS that is spoken anyhow
    ports: Annotated[list[int], Meta(max_length=32)] = []  # TCP, tried on a machine that is looked at
    scapy: bool = False  # send and receive with scapy, where there is no AF_PACKET


class Port(msgspec.Struct, frozen=True):
    """A network interface of this machine: its addresses with their masks, and its MAC address."""

    name: str
    mac: str
    addresses: tuple[IPv4Interface | IPv6Interface, ...]


class Step(msgspec.Struct, frozen=True):
    """A part of a sweep.

    Attributes:
        how: arp, ndp (a question for each address), multicast (one for all nodes of a link), icmp (routed), or skip.
        port: the interface; empty where the system's routes decide.
        own: the address of ours that asks.
        why: of a step that is skipped.
    """

    site: str
    how: str
    network: Network
    port: str = ""
    own: str = ""
    why: str = ""

    @property
    def count(self) -> int:
        """Addresses that are asked one by one."""
        return hosts(self.network) if self.how in ("arp", "ndp", "icmp") else 0

    @property
    def packets(self) -> int:
        """The most that is sent for it in one sweep."""
        return MULTICASTS * PASSES if self.how == "multicast" else PASSES * self.count


def hosts(network: Network) -> int:
    """Return how many hosts a network may have."""
    spare = 2 if network.version == 4 and network.prefixlen < 31 else 0
    return network.num_addresses - spare


def addresses(network: Network) -> Iterator[Address]:
    """Yield the addresses of the hosts of a network."""
    return iter(network.hosts()) if network.num_addresses > 1 else iter([network.network_address])


def plan(areas: Iterable[Area], ports: Sequence[Port]) -> list[Step]:
    """Return the steps of a sweep, in the order of the networks; a network that two sites name belongs to neither."""
    steps: list[Step] = []
    taken: list[tuple[Network, str]] = []
    for area in areas:
        network = ip_network(area.network)
        clash = next((site for other, site in taken if site != area.site and _overlap(other, network)), "")
        taken.append((network, area.site))
        if clash:
            steps = [one if not _overlap(one.network, network) else _skipped(one, area.site) for one in steps]
            steps.append(Step(area.site, "skip", network, why=f"{clash} names it, too"))
        elif isinstance(network, IPv4Network):
            steps += _four(area.site, network, ports)
        else:
            steps += _six(area.site, network, ports)
    return steps


def _overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(other)


def _skipped(step: Step, site: str) -> Step:
    return Step(step.site, "skip", step.network, why=f"{site} names it, too")


def _four(site: str, network: IPv4Network, ports: Sequence[Port]) -> Iterator[Step]:
    if hosts(network) > MOST:
        yield Step(site, "skip", network, why=f"{hosts(network)} addresses; at most {MOST} are asked one by one")
        return
    left = [network]
    for port in ports:
        for own in port.addresses:
            if not isinstance(own, IPv4Interface):
                continue
            link, rest = own.network, list[IPv4Network]()
            for part in left:
                if part.subnet_of(link):
                    yield Step(site, "arp", part, port.name, str(own.ip))
                elif link.subnet_of(part):
                    yield Step(site, "arp", link, port.name, str(own.ip))
                    rest += part.address_exclude(link)
                else:
                    rest.append(part)
            left = rest
    yield from (Step(site, "icmp", part) for part in sorted(left))


def _six(site: str, network: IPv6Network, ports: Sequence[Port]) -> Iterator[Step]:
    found = False
    for port in ports:
        for own in port.addresses:
            if isinstance(own, IPv6Interface) and own.ip in network:
                found = True
                yield Step(site, "multicast", network, port.name, str(own.ip))
                if hosts(network) <= MOST_V6 and network.subnet_of(own.network):
                    yield Step(site, "ndp", network, port.name, str(own.ip))
    if not found and hosts(network) <= MOST_V6:
        yield Step(site, "icmp", network)
    elif not found:
        yield Step(site, "skip", network, why="this machine has no address in it, and it is too large to be asked")


def words(steps: Sequence[Step], rate: float) -> list[str]:
    """Return what a sweep will send, a line for each step and one for the whole."""
    lines = [_line(step) for step in steps]
    packets = sum(step.packets for step in steps)
    lines.append(f"at most {packets} packets, {rate:g} a second: {packets / rate:.0f} s")
    return lines


def _line(step: Step) -> str:
    where = f"{step.site} {step.network}" + (f" on {step.port}" if step.port else "")
    each = f"to {step.count} addresses, {PASSES} each at most"
    match step.how:
        case "arp":
            return f"{where}: ARP requests from {step.own} {each}"
        case "ndp":
            return f"{where}: neighbour solicitations from {step.own} {each}"
        case "multicast":
            return f"{where}: {step.packets} ICMPv6 questions from {step.own} to all nodes of the link"
        case "icmp":
            return f"{where}: ICMP echo requests, as this machine routes, {each}"
    return f"{where}: nothing is sent: {step.why}"
