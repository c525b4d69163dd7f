"""Carries decisions out: from the incident before to the incident after, and the timeline entry between the two."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any, Final

from msgspec.structs import replace

from ticketing.alert import Alert
from ticketing.decide import Action, Decision, Policy, Reason, burning, finite, heard, wake_at, worst
from ticketing.incident import MACHINE, Feed, Incident, Kind, State, TimelineEntry
from ticketing.meaning import Meaning, expected_at
from ticketing.priority import priority, severity, urgency

# What an entry need not carry: its own columns, and what is kept beside the incident.
_APART: Final = frozenset({"id", "version", "alerts", "members"})
_FIELDS: Final = tuple(name for name in Incident.__struct_fields__ if name not in _APART)
_values: Final = attrgetter(*_FIELDS)
_SET_BY_OPENING: Final = (
    *_FIELDS[: _FIELDS.index("acknowledged_at")],
    *("changes", "noted_at", "previous", "repeat", "parent", "kind", "about", "hold", "hold_until", "hidden_since"),
    *("devices", "people", "worst_member", "expected_at"),
)
_opening_values: Final = attrgetter(*_SET_BY_OPENING)
_READ: Final = ("state", "severity", "priority", "value", "owner", "pending_reason")  # people read "from → to"


def opened(
    alert: Alert, number: int, key: str, previous: Incident | None, decision: Decision, now: float, means: Meaning
) -> Incident:
    """Return the incident that a firing alert opens; `previous` is the newest one of its key, if there is one."""
    at = min(alert.at, now)
    klass = alert.labels.get("class", "")
    level = severity(alert.severity)
    scale, haste = means.impact, urgency(level, coming=means.kind is Kind.COMING)
    feed = Feed(alert.fingerprint, level, alert.state, finite(alert.value), alert.at, alert.active_at)
    return Incident(
        id=number,
        customer=alert.customer,
        site=alert.site,
        device=alert.device,
        klass=klass,
        alertname=alert.name,
        key=key,
        labels=alert.labels,
        annotations=alert.annotations,
        state=State.OPEN,
        severity=level,
        impact=scale,
        urgency=haste,
        priority=priority(scale, haste),
        value=feed.value,
        count=1,
        active_at=alert.active_at,
        opened_at=at,
        updated_at=at,
        changes=(at,),
        noted_at=at,
        previous=None if previous is None else previous.id,
        repeat=decision.reason is Reason.REPEAT,
        kind=means.kind,
        about=means.about,
        devices=means.devices,
        people=means.people,
        expected_at=means.expected_at,
        alerts={feed.fingerprint: feed},
    )


def advanced(before: Incident, alert: Alert, decision: Decision, now: float, policy: Policy) -> Incident:
    """Return the incident after an alert for which something other than opening or nothing was decided."""
    at = min(alert.at, now)
    feed = heard(before, alert)
    known = before.alerts.get(feed.fingerprint)
    alerts = {**before.alerts, feed.fingerprint: feed}
    if decision.reason is Reason.AFTERWARDS:
        return replace(before, alerts=alerts, updated_at=at, version=before.version + 1)
    news: dict[str, Any] = {"alerts": alerts, "updated_at": at, "version": before.version + 1}
    active = [other for other in alerts.values() if other.active]
    was_burning = burning(before) and before.unresolved
    level = worst(before, feed)
    if bool(active) != was_burning or level.rank > before.severity.rank:
        news["changes"] = (*before.changes, at)[-policy.flapping_changes - 1 :]
    if level is not before.severity:
        haste = urgency(level, coming=before.kind is Kind.COMING)
        most = min(priority(before.impact, haste), before.worst_member)
        news |= {"severity": level, "urgency": haste, "priority": most}
    if feed.state == "firing":
        news |= _burns(before, alert, feed, known, was_burning)
    no_data = bool(active) and all(other.state == "stale" for other in active)
    news["stale_since"] = (before.stale_since or at) if no_data else None
    if not decision.quiet:
        news["noted_at"] = at
    return replace(before, **news, **_moved(before, decision, at))


def woken(before: Incident, decision: Decision, policy: Policy) -> Incident:
    """Return the incident after what time alone did; its time is that of the wake, not of the program."""
    at = wake_at(before, policy)
    if at is None:
        raise ValueError(f"{before.number} does not wait for any time")
    news: dict[str, Any] = {"updated_at": at, "version": before.version + 1}
    if not decision.quiet:
        news["noted_at"] = at
    if decision.action is Action.CLOSE:
        news |= {"state": State.CLOSED, "closed_at": at}
    elif decision.action is Action.RESUME:
        news |= {"state": State.IN_PROGRESS, "pending_reason": None, "pending_until": None}
    elif decision.action is Action.LEAVE_FLAPPING:
        news["flapping_since"] = None
    else:
        news |= {**_moved(before, decision, at), "recovered_at": before.changes[-1]}
    return replace(before, **news)


def working_state(incident: Incident) -> State:
    """Return where an incident stands that burns again, given what people had done."""
    if incident.owner is not None:
        return State.IN_PROGRESS
    return State.OPEN if incident.acknowledged_at is None else State.ACKNOWLEDGED


def entry(before: Incident | None, after: Incident, decision: Decision, feed: Feed | None) -> TimelineEntry:
    """Return the machine's entry between two states of an incident; None before is an opening."""
    data: dict[str, Any]
    if before is None:
        data = {"set": dict(zip(_SET_BY_OPENING, _opening_values(after), strict=True))}
    else:
        data = difference(before, after)
    if feed is not None:
        data["alerts"] = {feed.fingerprint: feed}
    return TimelineEntry(
        id=0,
        incident=after.id,
        version=after.version,
        at=after.updated_at,
        actor=MACHINE,
        action=decision.action.value,
        reason=decision.reason.value,
        quiet=decision.quiet,
        data=data,
    )


def difference(before: Incident, after: Incident) -> dict[str, Any]:
    """Return what an entry's `data` says of a change: `set` the new values, `was` the old ones that people read."""
    pairs = zip(_FIELDS, _values(before), _values(after), strict=True)
    changed = {name: new for name, old, new in pairs if old is not new and old != new}
    was = {name: getattr(before, name) for name in _READ if name in changed}
    return {"set": changed, "was": was} if was else {"set": changed}


def _burns(before: Incident, alert: Alert, feed: Feed, known: Feed | None, was_burning: bool) -> dict[str, Any]:
    """Return what a firing alert changes: its sentences and value count while no worse alert has spoken."""
    news: dict[str, Any] = {}
    if known is None or not known.active or not was_burning:
        news["count"] = before.count + 1
    if not was_burning:
        news["active_at"] = alert.active_at
    if not was_burning or feed.severity.rank <= before.severity.rank:
        news |= {"value": feed.value, "annotations": alert.annotations}
        if before.kind in {Kind.GROUP, Kind.RACK} and feed.value is not None:
            most = max(before.devices, int(feed.value))
            news |= {"devices": most, "people": max(before.people, most if before.klass == "desktop" else 0)}
        if before.kind is Kind.COMING:
            news["expected_at"] = expected_at(alert)
    return news


_NO_LONGER_WAITING: Final[Mapping[str, Any]] = {"pending_reason": None, "pending_until": None, "flapping_since": None}
_NOT_HELD: Final[Mapping[str, Any]] = {"hold": None, "hold_until": None}
_UNRESOLVED_AGAIN: Final[Mapping[str, Any]] = dict.fromkeys(
    ("recovered_at", "resolved_at", "resolved_by", "cause", "closed_at")
)


def _moved(before: Incident, decision: Decision, at: float) -> Mapping[str, Any]:
    """Return what the action changes of the state."""
    action = decision.action
    if action is Action.RESOLVE:
        over = {
            **_NOT_HELD,
            "state": State.RESOLVED,
            "recovered_at": at,
            "resolved_at": at,
            "resolved_by": MACHINE,
        }
        return {**_NO_LONGER_WAITING, **over}
    if action is Action.RECOVER:
        return {**_NO_LONGER_WAITING, **_NOT_HELD, "state": State.RECOVERED, "recovered_at": at}
    if action is Action.CHANGE_SEVERITY:
        worse = decision.reason is Reason.WORSE and before.state is State.ACKNOWLEDGED
        return {"state": State.OPEN, "acknowledged_at": None, "acknowledged_by": None} if worse else {}
    news: dict[str, Any] = {}
    if before.state in {State.RECOVERED, State.RESOLVED, State.CLOSED}:
        news = {**_UNRESOLVED_AGAIN, "state": working_state(before)}
        if before.placed_by is None:
            news["parent"] = None  # its place among others is found anew
        if before.hidden_since is not None:
            news |= {"hidden_since": None, "opened_at": at}  # it was suppressed, and is a ticket now
    if decision.reason is Reason.MANY_CHANGES:
        news["flapping_since"] = at
    return news
