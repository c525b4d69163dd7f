"""Every watched device: whether it is alive, how it is, and its open incidents."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from ticketing.incident import Incident
from ticketing.store import Filter
from ticketing.web.desk import Desk
from ticketing.web.errors import Missing
from ticketing.web.queue import frame
from ticketing.web.sources import DeviceView, EventsSought
from ticketing.web.visit import Visit

_TILES: Final = 120
_FAULTS: Final = 200  # open incidents looked at for the tiles of one page
_LATEST: Final = 10  # events on the page of a device
_EVENTS: Final = 100  # on the page of its events
EVENT_TYPES: Final = (
    *("log", "kernel", "unit", "service", "hotplug", "login", "software"),
    *("config", "boot", "check", "inventory", "security", "agent"),
)
HOURS: Final = ("1", "24", "168")
_STATES: Final = ("", "alive", "silent", "away")


@dataclass(frozen=True, slots=True)
class Sought:
    """Which devices the query string asks for."""

    state: str = ""
    customer: str = ""
    text: str = ""
    start: int = 0

    def link(self, **changed: str | int) -> str:
        """Return the address of the list with some of it changed; a changed filter begins at the top."""
        fields = {"state": self.state, "customer": self.customer, "q": self.text, "start": 0, **changed}
        given = {name: value for name, value in fields.items() if value}
        return "/devices?" + urllib.parse.urlencode(given) if given else "/devices"

    def fits(self, device: DeviceView) -> bool:
        """Tell whether a device is wanted."""
        place = f"{device.name} {device.customer}/{device.site} {device.klass} {device.role} {device.os}".casefold()
        return (
            self.state in {"", condition(device)}
            and self.customer in {"", device.customer}
            and self.text.casefold() in place
        )


def condition(device: DeviceView) -> str:
    """Return alive, away (announced) or silent."""
    return "alive" if device.alive else "away" if device.excused else "silent"


def read_sought(query: Mapping[str, str]) -> Sought:
    """Return what a query string asks for; what is not understood is left out."""
    state, start = query.get("state", ""), query.get("start", "")
    return Sought(
        state=state if state in _STATES else "",
        customer=query.get("customer", "")[:64],
        text=query.get("q", "").strip()[:100],
        start=int(start) if start.isascii() and start.isdigit() and len(start) < 8 else 0,
    )


def devices(desk: Desk, visit: Visit) -> Response:
    """Show the devices, those first that are silent."""
    sought = read_sought(visit.request.query_params)
    context = frame(desk, visit)
    every = desk.sources.devices(visit.scope)
    found = sorted((one for one in every if sought.fits(one)), key=_rank)
    shown = found[sought.start : sought.start + _TILES]
    return desk.pages.page(
        visit,
        "devices.html",
        frame=context,
        sought=sought,
        shown=shown,
        total=len(found),
        following=sought.start + _TILES if len(found) > sought.start + _TILES else 0,
        health=desk.sources.health(visit.scope, [one.id for one in shown]),
        faults=_faults(desk, visit, shown),
        customers=sorted({one.customer for one in every}),
    )


def device(desk: Desk, visit: Visit) -> Response:
    """Show one device with its open incidents and those before."""
    return page(desk, visit)


def page(desk: Desk, visit: Visit, status: int = 200, *, problem: str = "") -> Response:
    """Return the page of the device that the address names, with what is wrong. Raises Missing."""
    context = frame(desk, visit)
    found = desk.sources.device(visit.scope, visit.number("device"))
    if found is None:
        raise Missing
    here = Filter(customer=found.customer, site=found.site, device=found.name)
    return desk.pages.page(
        visit,
        "device.html",
        status,
        frame=context,
        problem=problem,
        diagnoses=desk.store.diagnoses.of_device(visit.scope, found.id),
        catalogue=desk.catalogue(visit, found.id),
        device=found,
        readings=desk.sources.health(visit.scope, [found.id]).get(found.id, ()),
        faults=desk.store.incidents(visit.scope, here, limit=50).incidents,
        events=desk.sources.events(visit.scope, found.id, EventsSought(), _LATEST),
        parts=desk.sources.inventory(visit.scope, found.id),
    )


def events(desk: Desk, visit: Visit) -> Response:
    """Show what happened on a device: by type, text and time."""
    context = frame(desk, visit)
    found = desk.sources.device(visit.scope, visit.number("device"))
    if found is None:
        raise Missing
    query = visit.request.query_params
    kind, hours, before = query.get("type", ""), query.get("hours", ""), query.get("before", "")
    sought = EventsSought(
        type=kind if kind in EVENT_TYPES else "",
        text=query.get("q", "").strip()[:100],
        since=visit.now - 3600 * int(hours) if hours in HOURS else None,
        before=int(before) if before.isascii() and before.isdigit() and len(before) < 16 else None,
    )
    shown = desk.sources.events(visit.scope, found.id, sought, _EVENTS + 1)
    following = shown[_EVENTS - 1].id if len(shown) > _EVENTS else None
    fields = {"type": sought.type, "q": sought.text, "hours": hours if hours in HOURS else "", "before": following}
    link = urllib.parse.urlencode({name: value for name, value in fields.items() if value}) if following else ""
    return desk.pages.page(
        visit,
        "device_events.html",
        frame=context,
        device=found,
        sought=sought,
        hours=hours,
        shown=shown[:_EVENTS],
        types=EVENT_TYPES,
        following=link,
    )


def _rank(device: DeviceView) -> tuple[int, str, str, str]:
    return ("silent", "away", "alive").index(condition(device)), device.customer, device.site, device.name


def _faults(desk: Desk, visit: Visit, shown: Sequence[DeviceView]) -> Mapping[tuple[str, str, str], list[Incident]]:
    """Return the open incidents by customer, site and name of their device, the gravest of the scope."""
    places = {(one.customer, one.site, one.name) for one in shown}
    found: dict[tuple[str, str, str], list[Incident]] = {place: [] for place in places}
    for incident in desk.store.incidents(visit.scope, limit=_FAULTS).incidents:
        place = (incident.customer, incident.site, incident.device)
        if place in found:
            found[place].append(incident)
    return found
