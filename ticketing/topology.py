"""What is known of the devices that incidents are about: what they hang on, how much they matter, who uses them.

The composition fills it from the register; correlation and priority read it. A device is named by its place: customer,
site and host name, as incidents name it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

_DEEPEST: Final = 64  # of a chain of parents; a longer one is a mistake and ends here
_UNWATCHED: Final = frozenset({"desktop", "printer"})  # they may be off without anybody being told

Text = Annotated[str, Meta(max_length=255)]
People = Annotated[int, Meta(ge=0, le=10_000_000)]


class Place(NamedTuple):
    """Where a device stands, and its name there."""

    customer: str
    site: str
    device: str


class Service(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that runs on a device, and how many people use it."""

    name: Annotated[str, Meta(min_length=1, max_length=255)]
    users: People = 0


class Contact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whom to call at a site."""

    name: Text = ""
    phone: Text = ""
    email: Text = ""


class Site(msgspec.Struct, frozen=True):
    """A place of a customer: how many people work there, whom to call, which clock hangs on its wall."""

    customer: str
    site: str
    people: int = 0
    contact: Contact = Contact()
    timezone: str = ""


class Device(msgspec.Struct, frozen=True):
    """A device; `parent` and `power` are instances of other devices, "" where nothing is known.

    `parent` is what it reaches the network through, and `port` where it is plugged in there; `power` is the UPS that
    feeds it. A `criticality` of 1 to 3 is the impact of its failure, whatever else is known.
    """

    instance: str
    customer: str
    site: str
    name: str
    klass: str = ""
    role: str = ""
    criticality: int | None = None
    parent: str = ""
    port: str = ""
    rack: str = ""
    power: str = ""
    services: tuple[Service, ...] = ()

    @property
    def place(self) -> Place:
        """Return how incidents name it."""
        return Place(self.customer, self.site, self.name)

    @property
    def users(self) -> int:
        """Return how many people use what runs on it."""
        return sum(service.users for service in self.services)

    @property
    def watched(self) -> bool:
        """Tell whether its silence is a fault: desktops may be off."""
        return self.klass not in _UNWATCHED


@dataclass(slots=True)
class Topology:
    """The devices and sites, by name; may change between two uses."""

    devices: dict[str, Device] = field(default_factory=dict)  # by instance
    sites: dict[tuple[str, str], Site] = field(default_factory=dict)
    _places: dict[Place, Device] = field(default_factory=dict)
    _children: dict[str, set[str]] = field(default_factory=dict)
    _at: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    def put(self, device: Device) -> None:
        """Add a device, or take what is now known of it."""
        self.remove(device.instance)
        self.devices[device.instance] = device
        self._places[device.place] = device
        self._at.setdefault((device.customer, device.site), set()).add(device.instance)
        if device.parent:
            self._children.setdefault(device.parent, set()).add(device.instance)

    def remove(self, instance: str) -> None:
        """Forget a device."""
        device = self.devices.pop(instance, None)
        if device is None:
            return
        self._places.pop(device.place, None)
        self._at[device.customer, device.site].discard(instance)
        if device.parent:
            self._children[device.parent].discard(instance)

    def put_site(self, site: Site) -> None:
        """Add a site, or take what is now known of it."""
        self.sites[site.customer, site.site] = site

    def find(self, place: Place) -> Device | None:
        """Return the device of a place."""
        return self._places.get(place)

    def named(self, customer: str, site: str, name: str) -> Device | None:
        """Return the device that a label names: an instance, or a host name with or without port or domain."""
        known = self.devices.get(name)
        if known is not None:
            return known if known.customer == customer else None
        host = name.rsplit(":", 1)[0].lower()
        for short in (host, host.partition(".")[0]):
            here = self._places.get(Place(customer, site, short))
            if here is not None:
                return here
        return None

    def above(self, device: Device) -> Iterator[Device]:
        """Yield what a device hangs on, the nearest first; a circle ends where it closes."""
        seen = {device.instance}
        while len(seen) < _DEEPEST:
            parent = self.devices.get(device.parent)
            if parent is None or parent.instance in seen:
                return
            seen.add(parent.instance)
            yield parent
            device = parent

    def below(self, device: Device) -> list[Device]:
        """Return all that hangs on a device, directly or not."""
        found: dict[str, Device] = {}
        waiting = [device.instance]
        while waiting:
            for child in self._children.get(waiting.pop(), ()):
                if child not in found and child != device.instance and child in self.devices:
                    found[child] = self.devices[child]
                    waiting.append(child)
        return [found[name] for name in sorted(found)]

    def on(self, device: Device) -> list[Device]:
        """Return what hangs directly on a device."""
        return [self.devices[name] for name in sorted(self._children.get(device.instance, ())) if name in self.devices]

    def at(self, customer: str, site: str) -> list[Device]:
        """Return the devices of a site."""
        return [self.devices[name] for name in sorted(self._at.get((customer, site), ()))]

    def site(self, customer: str, site: str) -> Site:
        """Return what is known of a site."""
        return self.sites.get((customer, site)) or Site(customer, site)
