"""The queue: the viewer's incidents, those to be dealt with first."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response

from ticketing.incident import UNRESOLVED, Severity, State
from ticketing.store import Filter, Order
from ticketing.web.desk import Desk
from ticketing.web.visit import Visit

_ROWS: Final = 60
_RECENT: Final = 6
_DONE: Final = frozenset(State) - UNRESOLVED
_SHOWN: Final = {"open": UNRESOLVED, "mine": UNRESOLVED, "resolved": _DONE, "all": frozenset(State)}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the query string asks for; what it does not understand it leaves out."""

    show: str = "open"  # open|mine|resolved|all
    priority: int | None = None
    severity: str = ""
    customer: str = ""
    site: str = ""
    text: str = ""
    after: str = ""

    @property
    def narrowed(self) -> bool:
        """Tell whether less than the whole tab is wanted."""
        return bool(self.priority or self.severity or self.customer or self.site or self.text)

    def link(self, *, show: str = "", after: str = "", clear: bool = False) -> str:
        """Return the address of the queue with this filter, in another tab, further on, or without its filters."""
        fields: dict[str, str | int | None] = {"show": show or self.show}
        if not clear:
            fields |= {"priority": self.priority, "severity": self.severity}
            fields |= {"customer": self.customer, "site": self.site, "q": self.text}
        fields["after"] = after
        given = {name: value for name, value in fields.items() if value and (name, value) != ("show", "open")}
        return "/?" + urllib.parse.urlencode(given) if given else "/"

    def filter(self, viewer: str) -> Filter:
        """Return the store's filter for it."""
        return Filter(
            states=_SHOWN[self.show],
            priority=self.priority,
            severity=self.severity or None,
            customer=self.customer or None,
            site=self.site or None,
            owner=viewer if self.show == "mine" else None,
            text=self.text,
        )


def read_wanted(query: Mapping[str, str]) -> Wanted:
    """Return what a query string asks for."""
    show, priority, severity = (query.get(name, "") for name in ("show", "priority", "severity"))
    return Wanted(
        show=show if show in _SHOWN else "open",
        severity=severity if severity in set(Severity) else "",
        priority=int(priority) if priority in {"1", "2", "3", "4"} else None,
        customer=query.get("customer", "")[:64],
        site=query.get("site", "")[:64],
        text=query.get("q", "").strip()[:100],
        after=query.get("after", "")[:200],
    )


def queue(desk: Desk, visit: Visit) -> Response:
    """Show the queue; a page mark that is not ours shows it from the top."""
    wanted = read_wanted(visit.request.query_params)
    context = frame(desk, visit)
    order = Order.PRIORITY if wanted.show in {"open", "mine"} else Order.NEWEST
    query = wanted.filter(visit.viewer.name)
    try:
        page = desk.store.incidents(visit.scope, query, order=order, after=wanted.after or None, limit=_ROWS)
    except ValueError:
        page = desk.store.incidents(visit.scope, query, order=order, limit=_ROWS)
    recent = []
    if wanted == Wanted() and page.after is None:
        recent = desk.store.incidents(visit.scope, Filter(states=_DONE), order=Order.NEWEST, limit=_RECENT).incidents
    devices = desk.sources.devices(visit.scope)
    return desk.pages.page(
        visit,
        "queue.html",
        frame=context,
        wanted=wanted,
        page=page,
        recent=recent,
        counts=desk.store.counts(visit.scope),
        customers=sorted({device.customer for device in devices}),
        sites=sorted({one.site for one in devices if one.site and wanted.customer in {"", one.customer}}),
    )


def frame(desk: Desk, visit: Visit) -> Mapping[str, Any]:
    """Return what every live page carries: the newest change it can show, and how the fleet is.

    To be called before the page's own queries: what comes between is then shown twice, and never missed.
    """
    return {"position": desk.store.last_change(visit.scope), "summary": desk.sources.summary(visit.scope)}
