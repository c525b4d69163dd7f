"""Silences and maintenance windows: what holds tickets back, made and ended by the provider's staff."""

from __future__ import annotations

import datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from starlette.responses import RedirectResponse, Response

from ticketing.errors import Refused
from ticketing.maintenance import Window, upcoming
from ticketing.silences import Silence, matcher
from ticketing.web.desk import Desk
from ticketing.web.errors import Missing
from ticketing.web.queue import frame
from ticketing.web.visit import Visit

_MOST: Final = 8  # matchers of a silence
_HOURS: Final = 24 * 366


def show(desk: Desk, visit: Visit) -> Response:
    """Show what holds tickets back now and later."""
    return _page(desk, visit)


def silence(desk: Desk, visit: Visit) -> Response:
    """Begin a silence at once."""
    _staff(visit)
    form = visit.form
    try:
        wanted = Silence(
            id=0,
            customer=form.get("customer", "").strip(),
            matchers=tuple(matcher(line) for line in form.get("matchers", "").splitlines()[:_MOST] if line.strip()),
            starts_at=visit.now,
            ends_at=visit.now + 3600 * _number(form.get("hours", ""), _HOURS),
            comment=form.get("comment", ""),
            owner=visit.viewer.name,
            created_at=visit.now,
        )
        desk.store.calm.silence(visit.scope, wanted)
    except Refused as error:
        return _page(desk, visit, 400, problem=str(error))
    return RedirectResponse("/quiet", 303)


def maintain(desk: Desk, visit: Visit) -> Response:
    """Plan a maintenance window; its beginning is local time in the time zone of the form."""
    _staff(visit)
    form = visit.form
    try:
        wanted = Window(
            id=0,
            customer=form.get("customer", "").strip(),
            site=form.get("site", "").strip(),
            device=form.get("device", "").strip(),
            rule=form.get("rule", "").strip(),
            starts_at=_moment(form.get("start", ""), form.get("timezone", "")),
            seconds=60 * _number(form.get("minutes", ""), 60 * _HOURS),
            repeats=form.get("repeats", "").strip(),
            timezone=form.get("timezone", "") or "UTC",
            comment=form.get("comment", ""),
            owner=visit.viewer.name,
            created_at=visit.now,
        )
        desk.store.calm.maintain(visit.scope, wanted)
    except Refused as error:
        return _page(desk, visit, 400, problem=str(error))
    return RedirectResponse("/quiet", 303)


def end(desk: Desk, visit: Visit) -> Response:
    """End a silence or a window now."""
    _staff(visit)
    ends = {"silence": desk.store.calm.end_silence, "window": desk.store.calm.end_window}
    how = ends.get(str(visit.request.path_params["what"]))
    if how is None or not how(visit.scope, visit.number("number"), visit.now):
        raise Missing
    return RedirectResponse("/quiet", 303)


def _page(desk: Desk, visit: Visit, status: int = 200, *, problem: str = "") -> Response:
    _staff(visit)
    windows = desk.store.calm.windows(visit.scope, visit.now)
    return desk.pages.page(
        visit,
        "quiet.html",
        status,
        frame=frame(desk, visit),
        silences=desk.store.calm.silences(visit.scope, visit.now),
        windows=[(window, upcoming(window, visit.now, limit=1)) for window in windows],
        customers=sorted({device.customer for device in desk.sources.devices(visit.scope)}),
        problem=problem,
    )


def _staff(visit: Visit) -> None:
    if not visit.staff:
        raise Missing


def _number(text: str, most: int) -> float:
    if not (text.isascii() and text.isdigit() and len(text) < 7 and 0 < int(text) <= most):
        raise Refused(f"{text[:20]!r} is no duration")
    return float(text)


def _moment(text: str, zone: str) -> float:
    try:
        return datetime.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone or "UTC")).timestamp()
    except (ZoneInfoNotFoundError, ValueError, OSError, OverflowError):
        raise Refused(f"{text[:40]!r} in {zone[:40]!r} is no time") from None
