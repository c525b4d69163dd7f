"""Signing in and out, and what a browser keeps of a person: language and colours."""

from __future__ import annotations

from starlette.responses import RedirectResponse, Response

from ticketing.errors import Throttled
from ticketing.web.desk import Desk
from ticketing.web.visit import LANGUAGES, THEMES, Visit, local_path, new_secret, set_cookie

_LONGEST = 200  # of a name or password that is looked at


def login_page(desk: Desk, visit: Visit) -> Response:
    """Show the login form, or go on for those who are signed in already."""
    way = local_path(visit.request.query_params.get("next", "/"))
    if visit.user is not None:
        return RedirectResponse(way, 303)
    return _form(desk, visit, way)


def login(desk: Desk, visit: Visit) -> Response:
    """Sign in; the form on the same page also sets language and colours before that."""
    if "set" in visit.form:
        return preferences(desk, visit)
    way = local_path(visit.form.get("next", "/"))
    name, password = visit.form.get("name", "").strip(), visit.form.get("password", "")
    if not name or not password or len(name) > _LONGEST or len(password) > _LONGEST:
        return _form(desk, visit, way, status=401, problem="wrong")
    address = visit.request.client.host if visit.request.client else ""
    try:
        token = desk.accounts.login(name, password, address=address, now=visit.now)
    except Throttled as error:
        response = _form(desk, visit, way, status=429, problem="throttled", wait=error.retry_after)
        response.headers["Retry-After"] = str(int(error.retry_after) + 1)
        return response
    if token is None:
        return _form(desk, visit, way, status=401, problem="wrong")
    response = RedirectResponse(way, 303)
    set_cookie(visit, response, "session", token)
    set_cookie(visit, response, "visitor", "")
    return response


def logout(desk: Desk, visit: Visit) -> Response:
    """End the session here and in the database."""
    desk.accounts.logout(visit.secret)
    response = RedirectResponse("/login", 303)
    set_cookie(visit, response, "session", "")
    return response


def preferences(_desk: Desk, visit: Visit) -> Response:
    """Keep language and colours in cookies, and go back to the page."""
    response = RedirectResponse(local_path(visit.form.get("next", "/")), 303)
    kind, _, value = visit.form.get("set", "").partition(":")
    if kind == "language" and value in LANGUAGES:
        set_cookie(visit, response, "language", value)
    if kind == "theme" and value in THEMES:
        set_cookie(visit, response, "theme", value)
    return response


def _form(desk: Desk, visit: Visit, way: str, *, status: int = 200, problem: str = "", wait: float = 0.0) -> Response:
    """Return the login page. A visitor without a cookie gets one, of which the form's token is made."""
    fresh = "" if visit.secret else new_secret()
    if fresh:
        visit = Visit(visit.request, visit.form, None, fresh, visit.language, visit.theme, visit.now)
    response = desk.pages.page(
        visit, "login.html", status, next=way, problem=problem, wait=wait, name=visit.form.get("name", "")[:_LONGEST]
    )
    if fresh:
        set_cookie(visit, response, "visitor", fresh)
    return response
