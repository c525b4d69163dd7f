"""The page of one incident, and what people do on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from starlette.responses import RedirectResponse, Response

from ticketing.errors import Conflict, Refused
from ticketing.evidence import threshold_of, unit_of, weigh
from ticketing.incident import Cause, Incident, PendingReason
from ticketing.web import deeds
from ticketing.web.desk import Desk
from ticketing.web.errors import Missing
from ticketing.web.plot import Plot, lay_out, rate
from ticketing.web.queue import frame
from ticketing.web.sources import Graph
from ticketing.web.visit import Visit

_WIDTHS: Final = {"wide": 760.0, "narrow": 360.0}
_STORY: Final = 200  # entries shown: the oldest and all the newest


def show(desk: Desk, visit: Visit) -> Response:
    """Show the incident."""
    return page(desk, visit)


def act(desk: Desk, visit: Visit) -> Response:
    """Do what a form asks. What does not go through shows the page anew with the reason and the typed text."""
    number = visit.number("incident")
    try:
        deed = deeds.read(str(visit.request.path_params["deed"]), visit)
        done = desk.store.act(
            visit.scope, number, deed, actor=visit.viewer.name, now=visit.now, version=deeds.version(deed, visit)
        )
    except deeds.Incomplete as error:
        return page(desk, visit, 400, problem="incomplete", detail=str(error))
    except Conflict:
        return page(desk, visit, 409, problem="conflict")
    except Refused:
        return page(desk, visit, 409, problem="refused")
    if done is None:
        raise Missing
    return RedirectResponse(f"/incidents/{number}#newest", 303)


def page(desk: Desk, visit: Visit, status: int = 200, *, problem: str = "", detail: str = "") -> Response:
    """Return the page of the incident that the address names, with what is wrong. Raises Missing."""
    number = visit.number("incident")
    context = frame(desk, visit)
    incident = desk.store.incident(visit.scope, number)
    entries = desk.store.timeline(visit.scope, number)
    if incident is None or entries is None:
        raise Missing
    told = [entry for entry in entries if visit.staff or not entry.internal]
    threshold = threshold_of(incident.annotations)
    graph = desk.sources.graph(visit.scope, incident)
    if graph is not None and threshold is not None:
        graph = replace(graph, threshold=threshold)  # of the newest alert, also where a rule has several
    device = desk.sources.find(visit.scope, incident.customer, incident.site, incident.device)
    found = weigh(desk.store, desk.sources, visit.scope, incident, graph)
    health = desk.sources.health(visit.scope, [device.id]) if device else {}
    return desk.pages.page(
        visit,
        "incident.html",
        status,
        frame=context,
        incident=incident,
        problem=problem,
        detail=detail,
        unit=unit_of(incident.annotations),
        threshold=threshold,
        entries=told[::-1][:_STORY],
        untold=max(0, len(told) - _STORY),
        graph=graph,
        rate=rate(graph) if graph and incident.unresolved else None,
        plots=_plots(graph, incident, visit, desk),
        device=device,
        readings=health.get(device.id, ()) if device else (),
        parent=desk.store.incident(visit.scope, incident.parent) if incident.parent else None,
        members=[one for one in (desk.store.incident(visit.scope, m) for m in incident.members[:20]) if one],
        evidence=found,
        catalogue=desk.catalogue(visit, device.id if device else None),
        deeds=deeds.possible(incident, visit),
        reasons=PendingReason,
        causes=Cause,
    )


def _plots(graph: Graph | None, incident: Incident, visit: Visit, desk: Desk) -> Mapping[str, Plot]:
    """Return the graph laid out for wide and for narrow screens; empty if there is nothing to draw."""
    if graph is None:
        return {}
    moments = [("opened", incident.opened_at)]
    ended = incident.recovered_at or incident.resolved_at
    if ended is not None:
        moments.append(("recovered", ended))
    laid = {
        name: lay_out(
            graph, moments, lambda value: desk.pages.quantity(visit, value, graph.unit), width=width, name=name
        )
        for name, width in _WIDTHS.items()
    }
    return {name: plot for name, plot in laid.items() if plot is not None}
