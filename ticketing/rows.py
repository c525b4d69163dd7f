"""Between rows and the frozen classes: decoding on the way in, tuples for bulk statements on the way out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from operator import attrgetter
from typing import Any, Final

import msgspec
from sqlalchemy import Row, Table

from ticketing.decide import Policy, wake_at
from ticketing.incident import Feed, Incident, TimelineEntry
from ticketing.models import FeedRow, IncidentRow, TimelineRow

INCIDENTS: Final[Table] = IncidentRow.metadata.tables["incidents"]
FEEDS: Final[Table] = FeedRow.metadata.tables["incident_alerts"]
TIMELINE: Final[Table] = TimelineRow.metadata.tables["timeline"]

_ENCODER: Final = msgspec.json.Encoder()

# Opening sets these; the rest of the row is its defaults, which need not be bound a hundred thousand times.
_OPENING: Final = (
    *("id", "customer", "site", "device", "klass", "alertname", "key", "impact", "urgency", "priority", "value"),
    *("count", "active_at", "opened_at", "updated_at", "version", "noted_at", "previous", "repeat", "comments"),
)
_PLAIN: Final = (
    *_OPENING,
    *("acknowledged_at", "acknowledged_by", "owner", "pending_until", "stale_since", "recovered_at", "resolved_at"),
    *("resolved_by", "closed_at", "flapping_since", "parent"),
)
_TAIL: Final = ("state", "severity", "labels", "annotations", "changes", "wake_at", "quiet")
OPENING_COLUMNS: Final = (*_OPENING, *_TAIL)
INCIDENT_COLUMNS: Final = (*_PLAIN, *_TAIL, "pending_reason", "cause")
FEED_COLUMNS: Final = ("incident", "fingerprint", "severity", "state", "value", "at", "active_at", "labels")
ENTRY_COLUMNS: Final = (
    *("incident", "version", "at", "actor", "action", "reason", "quiet", "internal"),
    *("data", "customer"),
)

_opening_values: Final = attrgetter(*_OPENING)
_plain_values: Final = attrgetter(*_PLAIN)
_entry_values: Final = attrgetter(*ENTRY_COLUMNS[:-2])


def json(value: object) -> str:
    """Return the value as JSON text."""
    return _ENCODER.encode(value).decode()


def opening_values(incident: Incident, policy: Policy) -> tuple[Any, ...]:
    """Return the row of an incident to which nothing has happened since its opening, as OPENING_COLUMNS."""
    return _opening_values(incident) + _tail(incident, policy, quiet=False)


def incident_values(incident: Incident, policy: Policy, *, quiet: bool) -> tuple[Any, ...]:
    """Return the whole row of an incident, as INCIDENT_COLUMNS; `quiet` tells whether its newest entry is so."""
    reason, cause = incident.pending_reason, incident.cause
    coded = (None if reason is None else reason.value, None if cause is None else cause.value)
    return _plain_values(incident) + _tail(incident, policy, quiet=quiet) + coded


def feed_values(incident: int, feed: Feed) -> tuple[Any, ...]:
    """Return an alert's row, as FEED_COLUMNS."""
    labels = json(feed.labels) if feed.labels else "{}"
    plain = (feed.fingerprint, feed.severity.value, feed.state, feed.value, feed.at, feed.active_at)
    return (incident, *plain, labels)


def entry_values(entry: TimelineEntry, customer: str) -> tuple[Any, ...]:
    """Return a timeline entry's row, as ENTRY_COLUMNS."""
    return (*_entry_values(entry), json(entry.data), customer)


def incident_of(row: Row[Any], feeds: Iterable[Feed] = (), members: tuple[int, ...] = ()) -> Incident:
    """Return the incident in a row of the whole table."""
    bare = msgspec.convert(row._asdict(), Incident)
    return replace(bare, alerts={feed.fingerprint: feed for feed in feeds}, members=members)


def feed_of(row: Row[Any]) -> Feed:
    """Return the alert in a row."""
    return msgspec.convert(row._asdict(), Feed)


def entry_of(row: Row[Any]) -> TimelineEntry:
    """Return the timeline entry in a row."""
    return msgspec.convert(row._asdict(), TimelineEntry)


def rebuilt(values: Mapping[str, Any]) -> Incident:
    """Return the incident that has these members, which may come from JSON."""
    return msgspec.convert(values, Incident)


def _tail(incident: Incident, policy: Policy, *, quiet: bool) -> tuple[Any, ...]:
    return (
        incident.state.value,
        incident.severity.value,
        json(incident.labels),
        json(incident.annotations),
        json(incident.changes),
        wake_at(incident, policy),
        quiet,
    )
