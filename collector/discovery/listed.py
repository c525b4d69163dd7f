"""Which machines are in the register: by their addresses there, and by what agents and gear tell of themselves."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final

from collector.discovery.candidates import Place
from collector.events.store import EventStore
from collector.register import Register

_NO_MAC: Final = ("", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff")


@dataclass(slots=True)
class Here:
    """The machines of a site that are in the register: IP address → device, MAC address → device."""

    addresses: dict[str, int] = field(default_factory=dict)
    macs: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Own:
    """The addresses of one machine."""

    addresses: frozenset[str] = frozenset()
    macs: frozenset[str] = frozenset()


class Listed:
    """Knows the machines of the register.

    `resolved` gives the IP address of each device that is probed, `peers` that from which each agent came last, `gear`
    what network gear said of itself.
    """

    def __init__(
        self,
        register: Register,
        events: EventStore,
        *,
        resolved: Callable[[], Mapping[int, str]],
        peers: Callable[[], Mapping[int, str]],
        gear: Callable[[], Mapping[int, Own]],
    ) -> None:
        self._register = register
        self._events = events
        self._resolved = resolved
        self._peers = peers
        self._gear = gear
        self._told: dict[int, Own] = {}  # by agents in their inventories
        self._read = 0  # the last inventory that was read

    def agents(self) -> dict[int, Own]:
        """Return the addresses that agents tell; asks the database for inventories that are new."""
        for number, device, parts in self._events.inventories_after(self._read):
            self._read = number
            self._told[device] = of_inventory(parts)
        return self._told

    def read(self) -> dict[Place, Here]:
        """Return the machines of each site; asks the database."""
        told, gear, resolved = self.agents(), self._gear(), self._resolved()
        peers = self._peers()
        shared = Counter(peers.values())  # behind one address there may be many: it is none of theirs
        found: dict[Place, Here] = defaultdict(Here)
        for device in self._register.devices():
            here = found[device.customer, device.site]
            peer = peers.get(device.id, "")
            own = {device.address, resolved.get(device.id, ""), peer if shared[peer] == 1 else ""}
            for one in (told.get(device.id, Own()), gear.get(device.id, Own())):
                own |= one.addresses
                here.macs |= dict.fromkeys(one.macs, device.id)
            here.addresses |= dict.fromkeys(own - {""}, device.id)
        return found


def of_inventory(parts: Mapping[str, Any]) -> Own:
    """Return the addresses that an agent's inventory tells, on any system: whatever reads as one under a key for it."""
    listed = parts.get("addresses")
    rows = listed if isinstance(listed, list) else [listed]
    addresses: set[str] = set()
    macs: set[str] = set()
    for row in rows:
        for key, content in row.items() if isinstance(row, dict) else ():
            if "mac" in str(key).lower():
                macs |= {text.lower().replace("-", ":") for text in _texts(content)}
            elif "addr" in str(key).lower():
                addresses |= {address for text in _texts(content) if (address := _address(text))}
    return Own(frozenset(addresses), frozenset(macs) - set(_NO_MAC))


def _texts(content: object) -> Iterator[str]:
    for one in content if isinstance(content, list) else [content]:
        yield from str(one).replace(",", " ").split()


def _address(text: str) -> str:
    try:
        found = ip_address(text.partition("/")[0].partition("%")[0])
    except ValueError:
        return ""
    return "" if found.is_loopback or found.is_link_local else str(found)
