"""Who is told of a change, and when: pure, so that it is decided in the transaction of the change itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final
from zoneinfo import ZoneInfo

from ticketing.decide import Action, Reason
from ticketing.incident import Incident, TimelineEntry
from ticketing.outbox.settings import DAYS, Notifications, Quiet, Recipient, Route

COLUMNS: Final = (
    *("recipient", "customer", "incident", "version", "upto", "state", "attempts", "uncertain"),
    *("created_at", "due_at", "error"),
)
_ROUNDS: Final = 14  # of quiet hours that follow each other; more than a week of them is for ever


@dataclass(frozen=True)
class Router:
    """The routes of the configuration."""

    settings: Notifications = field(default_factory=Notifications)

    @cached_property
    def recipients(self) -> Mapping[str, Recipient]:
        """Everybody who may be told, by name."""
        return {recipient.name: recipient for recipient in self.settings.recipients}

    def deliveries(self, incident: Incident, entry: TimelineEntry, now: float) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of the outbox, as COLUMNS, that a change of an incident asks for."""
        if not self.settings.routes or entry.quiet or incident.hidden_since is not None:
            return
        for name in sorted(self._told(incident, entry)):
            due = _due(self.recipients[name], incident.priority, now)
            place = (name, incident.customer, incident.id, entry.version, entry.version)
            yield (*place, "waiting", 0, False, now, due, "")

    def _told(self, incident: Incident, entry: TimelineEntry) -> set[str]:
        event = event_of(entry)
        fitting = (route for route in self.settings.routes if event in route.events and _fits(route, incident))
        names = {name for route in fitting for name in route.to}
        return {name for name in names if may_hear(self.recipients[name], incident.customer, entry)}


def event_of(entry: TimelineEntry) -> str:
    """Return the word of the configuration for what happened."""
    if entry.action == Action.CHANGE_SEVERITY:
        return "worse" if entry.reason == Reason.WORSE else "better"
    if entry.action in {Action.RELEASE, Action.RAISE}:
        return "open" if entry.action == Action.RELEASE else "worse"
    return entry.action


def may_hear(recipient: Recipient, customer: str, entry: TimelineEntry) -> bool:
    """Tell whether a change is for a recipient's ears at all, whatever the routes say: the customer is a wall."""
    return not recipient.customer or (recipient.customer == customer and not entry.internal)


def _fits(route: Route, incident: Incident) -> bool:
    pairs = (
        (route.customers, incident.customer),
        (route.sites, incident.site),
        (route.devices, incident.device),
        (route.classes, incident.klass),
        (route.alerts, incident.alertname),
        (route.severities, incident.severity),
        (route.priorities, incident.priority),
    )
    return all(not wanted or value in wanted for wanted, value in pairs) and (route.members or incident.parent is None)


def _due(recipient: Recipient, priority: int, now: float) -> float:
    """Return when the recipient may be told: now, or when its quiet hours are over."""
    due = now
    for _ in range(_ROUNDS):
        ends = [_end(quiet, recipient, due) for quiet in recipient.quiet if priority not in quiet.unless_priority]
        latest = max((end for end in ends if end is not None), default=due)
        if latest <= due:
            break
        due = latest
    return due


def _end(quiet: Quiet, recipient: Recipient, now: float) -> float | None:
    """Return when quiet hours end that hold now, None if none do."""
    zone = ZoneInfo(quiet.timezone or recipient.timezone)
    today = datetime.fromtimestamp(now, UTC).astimezone(zone).date()
    for day in (today - timedelta(days=1), today):
        if DAYS[day.weekday()] not in quiet.days:
            continue
        last = day if quiet.ends > quiet.begins else day + timedelta(days=1)
        start = datetime.combine(day, quiet.begins, zone).timestamp()
        end = datetime.combine(last, quiet.ends, zone).timestamp()
        if start <= now < end:
            return end
    return None


NOBODY: Final = Router()
