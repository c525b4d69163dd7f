"""Numbers about the rules, so that the noisiest are known; and the incidents as a table for other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any, Final

from starlette.responses import Response

from ticketing.incident import Incident, to_json
from ticketing.store import Order
from ticketing.web.desk import Desk
from ticketing.web.errors import Missing
from ticketing.web.queue import frame, read_wanted
from ticketing.web.visit import Visit

_DAYS: Final = ("1", "7", "30", "90")
_MOST: Final = 10_000  # rows of an export
_COLUMNS: Final = (
    *("number", "state", "severity", "priority", "customer", "site", "device", "alertname", "summary", "value"),
    *("opened_at", "acknowledged_at", "recovered_at", "resolved_at", "owner", "count", "key"),
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # what spreadsheets take for a formula


def figures(desk: Desk, visit: Visit) -> Response:
    """Show what became of each rule's tickets."""
    if not visit.staff:
        raise Missing
    days = visit.request.query_params.get("days", "30")
    days = days if days in _DAYS else "30"
    found = desk.store.rule_figures(visit.scope, visit.now - 86_400 * int(days))
    return desk.pages.page(visit, "rules.html", frame=frame(desk, visit), figures=found, days=days, spans=_DAYS)


def export(desk: Desk, visit: Visit) -> Response:
    """Return the incidents that the queue's filter fits, the newest first, as a CSV file (RFC 4180)."""
    wanted = read_wanted(visit.request.query_params)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    writer.writerows(_rows(_found(desk, visit, wanted.filter(visit.viewer.name))))
    name = {"Content-Disposition": 'attachment; filename="incidents.csv"'}
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=name)


def _found(desk: Desk, visit: Visit, wanted: Any) -> Iterator[Incident]:
    after, left = None, _MOST
    while left > 0:
        page = desk.store.incidents(visit.scope, wanted, order=Order.NEWEST, after=after, limit=min(left, 1_000))
        yield from page.incidents
        after, left = page.after, left - len(page.incidents)
        if after is None:
            return


def _rows(incidents: Iterable[Incident]) -> Iterator[list[Any]]:
    for incident in incidents:
        known = to_json(incident)
        yield [_cell(known[name]) for name in _COLUMNS]


def _cell(value: Any) -> Any:
    """Return a cell that no spreadsheet computes: an apostrophe before it says that it is text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
