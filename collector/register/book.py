"""The register as a file: one YAML form for `watchdesk devices import`, `export` and `watchdesk backtest --register`.

    sites:
      hq.acme: {people: 42, contact: {name: Wang Fang, phone: +86 21 5555 0100}, timezone: Asia/Shanghai}
    devices:
      sw1.hq.acme: {class: network, role: core}
      fs01.hq.acme:
        class: server
        parent: sw1          # a device of the same site, or host.site.customer
        port: Gi0/3
        criticality: 1       # 1 (worst) to 3; by default it follows from the class and the users
        rack: R1
        power: ups1          # the UPS that feeds it
        address: 10.1.1.20   # it is polled there; sites have `networks: [10.1.1.0/24]`
        polling: {interval: 60, tcp: [22]}
        services: [{name: File share, users: 42}]

A recording may name its devices otherwise: then an entry gives `customer` and `site` itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import yaml
from msgspec import Meta

from collector.errors import RegisterError
from collector.yamlfile import Document
from ticketing.topology import Contact, Device, People, Service, Site, Text, Topology

CLASSES = ("desktop", "server", "network", "ups", "printer")
How = Literal["manual", "lldp", "cdp", "mac", "arp", "route", "agent"]


class SiteForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the file says of a site."""

    people: People = 0
    contact: Contact = Contact()
    timezone: Text = ""
    networks: Annotated[list[Text], Meta(max_length=64)] = []  # in CIDR: what may be scanned for devices


class Polling(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a device with an address is polled."""

    snmp: bool = True
    icmp: bool = True
    port: Annotated[int, Meta(ge=1, le=65535)] = 161
    interval: Annotated[float, Meta(ge=1, le=86400)] | None = None
    tcp: Annotated[list[Annotated[int, Meta(ge=1, le=65535)]], Meta(max_length=16)] = []
    credential: Text = ""  # the name of the one to use; by default it is found out
    profile: Text = ""  # by default it follows from sysObjectID and sysDescr


class DeviceForm(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"klass": "class"}
):
    """What the file says of a device."""

    customer: Annotated[str, Meta(max_length=64)] = ""
    site: Annotated[str, Meta(max_length=64)] = ""
    klass: Text = ""
    role: Text = ""
    criticality: Annotated[int, Meta(ge=1, le=3)] | None = None
    parent: Text = ""
    port: Text = ""
    how: How = "manual"
    evidence: Annotated[str, Meta(max_length=1000)] = ""
    rack: Text = ""
    power: Text = ""
    services: list[Service] = []
    address: Annotated[str, Meta(max_length=255, pattern=r"^[0-9A-Za-z.:%_-]*$")] = ""
    polling: Polling = Polling()
    labels: dict[str, str] = {}  # further target labels, for backtest alone


class _Form(msgspec.Struct, forbid_unknown_fields=True):
    sites: dict[str, Any] = {}
    devices: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Book:
    """A file's content: sites by (customer, site), devices by instance, and the file's words on each device."""

    sites: Mapping[tuple[str, str], Site]
    devices: Mapping[str, Device]
    forms: Mapping[str, DeviceForm]
    networks: Mapping[tuple[str, str], list[str]]

    def topology(self) -> Topology:
        """Return it as correlation and priority read it."""
        topology = Topology()
        for site in self.sites.values():
            topology.put_site(site)
        for device in self.devices.values():
            topology.put(device)
        return topology

    def targets(self) -> dict[str, dict[str, str]]:
        """Return the target labels of each instance, as `rules.backtest` takes them."""
        return {name: {**_labels(device), **self.forms[name].labels} for name, device in self.devices.items()}


def load(text: str, file: str) -> Book:
    """Return the register of a YAML text.

    Raises:
        RegisterError: what is wrong, with file and line.
    """
    document = Document(text, file, RegisterError)
    form = document.convert(document.content, _Form)
    sites = {}
    networks: dict[tuple[str, str], list[str]] = {}
    for name, entry in form.sites.items():
        site_form = document.convert(entry or {}, SiteForm, "sites", name)
        site = _site(document, name, site_form)
        sites[site.customer, site.site] = site
        networks[site.customer, site.site] = site_form.networks
    forms = {name: document.convert(entry or {}, DeviceForm, "devices", name) for name, entry in form.devices.items()}
    places = {name: _place(document, name, form) for name, form in forms.items()}
    known = {place: name for name, place in places.items()}
    devices = {}
    for name, entry in forms.items():
        if entry.klass and entry.klass not in CLASSES:
            message = f"{entry.klass!r} is no class of devices; there are {', '.join(CLASSES)}"
            raise document.fault(message, "devices", name, "class")
        customer, site_name, host = places[name]
        devices[name] = Device(
            instance=name,
            customer=customer,
            site=site_name,
            name=host,
            klass=entry.klass,
            role=entry.role,
            criticality=entry.criticality,
            parent=_other(document, name, "parent", entry.parent, places, known),
            port=entry.port,
            rack=entry.rack,
            power=_other(document, name, "power", entry.power, places, known),
            services=tuple(entry.services),
        )
    _refuse_circles(document, devices)
    return Book(sites, devices, forms, networks)


def dump(sites: Mapping[str, SiteForm], devices: Mapping[str, DeviceForm]) -> str:
    """Return the file that `load` reads, by site.customer and host.site.customer."""
    content = {"sites": dict(sites), "devices": dict(devices)}
    return yaml.safe_dump(msgspec.to_builtins(content), sort_keys=False, allow_unicode=True)


def _site(document: Document, name: str, form: SiteForm) -> Site:
    site, _, customer = name.partition(".")
    if not site or not customer or "." in customer:
        raise document.fault(f"{name!r} is no site; it is written SITE.CUSTOMER", "sites", name)
    for network in form.networks:
        try:
            ip_network(network)
        except ValueError as error:
            raise document.fault(f"{network!r} is no network: {error}", "sites", name, "networks") from error
    if form.timezone:
        try:
            ZoneInfo(form.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            message = f"{form.timezone!r} is no time zone, such as Asia/Shanghai"
            raise document.fault(message, "sites", name, "timezone") from error
    return Site(customer, site, form.people, form.contact, form.timezone)


def _place(document: Document, name: str, form: DeviceForm) -> tuple[str, str, str]:
    """Return customer, site and host name: from the entry, else from the instance host.site.customer."""
    host, *rest = name.split(".")
    if len(rest) == 2 and host and all(rest) and (form.customer or rest[1], form.site or rest[0]) == (rest[1], rest[0]):
        return rest[1], rest[0], host
    if form.customer and form.site:
        return form.customer, form.site, name
    message = f"{name!r} is not host.site.customer; name it so, or give its customer and site"
    raise document.fault(message, "devices", name)


def _other(
    document: Document,
    name: str,
    key: str,
    other: str,
    places: Mapping[str, tuple[str, str, str]],
    known: Mapping[tuple[str, str, str], str],
) -> str:
    """Return the instance of the device that another names as its parent or its power."""
    if not other:
        return ""
    customer, site, _ = places[name]
    found = other if other in places else known.get((customer, site, other), "")
    if not found or places[found][0] != customer:
        raise document.fault(f"there is no device {other!r} of this customer", "devices", name, key)
    if found == name:
        raise document.fault(f"{name} cannot be its own {key}", "devices", name, key)
    return found


def _refuse_circles(document: Document, devices: Mapping[str, Device]) -> None:
    for name in devices:
        seen = [name]
        while (parent := devices[seen[-1]].parent) in devices:
            if parent in seen:
                circle = " → ".join([*seen[seen.index(parent) :], parent])
                raise document.fault(f"the parents go in a circle: {circle}", "devices", parent, "parent")
            seen.append(parent)


def _labels(device: Device) -> dict[str, str]:
    labels = {"instance": device.instance, "customer": device.customer, "site": device.site}
    more = {"class": device.klass, "role": device.role}
    return labels | {name: text for name, text in more.items() if text}
