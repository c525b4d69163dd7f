"""What an alert, or time alone, does to an incident: a pure decision with its reason.

    none ──firing──► open ──► acknowledged ──► in progress ◄──► pending        (the three by people, see work.py)
                      │  ▲                          │
          all quiet,  │  │ firing within            │ all quiet, worked on
       nobody worked  ▼  │ the reopen window        ▼
                  resolved ◄────────────────── recovered ──firing──► what it was
                      │          (a person)
                      └──reopen window over──► closed ──firing──► a new incident, linked

Three rules hold everywhere. An alert that is not newer than what is known of it has no effect. No data is not a
recovery. What time alone does (`wake`) happens at its own moment, whenever the program gets round to it, so that the
same alerts give the same incidents however they arrive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from ticketing.alert import Alert
from ticketing.incident import Feed, Incident, Severity
from ticketing.priority import severity as severity_of

HOUR: Final = 3_600.0
DAY: Final = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Policy:
    """The numbers of the life cycle; times in seconds."""

    reopen_window: float = DAY
    repeat_window: float = 90 * DAY
    flapping_changes: int = 3  # more than so many changes …
    flapping_window: float = 0.5 * HOUR  # … within this are flapping, until so long quiet
    flapping_note: float = HOUR  # at most one note of it in this time
    update_note: float = 300.0  # at most one note of mere values in this time
    verdict: float = 15.0  # so long an unreachable device waits for the verdict over what it hangs on
    together: float = 900.0  # what began within this may have one cause
    alike: int = 5  # so many devices with the same fault are one incident; or so many services of one
    moment: float = 60.0  # ports of one device that go down within this have one cause: a cable duct, a line card
    grace: float = 120.0  # so long children have to recover after their parent
    # And what depends on another alert, for rules keep firing for five minutes; and machines that have to start.
    dependent_grace: float = 420.0
    aftermath: float = 1800.0  # so long after an outage a device's word of a restart belongs to it


DEFAULT: Final = Policy()


class Action(StrEnum):
    """What happens; the `action` of the timeline entry. What people do is in `work.Deed`."""

    NOTHING = "nothing"
    OPEN = "open"
    REOPEN = "reopen"
    UPDATE = "update"
    CHANGE_SEVERITY = "change_severity"
    RECOVER = "recover"
    RESOLVE = "resolve"
    ENTER_FLAPPING = "enter_flapping"
    LEAVE_FLAPPING = "leave_flapping"
    RESUME = "resume"
    CLOSE = "close"
    SUPPRESS = "suppress"
    RELEASE = "release"
    RAISE = "raise"


class Reason(StrEnum):
    """Why it happens; it reaches the timeline and the log."""

    # nothing
    NO_INCIDENT = "no_incident"  # it ceases to fire, or has no data, and there is no incident
    DUPLICATE = "duplicate"
    LATE = "late"  # older than what is known of the alert, or than the resolution
    ALREADY = "already"  # it is known not to fire, or to have no data
    RESOLVED_BY_PERSON = "resolved_by_person"  # it fires on, no worse, and a person has said that this is fine
    NOT_YET = "not_yet"  # no time has come
    # open, reopen
    NEW_FAULT = "new_fault"
    REPEAT = "repeat"  # of an incident of the last 90 days
    WITHIN_WINDOW = "within_reopen_window"
    # update, severity
    FIRING_AGAIN = "firing_again"
    JOINED = "another_alert"
    REPEATED = "repeated"
    NEW_VALUE = "new_value"
    NO_DATA = "no_data"
    DATA_BACK = "data_is_back"
    OTHERS_FIRE = "others_still_fire"
    AFTERWARDS = "after_resolution"  # it ceases to fire only after a person has resolved the incident
    WORSE = "worse"
    BETTER = "better"
    FLAPPING = "flapping"
    # recover, resolve
    NOBODY_WORKED = "nobody_has_worked_on_it"
    WORKED_ON = "left_to_its_owner"
    # flapping and time
    MANY_CHANGES = "many_changes"
    QUIET = "quiet_again"
    TIME_IS_UP = "time_is_up"
    WINDOW_OVER = "reopen_window_over"
    # suppress, release, raise
    AWAITS_VERDICT = "awaits_verdict_over_parent"
    MAINTENANCE = "maintenance"
    SILENCED = "silenced"
    PARENT_DOWN = "parent_is_down"
    PORT_DOWN = "port_is_down"
    SAME_DEVICE = "same_device_is_down"
    SITE_DOWN = "site_is_down"
    RACK_DOWN = "rack_is_down"
    POWER_LOST = "power_is_lost"
    INTERNET_LOST = "internet_is_lost"
    TARGET_DOWN = "what_it_misses_is_down"
    DEPENDS_ON = "depends_on"
    MANY_DEVICES = "same_fault_on_many_devices"
    SAME_THING = "same_thing_from_another_source"
    SAME_MOMENT = "same_fault_at_the_same_moment"
    AFTERMATH_OF = "aftermath_of_outage"
    PARENT_OVER = "parent_is_over"
    STILL_BROKEN = "still_broken_after_parent"
    NO_PARENT_DOWN = "no_parent_is_down"
    MAINTENANCE_OVER = "maintenance_is_over"
    SILENCE_OVER = "silence_is_over"
    MEMBERS = "its_members"
    # people
    BY_PERSON = "by_person"


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do and why; a quiet one is stored, but is no note to anybody."""

    action: Action
    reason: Reason
    quiet: bool = False


_OPEN: Final = Decision(Action.OPEN, Reason.NEW_FAULT)
_VALUES: Final = frozenset({Reason.NEW_VALUE, Reason.OTHERS_FIRE, Reason.JOINED})


def decide(incident: Incident | None, alert: Alert, now: float, policy: Policy) -> Decision:
    """Decide what an alert does, given the newest incident of its key (open or not), or None if there never was one.

    `now` bounds the alert's own time: one from the future counts as of now.
    """
    if incident is None:
        return _OPEN if alert.state == "firing" else _nothing(Reason.NO_INCIDENT)
    feed = incident.alerts.get(alert.fingerprint)
    if feed is not None and alert.at <= feed.at:
        same = (alert.at, alert.state) == (feed.at, feed.state)
        return _nothing(Reason.DUPLICATE if same else Reason.LATE)
    at = min(alert.at, now)
    if incident.resolved_at is not None:
        return _after_resolution(incident, incident.resolved_at, alert, at, policy)
    return _throttled(incident, _while_unresolved(incident, feed, alert, at, policy), at, policy)


def decide_wake(incident: Incident, policy: Policy) -> Decision:
    """Decide what happens to an incident at the moment `wake_at(incident, policy)`."""
    if not incident.unresolved:
        return Decision(Action.CLOSE, Reason.WINDOW_OVER, quiet=True)
    if incident.pending_until is not None and incident.pending_until == wake_at(incident, policy):
        return Decision(Action.RESUME, Reason.TIME_IS_UP)
    if burning(incident):
        return Decision(Action.LEAVE_FLAPPING, Reason.QUIET)
    return Decision(Action.RECOVER if incident.worked_on else Action.RESOLVE, Reason.QUIET)


def wake_at(incident: Incident, policy: Policy) -> float | None:
    """Return when time alone will change the incident, None if it never will."""
    if incident.resolved_at is not None:
        return None if incident.closed_at is not None else incident.resolved_at + policy.reopen_window
    times = (incident.pending_until, incident.hold_until, _quiet_at(incident, policy))
    return min((time for time in times if time is not None), default=None)


def verdict_at(incident: Incident, policy: Policy) -> float | None:
    """Return when it must be looked at what suppresses the incident, if that is what time does next; else None."""
    until = incident.hold_until
    return until if incident.resolved_at is None and until is not None and until == wake_at(incident, policy) else None


def _quiet_at(incident: Incident, policy: Policy) -> float | None:
    if incident.flapping_since is None:
        return None
    return incident.changes[-1] + policy.flapping_window


def burning(incident: Incident) -> bool:
    """Tell whether any of its alerts holds it open; one without data does."""
    return any(feed.active for feed in incident.alerts.values())


def worst(incident: Incident, changed: Feed) -> Severity:
    """Return the severity once `changed` replaces what was known of that alert: the worst that is active.

    With none active it stays what it was, and while flapping it never falls.
    """
    active = [feed.severity for name, feed in incident.alerts.items() if feed.active and name != changed.fingerprint]
    if changed.active:
        active.append(changed.severity)
    if not active or incident.flapping_since is not None:
        active.append(incident.severity)
    return min(active, key=lambda severity: severity.rank)


def heard(incident: Incident, alert: Alert) -> Feed:
    """Return the alert as its incident keeps it."""
    labels = incident.labels
    apart = {} if alert.labels == labels else {n: text for n, text in alert.labels.items() if labels.get(n) != text}
    return Feed(
        fingerprint=alert.fingerprint,
        severity=severity_of(alert.severity),
        state=alert.state,
        value=finite(alert.value),
        at=alert.at,
        active_at=alert.active_at,
        labels=apart,
    )


def finite(value: float) -> float | None:
    """Return the value, or None for NaN and the infinities, which neither JSON nor people can use."""
    return value if math.isfinite(value) else None


def _while_unresolved(incident: Incident, feed: Feed | None, alert: Alert, at: float, policy: Policy) -> Decision:
    if alert.state == "firing":
        return _firing(incident, feed, alert, at, policy)
    if feed is None or not feed.active or feed.state == alert.state:
        return _nothing(Reason.ALREADY)
    if alert.state == "stale":
        return Decision(Action.UPDATE, Reason.NO_DATA)
    return _ceasing(incident, alert, at, policy)


def _firing(incident: Incident, feed: Feed | None, alert: Alert, at: float, policy: Policy) -> Decision:
    severity = worst(incident, heard(incident, alert))
    if severity.rank < incident.severity.rank and burning(incident):
        return Decision(Action.CHANGE_SEVERITY, Reason.WORSE)
    if not burning(incident):
        return _change(incident, Decision(Action.UPDATE, Reason.FIRING_AGAIN), at, policy)
    if severity is not incident.severity:
        return _change(incident, Decision(Action.CHANGE_SEVERITY, Reason.BETTER), at, policy)
    if feed is None or not feed.active:
        return Decision(Action.UPDATE, Reason.JOINED)
    if feed.state == "stale":
        return Decision(Action.UPDATE, Reason.DATA_BACK)
    news = feed.value != alert.value or dict(incident.annotations) != dict(alert.annotations)
    return Decision(Action.UPDATE, Reason.NEW_VALUE if news else Reason.REPEATED)


def _ceasing(incident: Incident, alert: Alert, at: float, policy: Policy) -> Decision:
    if any(feed.active for name, feed in incident.alerts.items() if name != alert.fingerprint):
        if worst(incident, heard(incident, alert)) is incident.severity:
            return Decision(Action.UPDATE, Reason.OTHERS_FIRE)
        return _change(incident, Decision(Action.CHANGE_SEVERITY, Reason.BETTER), at, policy)
    over = (Action.RECOVER, Reason.WORKED_ON) if incident.worked_on else (Action.RESOLVE, Reason.NOBODY_WORKED)
    return _change(incident, Decision(*over), at, policy)


def _change(incident: Incident, usual: Decision, at: float, policy: Policy) -> Decision:
    """Return what is usual when it begins or ceases to burn, unless it does so too often."""
    if incident.flapping_since is not None:
        return Decision(Action.UPDATE, Reason.FLAPPING)
    if _too_many_changes(incident, at, policy):
        return Decision(Action.ENTER_FLAPPING, Reason.MANY_CHANGES)
    return usual


def _after_resolution(incident: Incident, resolved_at: float, alert: Alert, at: float, policy: Policy) -> Decision:
    feed = incident.alerts.get(alert.fingerprint)
    fires = feed is not None and feed.active
    if alert.state != "firing":
        return Decision(Action.UPDATE, Reason.AFTERWARDS, quiet=True) if fires else _nothing(Reason.ALREADY)
    if alert.at <= resolved_at:
        return _nothing(Reason.LATE)
    goes_on = fires and alert.active_at <= resolved_at
    if goes_on and severity_of(alert.severity).rank >= incident.severity.rank:
        return _nothing(Reason.RESOLVED_BY_PERSON)
    if at - resolved_at <= policy.reopen_window:
        often = _too_many_changes(incident, at, policy)
        return Decision(Action.REOPEN, Reason.MANY_CHANGES if often else Reason.WITHIN_WINDOW)
    return Decision(Action.OPEN, Reason.REPEAT if at - resolved_at <= policy.repeat_window else Reason.NEW_FAULT)


def _too_many_changes(incident: Incident, at: float, policy: Policy) -> bool:
    return sum(change > at - policy.flapping_window for change in incident.changes) >= policy.flapping_changes


def _throttled(incident: Incident, decision: Decision, at: float, policy: Policy) -> Decision:
    if decision.action is not Action.UPDATE:
        return decision
    between = policy.update_note if decision.reason in _VALUES else 0.0
    if incident.flapping_since is not None:
        between = policy.flapping_note
    noted = incident.opened_at if incident.noted_at is None else incident.noted_at
    quiet = decision.reason is Reason.REPEATED or at - noted < between
    return replace(decision, quiet=quiet)


def _nothing(reason: Reason) -> Decision:
    return Decision(Action.NOTHING, reason)
