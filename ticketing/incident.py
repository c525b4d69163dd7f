"""The incident, its alerts and its timeline, as every part of Watchdesk sees them: frozen, without a database.

They are msgspec's structures rather than dataclasses, because an alert storm makes and copies hundreds of thousands
of them: `msgspec.structs.replace` takes a tenth of the time of `dataclasses.replace`.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

MACHINE: Final = "watchdesk"  # the actor of what no person did; no user may have this name


class State(StrEnum):
    """Where an incident stands. It is *open* (and alone of its key) until it is resolved.

    A suppressed one is nobody's ticket: it is listed under its parent, or waits (see `Hold`), and opens by itself.
    """

    SUPPRESSED = "suppressed"
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    IN_PROGRESS = "in_progress"
    PENDING = "pending"
    RECOVERED = "recovered"
    RESOLVED = "resolved"
    CLOSED = "closed"


UNRESOLVED: Final = frozenset(State) - {State.RESOLVED, State.CLOSED}


class Severity(StrEnum):
    """How bad an alert is; `rank` is 0 for the worst."""

    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """Return 0 for critical to 3 for info."""
        return _RANKS[self]


_RANKS: Final = {severity: rank for rank, severity in enumerate(Severity)}


class Hold(StrEnum):
    """Why an incident is suppressed."""

    VERDICT = "awaits_verdict"  # a few seconds, whether what it hangs on is dead too
    PARENT = "parent"  # it is a part of its parent's fault
    AFTER_PARENT = "after_parent"  # the parent is over: it has a while to recover, too
    MAINTENANCE = "maintenance"
    SILENCE = "silence"


class Kind(StrEnum):
    """What an alert means to others."""

    NONE = ""
    UNREACHABLE = "unreachable"  # the device is silent, or does not answer
    SITE = "site"  # a whole site is
    POWER = "power"  # mains power is lost
    INTERNET = "internet"  # the line of a site to the world is
    PORT = "port"  # a port of a switch, named by `about`, is down
    GROUP = "group"  # many devices have the same fault
    RACK = "rack"  # the devices of a rack, named by `about`, are silent
    AFTERMATH = "aftermath"  # a device says that it had been away
    COMING = "coming"  # a fault that is not here yet


class PendingReason(StrEnum):
    """Why work waits; the clock of the service level stands still meanwhile."""

    CUSTOMER = "waiting_for_customer"
    SUPPLIER = "waiting_for_supplier"
    PARTS = "waiting_for_parts"
    ACCESS = "waiting_for_access"
    CHANGE = "waiting_for_change_window"


class Cause(StrEnum):
    """What a person says it was, when resolving."""

    FIXED = "fixed"
    WORKAROUND = "workaround"
    WENT_AWAY = "went_away"
    NOT_A_FAULT = "not_a_fault"
    THRESHOLD = "threshold_too_low"
    DUPLICATE = "duplicate"
    OTHER = "other"


class Feed(msgspec.Struct, frozen=True, gc=False):
    """An alert that feeds an incident, as it was heard of last.

    `labels` are those in which it differs from the incident's; `value` is None where it was no finite number.
    """

    fingerprint: str
    severity: Severity
    state: str  # firing, stale or resolved
    value: float | None
    at: float
    active_at: float
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)

    @property
    def active(self) -> bool:
        """Tell whether it holds the incident open: no data is not a recovery."""
        return self.state != "resolved"


class Incident(msgspec.Struct, frozen=True, gc=False):
    """A ticket. Times are Unix seconds, UTC; `version` counts its changes and is what a person's action compares."""

    id: int
    customer: str
    site: str
    device: str
    klass: str
    alertname: str
    key: str
    labels: Mapping[str, str]  # of the alert that opened it
    annotations: Mapping[str, str]  # of the newest alert
    state: State
    severity: Severity
    impact: int  # 1 to 3
    urgency: int  # 1 to 4
    priority: int  # 1 to 4
    value: float | None
    count: int  # how often one of its alerts began to fire
    active_at: float  # since when the condition holds
    opened_at: float
    updated_at: float
    version: int = 1
    acknowledged_at: float | None = None
    acknowledged_by: str | None = None
    owner: str | None = None
    comments: int = 0
    pending_reason: PendingReason | None = None
    pending_until: float | None = None
    stale_since: float | None = None  # no data since
    recovered_at: float | None = None
    resolved_at: float | None = None
    resolved_by: str | None = None
    cause: Cause | None = None
    closed_at: float | None = None
    flapping_since: float | None = None
    changes: tuple[float, ...] = ()  # when it began or ceased to burn, the last few times
    noted_at: float | None = None  # the newest entry that is not quiet
    parent: int | None = None
    previous: int | None = None  # the incident of the same key before this one
    repeat: bool = False  # the previous one was resolved within 90 days
    kind: Kind = Kind.NONE
    about: str = ""  # what of the device, for those who look for it: a port, a rack, the host that is missed
    hold: Hold | None = None  # why it is suppressed
    hold_until: float | None = None  # None while the parent lasts
    hidden_since: float | None = None  # suppressed without ever having been a ticket
    placed_by: str | None = None  # the person who merged it or split it off: correlation leaves it where it is
    devices: int = 0  # that are behind it, or are its members
    people: int = 0  # whom it hits, as far as the register knows
    worst_member: int = 4  # the highest priority among its members
    expected_at: float | None = None  # when a fault that is coming will be here
    alerts: Mapping[str, Feed] = msgspec.field(default_factory=dict)  # by fingerprint; not filled in lists
    members: tuple[int, ...] = ()  # the incidents whose parent this is

    @property
    def number(self) -> str:
        """Return what people call it, such as `INC-20418`."""
        return f"INC-{self.id}"

    @property
    def unresolved(self) -> bool:
        """Tell whether it is still to be dealt with."""
        return self.resolved_at is None

    @property
    def worked_on(self) -> bool:
        """Tell whether a person has worked on it, so that it must not resolve by itself."""
        return self.owner is not None or self.comments > 0 or self.state in {State.IN_PROGRESS, State.PENDING}

    def summary(self, language: str = "en") -> str:
        """Return the rule's sentence about it, in the language if the rule has it."""
        translated = self.annotations.get("summary_zh", "") if language.startswith("zh") else ""
        return translated or self.annotations.get("summary", "") or self.alertname


class TimelineEntry(msgspec.Struct, frozen=True, gc=False):
    """One change of an incident: what, by whom, why, when.

    `data["set"]` holds the members of `Incident` that it changed, with their new values, `data["was"]` the values of
    those before that people read, `data["alerts"]` the alerts (`Feed`) behind it by fingerprint, `data["text"]` what a
    person wrote. A quiet entry is not worth a note: the next quiet one takes it in, and `data["times"]` counts them.
    """

    id: int
    incident: int
    version: int  # of the incident, after this change
    at: float
    actor: str  # MACHINE or a user's name
    action: str
    reason: str
    quiet: bool = False
    internal: bool = False  # not for the customer's eyes
    data: Mapping[str, Any] = msgspec.field(default_factory=dict)


def to_json(incident: Incident) -> dict[str, Any]:
    """Return the incident as `watchdesk incidents --json` prints it: times are RFC 3339 in UTC, or null."""
    return {
        "id": incident.id,
        "number": incident.number,
        "key": incident.key,
        "state": incident.state.value,
        "severity": incident.severity.value,
        "priority": incident.priority,
        "customer": incident.customer,
        "site": incident.site,
        "device": incident.device,
        "class": incident.klass,
        "alertname": incident.alertname,
        "summary": incident.summary(),
        "labels": dict(incident.labels),
        "annotations": dict(incident.annotations),
        "value": incident.value,
        "active_at": rfc3339(incident.active_at),
        "opened_at": rfc3339(incident.opened_at),
        "acknowledged_at": rfc3339(incident.acknowledged_at),
        "recovered_at": rfc3339(incident.recovered_at),
        "resolved_at": rfc3339(incident.resolved_at),
        "closed_at": rfc3339(incident.closed_at),
        "updated_at": rfc3339(incident.updated_at),
        "owner": incident.owner,
        "count": incident.count,
        "flapping": incident.flapping_since is not None,
        "no_data": incident.stale_since is not None,
        "repeat": incident.repeat,
        "previous": incident.previous,
        "parent": incident.parent,
        "members": list(incident.members),
        "kind": incident.kind.value,
        "suppressed": None if incident.hold is None else incident.hold.value,
        "devices": incident.devices,
        "people": incident.people,
        "expected_at": rfc3339(incident.expected_at),
        "version": incident.version,
    }


def rfc3339(time: float | None) -> str | None:
    """Return a time with milliseconds, such as `2026-03-01T04:05:06.789Z`; None stays None."""
    if time is None:
        return None
    moment = datetime.datetime.fromtimestamp(time, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
