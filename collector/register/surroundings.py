"""What the register knows around a device: its parent, its weight, its services; and the file of all of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, get_args

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from collector.errors import RegisterError
from collector.register.book import Book, DeviceForm, How, Polling, SiteForm
from collector.register.models import CustomerRow, DeviceRow, SiteRow
from collector.register.sites import made_site, slug
from ticketing.topology import Contact, Device, Service, Site

POLLED: Final = "snmp"  # the origin of devices that have an address and no agent


@dataclass(frozen=True, slots=True)
class Parent:
    """What a device hangs on, how that is known, and since when; `parent` is an instance."""

    parent: str
    port: str
    how: str
    evidence: str
    since: float | None


@dataclass(frozen=True, slots=True)
class Link:
    """The same, with the number of the parent."""

    parent: int
    port: str
    how: str
    evidence: str
    since: float | None


@dataclass(slots=True)
class Rows:
    """All live devices and all sites, as one session has read them."""

    devices: dict[int, tuple[DeviceRow, str]]  # by id, with the instance
    places: dict[int, tuple[str, str]]  # (customer, site) of each site's id
    sites: list[tuple[SiteRow, str]]

    @classmethod
    def read(cls, session: Session) -> Rows:
        """Read them."""
        query = select(SiteRow, CustomerRow.slug).join(CustomerRow, SiteRow.customer_id == CustomerRow.id)
        sites = [(row, slug) for row, slug in session.execute(query.order_by(CustomerRow.slug, SiteRow.slug))]
        places = {row.id: (slug, row.slug) for row, slug in sites}
        live = session.scalars(select(DeviceRow).where(DeviceRow.retired_at.is_(None)).order_by(DeviceRow.id))
        devices = {row.id: (row, "{2}.{1}.{0}".format(*places[row.site_id], row.name)) for row in live}
        return cls(devices, places, sites)

    def instance(self, device: int | None) -> str:
        """Return the instance of a device's number; "" for none, or one that was retired."""
        return self.devices[device][1] if device in self.devices else ""

    def facts(self) -> dict[int, Device]:
        """Return the devices, as correlation reads them."""
        return {number: self._fact(row, instance) for number, (row, instance) in self.devices.items()}

    def site_facts(self) -> list[Site]:
        """Return the sites, as correlation reads them."""
        return [
            Site(slug, row.slug, row.people, msgspec.convert(row.contact, Contact), row.timezone)
            for row, slug in self.sites
        ]

    def forms(self) -> tuple[dict[str, SiteForm], dict[str, DeviceForm]]:
        """Return what the file says of each."""
        sites = {
            f"{row.slug}.{slug}": SiteForm(
                row.people, msgspec.convert(row.contact, Contact), row.timezone, row.networks
            )
            for row, slug in self.sites
        }
        return sites, {instance: self._form(row) for row, instance in self.devices.values()}

    def _fact(self, row: DeviceRow, instance: str) -> Device:
        customer, site = self.places[row.site_id]
        return Device(
            instance=instance,
            customer=customer,
            site=site,
            name=row.name,
            klass=row.kind,
            role=row.role,
            criticality=row.criticality,
            parent=self.instance(row.parent_id),
            port=row.port,
            rack=row.rack,
            power=self.instance(row.power_id),
            services=tuple(msgspec.convert(row.services, list[Service])),
        )

    def _form(self, row: DeviceRow) -> DeviceForm:
        parent = self.instance(row.parent_id)
        values: dict[str, Any] = {"how": row.how, "evidence": row.evidence, "port": row.port} if parent else {}
        return DeviceForm(
            klass=row.kind,
            role=row.role,
            criticality=row.criticality,
            parent=parent,
            rack=row.rack,
            power=self.instance(row.power_id),
            services=msgspec.convert(row.services, list[Service]),
            address=row.address,
            polling=msgspec.convert(row.polling, Polling),
            **values,
        )


def set_parent(
    session: Session, device: int, parent: int | None, *, port: str, how: How, evidence: str, now: float
) -> bool:
    """Note what a device hangs on; False if it is known by hand, which what is derived does not change.

    Raises:
        RegisterError: one of them is not in the register or of another customer, or it would go in a circle.
    """
    if how not in get_args(How):
        raise RegisterError(f"{how!r} is no way to know a parent; there are {', '.join(get_args(How))}.")
    rows = Rows.read(session)
    if device not in rows.devices or (parent is not None and parent not in rows.devices):
        raise RegisterError(f"There is no device {device if device not in rows.devices else parent} in the register.")
    row = rows.devices[device][0]
    if row.how == "manual" and how != "manual":
        return False
    if parent is not None:
        _check(rows, device, parent)
    new = (parent, port[:255] if parent else "", how if parent or how == "manual" else "", evidence[:1000])
    if new != (row.parent_id, row.port, row.how, row.evidence):
        row.since = now if row.parent_id != parent or row.since is None else row.since
        row.parent_id, row.port, row.how, row.evidence = new
    return True


def _check(rows: Rows, device: int, parent: int) -> None:
    child, above = rows.devices[device], rows.devices[parent]
    if rows.places[child[0].site_id][0] != rows.places[above[0].site_id][0]:
        raise RegisterError(f"{above[1]} is another customer's than {child[1]}.")
    seen: int | None = parent
    for _ in range(len(rows.devices)):
        if seen == device:
            raise RegisterError(f"{above[1]} hangs on {child[1]} itself; parents cannot go in a circle.")
        if seen is None or seen not in rows.devices:
            return
        seen = rows.devices[seen][0].parent_id


def take_over(session: Session, book: Book, now: float) -> None:
    """Bring sites and devices of a file into the register; what the file does not name stays.

    Raises:
        RegisterError: a device is named by something else than host.site.customer.
    """
    for (customer, name), site in book.sites.items():
        row = made_site(session, customer, name)
        row.people, row.timezone = site.people, site.timezone
        row.contact = msgspec.to_builtins(site.contact)
        row.networks = book.networks[customer, name]
    live = {instance: row for row, instance in Rows.read(session).devices.values()}
    for instance, device in book.devices.items():
        if instance != f"{slug(device.name)}.{slug(device.site)}.{slug(device.customer)}":
            raise RegisterError(f"{instance!r} is not host.site.customer in lower-case letters, digits and dashes.")
        if instance not in live:
            place = made_site(session, device.customer, device.site).id
            origin = POLLED if book.forms[instance].address else "agent"
            klass = device.klass or ("network" if origin == POLLED else "server")
            live[instance] = DeviceRow(site_id=place, name=device.name, kind=klass, enrolled_at=now, origin=origin)
            session.add(live[instance])
    session.flush()
    for instance, device in book.devices.items():
        _update(live[instance], device, book.forms[instance], {name: row.id for name, row in live.items()}, now)
    session.flush()
    rows = Rows.read(session)
    for device_row, _ in rows.devices.values():
        if device_row.parent_id is not None:
            _check(rows, device_row.id, device_row.parent_id)


def _update(row: DeviceRow, device: Device, form: DeviceForm, ids: dict[str, int], now: float) -> None:
    """Take what the file says of a device; a parent that is not given there stays."""
    row.kind, row.role = device.klass or row.kind, device.role or row.role
    row.criticality, row.rack = device.criticality, device.rack
    row.power_id = ids.get(device.power)
    if form.address:
        row.address, row.polling = form.address, msgspec.to_builtins(form.polling)
    row.services = [msgspec.to_builtins(service) for service in device.services]
    if device.parent:
        parent = ids[device.parent]
        row.since = row.since if row.parent_id == parent and row.since is not None else now
        row.parent_id, row.port, row.how, row.evidence = parent, form.port, form.how, form.evidence
