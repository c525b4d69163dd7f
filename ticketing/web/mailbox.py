"""The outbox for the provider's staff: who could not be told, why, and what to do about it."""

from __future__ import annotations

from typing import Final

from starlette.responses import RedirectResponse, Response

from ticketing.scope import EVERYTHING
from ticketing.web.desk import Desk
from ticketing.web.errors import Missing
from ticketing.web.queue import frame
from ticketing.web.visit import Visit

_ROWS: Final = 200
_STATES: Final = ("", "waiting", "dead", "sent", "dropped")


def show(desk: Desk, visit: Visit) -> Response:
    """Show how each recipient's deliveries are, and the newest of them."""
    if not visit.staff:
        raise Missing
    state = visit.request.query_params.get("state", "")
    state = state if state in _STATES else ""
    return desk.pages.page(
        visit,
        "outbox.html",
        frame=frame(desk, visit),
        standings=sorted(desk.store.outbox.standings(visit.now).items()),
        deliveries=desk.store.outbox.deliveries(EVERYTHING, state, _ROWS),
        state=state,
        states=_STATES,
    )


def act(desk: Desk, visit: Visit) -> Response:
    """Try a delivery again, or give it up."""
    number, what = visit.number("delivery"), visit.request.path_params["what"]
    if not visit.staff or what not in {"retry", "drop"}:
        raise Missing
    box = desk.store.outbox
    done = box.retry([number], visit.now) if what == "retry" else box.drop([number], visit.now)
    if not done:
        raise Missing
    return RedirectResponse("/outbox", 303)
