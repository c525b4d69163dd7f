"""The map of a site, drawn and as a table, corrected by hand; and the machines that are in no register."""

from __future__ import annotations

import urllib.parse
from typing import Any, Final

from starlette.responses import JSONResponse, RedirectResponse, Response

from ticketing.errors import Refused
from ticketing.incident import rfc3339
from ticketing.web.desk import Desk
from ticketing.web.errors import Missing
from ticketing.web.queue import frame
from ticketing.web.sources import DeviceView, LinkView
from ticketing.web.treeplan import HEIGHT, WIDTH, draw
from ticketing.web.visit import Visit

_KINDS: Final = ("network", "server", "desktop", "printer", "ups")


def show(desk: Desk, visit: Visit) -> Response:
    """Show what hangs on what at a site."""
    return _map(desk, visit, str(visit.request.query_params.get("site", "")))


def hang(desk: Desk, visit: Visit) -> Response:
    """Note what a person says a device hangs on."""
    _staff(visit)
    device = desk.sources.device(visit.scope, visit.number("device"))
    if device is None:
        raise Missing
    parent = visit.form.get("parent", "")
    place = f"{device.site}.{device.customer}"
    try:
        if parent and not (parent.isascii() and parent.isdigit() and len(parent) < 19):
            raise Refused(f"{parent[:20]!r} is no device")
        desk.sources.hang(visit.scope, device.id, int(parent) if parent else None, visit.form.get("port", "").strip())
    except Refused as error:
        return _map(desk, visit, place, 400, problem=str(error))
    return RedirectResponse("/map?" + urllib.parse.urlencode({"site": place}), 303)


def export(desk: Desk, visit: Visit) -> Response:
    """Return the map of all sites of the scope as JSON."""
    devices = {one.id: one for one in desk.sources.devices(visit.scope)}
    links = desk.sources.links(visit.scope)
    return JSONResponse({"devices": [_exported(one, links.get(one.id), devices) for one in devices.values()]})


def _exported(device: DeviceView, link: LinkView | None, devices: dict[int, DeviceView]) -> dict[str, Any]:
    parent = devices.get(link.parent) if link else None
    known = {"device": _instance(device), "class": device.klass, "role": device.role}
    if link is None or parent is None:
        return {**known, "parent": None}
    since = None if link.since is None else rfc3339(link.since)
    more = {"parent": _instance(parent), "port": link.port, "how": link.how, "evidence": link.evidence, "since": since}
    return {**known, **more}


def _instance(device: DeviceView) -> str:
    return f"{device.name}.{device.site}.{device.customer}"


def _map(desk: Desk, visit: Visit, place: str, status: int = 200, *, problem: str = "") -> Response:
    context = frame(desk, visit)
    devices = desk.sources.devices(visit.scope)
    sites = sorted({f"{one.site}.{one.customer}" for one in devices})
    if place and place not in sites:
        raise Missing
    place = place or next(iter(sites), "")
    here = [one for one in devices if f"{one.site}.{one.customer}" == place]
    links = desk.sources.links(visit.scope)
    return desk.pages.page(
        visit,
        "map.html",
        status,
        frame=context,
        sites=sites,
        place=place,
        drawing=draw(here, links),
        box=(WIDTH, HEIGHT),
        names={one.id: one.name for one in devices},
        problem=problem,
    )


def strangers(desk: Desk, visit: Visit) -> Response:
    """Show the machines that are not in the register."""
    return _strangers(desk, visit)


def decide(desk: Desk, visit: Visit) -> Response:
    """Approve, deny or ignore one of them, or let it be new again."""
    _staff(visit)
    form = visit.form
    try:
        desk.sources.decide(
            visit.scope,
            visit.number("stranger"),
            str(visit.request.path_params["decision"]),
            form.get("name", "").strip(),
            form.get("class", ""),
        )
    except Refused as error:
        return _strangers(desk, visit, 400, problem=str(error))
    return RedirectResponse("/unlisted", 303)


def _strangers(desk: Desk, visit: Visit, status: int = 200, *, problem: str = "") -> Response:
    _staff(visit)
    context = frame(desk, visit)
    found = sorted(desk.sources.strangers(visit.scope), key=lambda one: one.state != "new")
    return desk.pages.page(visit, "unlisted.html", status, frame=context, found=found, kinds=_KINDS, problem=problem)


def _staff(visit: Visit) -> None:
    if not visit.staff:
        raise Missing
