"""The routes of the pages, mounted by the collector beside its own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ticketing.accounts import Accounts
from ticketing.store import Store
from ticketing.web import api, devices, diagnoses, incident, mailbox, network, queue, quiet, rules, session
from ticketing.web.desk import Desk, Handler, page
from ticketing.web.errors import Missing
from ticketing.web.events import events
from ticketing.web.live import Live
from ticketing.web.render import Pages
from ticketing.web.sources import Sources
from ticketing.web.visit import Visit

# method, path, handler: all of these only for those who are signed in
_PAGES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/", queue.queue),
    ("GET", "/incidents/{incident}", incident.show),
    ("POST", "/incidents/{incident}/diagnose", diagnoses.of_incident),
    ("POST", "/incidents/{incident}/{deed}", incident.act),
    ("GET", "/devices", devices.devices),
    ("GET", "/devices/{device}", devices.device),
    ("GET", "/devices/{device}/events", devices.events),
    ("POST", "/devices/{device}/diagnose", diagnoses.of_device),
    ("GET", "/audit", diagnoses.audit),
    ("GET", "/api/incidents", api.incidents),
    ("GET", "/api/incidents/{incident}", api.incident),
    ("GET", "/incidents.csv", rules.export),
    ("GET", "/map", network.show),
    ("POST", "/map/{device}", network.hang),
    ("GET", "/api/map", network.export),
    ("GET", "/unlisted", network.strangers),
    ("POST", "/unlisted/{stranger}/{decision}", network.decide),
    ("GET", "/rules", rules.figures),
    ("GET", "/outbox", mailbox.show),
    ("POST", "/outbox/{delivery}/{what}", mailbox.act),
    ("GET", "/quiet", quiet.show),
    ("POST", "/quiet/silence", quiet.silence),
    ("POST", "/quiet/maintenance", quiet.maintain),
    ("POST", "/quiet/{what}/{number}/end", quiet.end),
    ("POST", "/logout", session.logout),
    ("POST", "/preferences", session.preferences),
)


def routes(
    store: Store, accounts: Accounts, sources: Sources, *, live: Live, clock: Callable[[], float] = time.time
) -> list[BaseRoute]:
    """Return the routes of all pages, the static files, the JSON views and the stream.

    The caller keeps `live` and calls its `close()` before it lets the server stop: open streams end at once then.
    """
    desk = Desk(store, accounts, sources, live, Pages(), clock)
    return [
        Route("/login", page(desk, session.login_page, public=True), methods=["GET"]),
        Route("/login", page(desk, session.login, public=True), methods=["POST"]),
        Route("/static/{name}", page(desk, _static, public=True), methods=["GET"]),
        Route("/events", events(desk), methods=["GET"]),
        *(Route(path, page(desk, handler), methods=[method]) for method, path, handler in _PAGES),
    ]


def create_app(
    store: Store, accounts: Accounts, sources: Sources, *, live: Live, clock: Callable[[], float]
) -> Starlette:
    """Return the pages as an application of their own."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        live.close()

    return Starlette(routes=routes(store, accounts, sources, live=live, clock=clock), lifespan=lifespan)


def _static(desk: Desk, visit: Visit) -> Response:
    query = visit.request.query_params
    found = desk.pages.static(str(visit.request.path_params["name"]), query.get("v", ""))
    if found is None:
        raise Missing
    return found
