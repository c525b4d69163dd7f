"""Builds an incident from its timeline alone: the entries carry every change, so that the story is the truth."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ticketing.incident import Incident, TimelineEntry
from ticketing.rows import rebuilt


def rebuild(entries: Iterable[TimelineEntry]) -> Incident:
    """Return the incident that these entries, oldest first, have made; its members are told by their own timelines.

    Raises ValueError if the entries do not begin with an opening, or are not of one incident in order.
    """
    values: dict[str, Any] = {}
    alerts: dict[str, Any] = {}
    for entry in entries:
        if not values and entry.action != "open":
            raise ValueError(f"the timeline of incident {entry.incident} does not begin with its opening")
        if values and (entry.incident != values["id"] or entry.version <= values["version"]):
            raise ValueError(f"entry {entry.id} does not follow on version {values['version']} of {values['id']}")
        values |= {**entry.data["set"], "id": entry.incident, "version": entry.version}
        alerts |= entry.data.get("alerts", {})
    if not values:
        raise ValueError("there are no entries")
    return rebuilt({**values, "alerts": alerts})
