"""The same incidents for programs, as `watchdesk incidents --json` prints them."""

from __future__ import annotations

from typing import Final

from starlette.responses import JSONResponse, Response

from ticketing import evidence
from ticketing.incident import to_json
from ticketing.store import Order
from ticketing.web.desk import Desk
from ticketing.web.errors import BadRequest, Missing
from ticketing.web.queue import read_wanted
from ticketing.web.visit import Visit

_ROWS: Final = 200


def incidents(desk: Desk, visit: Visit) -> Response:
    """Return a page of incidents; `after` goes into the query of the next call and is null at the end."""
    wanted = read_wanted(visit.request.query_params)
    order = Order.PRIORITY if wanted.show in {"open", "mine"} else Order.NEWEST
    try:
        page = desk.store.incidents(
            visit.scope, wanted.filter(visit.viewer.name), order=order, after=wanted.after or None, limit=_ROWS
        )
    except ValueError:
        raise BadRequest from None
    return JSONResponse({"incidents": [to_json(one) for one in page.incidents], "after": page.after})


def incident(desk: Desk, visit: Visit) -> Response:
    """Return one incident with its evidence and timeline."""
    number = visit.number("incident")
    found = desk.store.incident(visit.scope, number)
    entries = desk.store.timeline(visit.scope, number)
    if found is None or entries is None:
        raise Missing
    told = [
        {"at": one.at, "actor": one.actor, "action": one.action, "reason": one.reason, "data": dict(one.data)}
        for one in entries
        if visit.staff or not one.internal
    ]
    known = evidence.to_json(evidence.gather(desk.store, desk.sources, visit.scope, found))
    return JSONResponse({**to_json(found), "evidence": known, "timeline": told})
