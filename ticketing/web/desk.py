"""What the pages work with, and the one way into every page: sign-in, form token, headers, errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from ticketing.accounts import Accounts
from ticketing.diagnosis.catalogue import Entry
from ticketing.errors import Unavailable
from ticketing.store import Store
from ticketing.web.errors import LoginNeeded, WebError
from ticketing.web.live import Live
from ticketing.web.render import Pages
from ticketing.web.sources import Sources
from ticketing.web.visit import HEADERS, Visit, back, open_visit, read_form


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything that a page may need; `clock` returns Unix seconds."""

    store: Store
    accounts: Accounts
    sources: Sources
    live: Live
    pages: Pages
    clock: Callable[[], float]

    def catalogue(self, visit: Visit, device: int | None) -> Sequence[Entry]:
        """Return the diagnoses that a viewer may ask a device for: none, unless they work for the provider."""
        subject = self.sources.subject(visit.scope, device) if device is not None and visit.staff else None
        return [one for one in self.store.diagnoses.catalogue.all() if subject is not None and one.fits(subject)]


Handler = Callable[[Desk, Visit], Response]


def page(desk: Desk, handler: Handler, *, public: bool = False) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint of a handler, which runs in a worker thread: its queries never hold up the event loop.

    Unless it is public, it is reached only by a signed-in user; a POST only with the form token.
    """

    async def endpoint(request: Request) -> Response:
        try:
            form = await read_form(request) if request.method == "POST" else {}
        except WebError as error:
            return await run_in_threadpool(failed, desk, request, error)
        return await run_in_threadpool(_serve, desk, handler, request, form, public)

    return endpoint


def _serve(desk: Desk, handler: Handler, request: Request, form: dict[str, str], public: bool) -> Response:
    try:
        visit = open_visit(request, form, desk.accounts, desk.clock())
        if not public and visit.user is None:
            raise LoginNeeded
        if request.method == "POST":
            visit.check_form()
        response = handler(desk, visit)
    except (WebError, Unavailable) as error:
        return failed(desk, request, error)
    return secured(response)


def failed(desk: Desk, request: Request, error: WebError | Unavailable) -> Response:
    """Return the page, or for programs the JSON, that says what is wrong."""
    status = error.status if isinstance(error, WebError) else 503
    if request.url.path.startswith("/api/") or request.url.path == "/events":
        status = 401 if isinstance(error, LoginNeeded) else status
        response: Response = JSONResponse({"error": type(error).__name__.lower()}, status)
    elif isinstance(error, LoginNeeded):
        response = RedirectResponse("/login" + _way_back(request), 303)
    else:
        response = desk.pages.error(_visit_or_stranger(desk, request), status)
    if status == 503:
        response.headers["Retry-After"] = "5"
    if status == 413:
        response.headers["Connection"] = "close"
    return secured(response)


def _visit_or_stranger(desk: Desk, request: Request) -> Visit:
    """Return the visit for an error page, without its user if even that cannot be read."""
    try:
        return open_visit(request, {}, desk.accounts, desk.clock())
    except Unavailable:
        return Visit(request, {}, None, "", "en", "auto", desk.clock())


def _way_back(request: Request) -> str:
    """Return the query that leads back after signing in: to the page, or from a form to the page that it was on."""
    way = back(request)
    known = way.startswith(("/incidents/", "/devices", "/map", "/unlisted", "/?"))
    return "?" + urlencode({"next": way}) if known else ""


def secured(response: Response) -> Response:
    """Add the security headers; what a page shows is the customer's own and is not kept in any cache."""
    for name, value in HEADERS.items():
        response.headers[name] = value
    response.headers.setdefault("Cache-Control", "no-store")
    return response
