"""Asking for diagnoses on the pages of incidents and devices, and the audit of what was asked."""

from __future__ import annotations

from typing import Final

from starlette.responses import RedirectResponse, Response

from ticketing.diagnosis.typed import typed
from ticketing.errors import Refused
from ticketing.web import devices, incident
from ticketing.web.desk import Desk
from ticketing.web.errors import Missing
from ticketing.web.queue import frame
from ticketing.web.sources import DeviceView
from ticketing.web.visit import Visit

_ENTRIES: Final = 100


def of_incident(desk: Desk, visit: Visit) -> Response:
    """Ask the device of an incident; what is refused shows the page anew with the reason."""
    number = visit.number("incident")
    found = desk.store.incident(visit.scope, number)
    if found is None or not visit.staff:
        raise Missing
    device = desk.sources.find(visit.scope, found.customer, found.site, found.device)
    try:
        _ask(desk, visit, device, number)
    except Refused as error:
        return incident.page(desk, visit, 409, problem="diagnosis", detail=str(error))
    return RedirectResponse(f"/incidents/{number}#diagnoses", 303)


def of_device(desk: Desk, visit: Visit) -> Response:
    """Ask a device."""
    number = visit.number("device")
    device = desk.sources.device(visit.scope, number)
    if device is None or not visit.staff:
        raise Missing
    try:
        _ask(desk, visit, device, None)
    except Refused as error:
        return devices.page(desk, visit, 409, problem=str(error))
    return RedirectResponse(f"/devices/{number}#diagnoses", 303)


def audit(desk: Desk, visit: Visit) -> Response:
    """Show who asked for what, what was allowed, and what came of it: to a customer, its own."""
    before = visit.request.query_params.get("before", "")
    after = int(before) if before.isascii() and before.isdigit() and len(before) < 16 else None
    found = desk.store.diagnoses.audit(visit.scope, before=after, limit=_ENTRIES + 1)
    return desk.pages.page(
        visit,
        "audit.html",
        frame=frame(desk, visit),
        entries=found[:_ENTRIES],
        following=found[_ENTRIES - 1].id if len(found) > _ENTRIES else None,
    )


def _ask(desk: Desk, visit: Visit, device: DeviceView | None, number: int | None) -> None:
    subject = None if device is None else desk.sources.subject(visit.scope, device.id)
    if subject is None:
        raise Refused("the register does not know this device")
    name, arguments = typed(visit.form.get("what", ""))
    by = f"person:{visit.viewer.name}"
    desk.store.diagnoses.ask(subject, name, arguments, by=by, now=visit.now, incident=number)
