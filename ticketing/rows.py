"""Between rows and the frozen classes: decoding on the way in, tuples for bulk statements on the way out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from operator import attrgetter
from typing import Any, Final

import msgspec
from sqlalchemy import Result, Table

from ticketing.decide import Policy, wake_at
from ticketing.incident import Feed, Incident, TimelineEntry
from ticketing.models import FeedRow, IncidentRow, TimelineRow

INCIDENTS: Final[Table] = IncidentRow.metadata.tables["incidents"]
FEEDS: Final[Table] = FeedRow.metadata.tables["incident_alerts"]
TIMELINE: Final[Table] = TimelineRow.metadata.tables["timeline"]

_NOTHING: Final[Mapping[Any, Any]] = {}
_ENCODER: Final = msgspec.json.Encoder()

# In the order of the table, so that nothing has to be sorted for each row. Opening sets only some of the columns: the
# rest is empty, and need not be bound a hundred thousand times.
_HEAD: Final = ("id", "customer", "site", "device", "klass", "alertname", "key")
_TEXTS: Final = ("labels", "annotations", "state", "severity")
_NUMBERS: Final = (
    *("impact", "urgency", "priority", "value", "count", "active_at", "opened_at", "updated_at", "version"),
)
_WORK: Final = ("acknowledged_at", "acknowledged_by", "owner", "comments")
_PAST: Final = ("pending_until", "stale_since", "recovered_at", "resolved_at", "resolved_by")
_LINKS: Final = ("noted_at", "parent", "previous", "repeat")
_PLACE: Final = (
    *("kind", "about", "hold", "hold_until", "hidden_since", "placed_by", "devices", "people", "worst_member"),
    "expected_at",
)
OPENING_COLUMNS: Final = (
    *(*_HEAD, *_TEXTS, *_NUMBERS, "comments", "changes", "noted_at", "previous", "repeat"),
    *("kind", "about", "devices", "people", "worst_member", "expected_at", "depends_on", "quiet"),
)
INCIDENT_COLUMNS: Final = (
    *(*_HEAD, *_TEXTS, *_NUMBERS, *_WORK, "pending_reason", *_PAST, "cause", "closed_at", "flapping_since", "changes"),
    *(*_LINKS, *_PLACE, "depends_on", "wake_at", "quiet"),
)
FEED_COLUMNS: Final = ("incident", "fingerprint", "severity", "state", "value", "at", "active_at", "labels")
ENTRY_COLUMNS: Final = (
    *("incident", "version", "customer", "at", "actor", "action", "reason", "quiet", "internal", "data"),
)

_head: Final = attrgetter(*_HEAD)
_numbers: Final = attrgetter(*_NUMBERS)
_work: Final = attrgetter(*_WORK)
_past: Final = attrgetter(*_PAST)
_links: Final = attrgetter(*_LINKS)
_whereabouts: Final = attrgetter(*(name for name in _PLACE if name not in {"kind", "hold"}))
_opening: Final = attrgetter("about", "devices", "people", "worst_member", "expected_at")
_entry: Final = attrgetter(*ENTRY_COLUMNS[3:-1])


def json(value: object) -> str:
    """Return the value as JSON text."""
    return _ENCODER.encode(value).decode()


def opening_values(incident: Incident) -> tuple[Any, ...]:
    """Return the row of an incident to which nothing has happened since its opening, as OPENING_COLUMNS."""
    linked = (0, json(incident.changes), incident.noted_at, incident.previous, incident.repeat, str(incident.kind))
    return (
        *_head(incident),
        *_texts(incident),
        *_numbers(incident),
        *linked,
        *_opening(incident),
        _depends(incident),
        False,
    )


def incident_values(incident: Incident, policy: Policy, *, quiet: bool) -> tuple[Any, ...]:
    """Return the whole row of an incident, as INCIDENT_COLUMNS; `quiet` tells whether its newest entry is so."""
    reason, cause = incident.pending_reason, incident.cause
    return (
        *_head(incident),
        *_texts(incident),
        *_numbers(incident),
        *_work(incident),
        None if reason is None else str(reason),
        *_past(incident),
        None if cause is None else str(cause),
        incident.closed_at,
        incident.flapping_since,
        json(incident.changes),
        *_links(incident),
        *_placed(incident),
        _depends(incident),
        wake_at(incident, policy),
        quiet,
    )


def feed_values(incident: int, feed: Feed) -> tuple[Any, ...]:
    """Return an alert's row, as FEED_COLUMNS."""
    labels = json(feed.labels) if feed.labels else "{}"
    plain = (feed.fingerprint, str(feed.severity), feed.state, feed.value, feed.at, feed.active_at)
    return (incident, *plain, labels)


def entry_values(entry: TimelineEntry, customer: str) -> tuple[Any, ...]:
    """Return a timeline entry's row, as ENTRY_COLUMNS."""
    return (entry.incident, entry.version, customer, *_entry(entry), json(entry.data))


def incidents_of(
    found: Result[Any], feeds: Mapping[int, Mapping[str, Any]] = _NOTHING, members: Mapping[int, Any] = _NOTHING
) -> list[Incident]:
    """Return the incidents in rows of the whole table, with their alerts and members where these are given."""
    records = _records(found)
    for record in records:
        record["alerts"] = feeds.get(record["id"], _NOTHING)
        record["members"] = members.get(record["id"], ())
    return msgspec.convert(records, list[Incident])


def feeds_of(found: Result[Any]) -> dict[int, dict[str, Any]]:
    """Return the alerts in rows, by incident and fingerprint, ready for `incidents_of`."""
    feeds: dict[int, dict[str, Any]] = defaultdict(dict)
    for record in _records(found):
        feeds[record["incident"]][record["fingerprint"]] = record
    return feeds


def entries_of(found: Result[Any]) -> list[TimelineEntry]:
    """Return the timeline entries in rows."""
    return msgspec.convert(_records(found), list[TimelineEntry])


def _records(found: Result[Any]) -> list[dict[str, Any]]:
    names = tuple(found.keys())
    return [dict(zip(names, row, strict=True)) for row in found]


def rebuilt(values: Mapping[str, Any]) -> Incident:
    """Return the incident that has these members, which may come from JSON."""
    return msgspec.convert(values, Incident)


def _depends(incident: Incident) -> str:
    return incident.annotations.get("depends_on", "")[:255]


def _placed(incident: Incident) -> tuple[Any, ...]:
    about, *rest = _whereabouts(incident)
    return (str(incident.kind), about, None if incident.hold is None else str(incident.hold), *rest)


def _texts(incident: Incident) -> tuple[str, str, str, str]:
    return (json(incident.labels), json(incident.annotations), str(incident.state), str(incident.severity))
