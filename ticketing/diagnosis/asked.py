"""A request to examine a device, from the moment it is asked to what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

from ticketing.incident import rfc3339


class State(StrEnum):
    """How far it is."""

    WAITING = "waiting"  # the device has not fetched it
    SENT = "sent"
    ASKING = "asking"  # its user is asked for consent
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"  # the device takes it for forged, replayed or unknown
    DENIED = "denied"  # the policy there, or its user, said no
    FAILED = "failed"
    TIMEOUT = "timeout"
    REVOKED = "revoked"  # its user ended it


ORDER: Final = (State.WAITING, State.SENT, State.ASKING, State.RUNNING)  # it only goes forward
OVER: Final = frozenset(State) - frozenset(ORDER)


class Purpose(StrEnum):
    """What it is asked for."""

    FAULT = "fault"  # a rule fired
    AGAIN = "again"  # a person wants to know
    RECOVERY = "recovery"  # the fault is over: what is different?


class Diagnosis(msgspec.Struct, frozen=True):
    """A request and its result; times are Unix seconds, the columns those of its row.

    `finding` is one readable sentence or more; with `finding_id`, an English text with `%(name)s` places, it can be
    said in another language. `data` is what the device returned, as JSON text; None: nothing, or too old.
    """

    id: int
    uid: str
    customer: str
    device: int
    instance: str
    name: str
    arguments: Mapping[str, Any]
    privacy: str
    incident: int | None
    by: str
    purpose: Purpose
    before: int | None
    state: State
    reason: str
    asked_at: float
    tries: int
    changed_at: float
    started_at: float | None = None
    done_at: float | None = None
    seconds: float | None = None
    finding: str = ""
    finding_id: str = ""
    finding_values: Mapping[str, Any] = msgspec.field(default_factory=dict)
    data: str | None = None
    sha256: str = ""
    truncated: bool = False
    audit: str = ""

    @property
    def over(self) -> bool:
        """Tell whether nothing more will come of it."""
        return self.state in OVER

    @property
    def what(self) -> str:
        """Return its name with its arguments, as a person would type them: `disk.top_dirs path=/var`."""
        return " ".join([self.name, *(f"{name}={value}" for name, value in self.arguments.items())])

    @property
    def ticket(self) -> str:
        """Return the number of its incident, "" if it has none."""
        return "" if self.incident is None else f"INC-{self.incident}"


class Result(msgspec.Struct, frozen=True):
    """What is heard of a request; checked and bounded by whoever took it in."""

    state: State
    reason: str = ""
    finding: str = ""
    finding_id: str = ""
    finding_values: Mapping[str, Any] = msgspec.field(default_factory=dict)
    data: str | None = None  # JSON text
    sha256: str = ""
    started: float | None = None
    seconds: float | None = None
    truncated: bool = False
    audit: str = ""  # number and hash of the newest entry of the device's own audit


class Subject(msgspec.Struct, frozen=True):
    """A device that may be asked: who it is, and how it can be reached."""

    device: int
    instance: str
    customer: str
    os: str = ""
    agent: bool = True  # it has one
    polled: bool = False  # the collector can ask it by SNMP


def to_json(one: Diagnosis) -> dict[str, Any]:
    """Return a diagnosis for programs; times are RFC 3339 in UTC."""
    return {
        "id": one.uid,
        "device": one.instance,
        "name": one.name,
        "arguments": dict(one.arguments),
        "privacy": one.privacy,
        "ticket": one.ticket or None,
        "by": one.by,
        "purpose": one.purpose.value,
        "state": one.state.value,
        "reason": one.reason,
        "finding": one.finding,
        "asked_at": rfc3339(one.asked_at),
        "started_at": rfc3339(one.started_at),
        "done_at": rfc3339(one.done_at),
        "seconds": one.seconds,
        "data": None if one.data is None else msgspec.json.decode(one.data),
        "sha256": one.sha256,
        "truncated": one.truncated,
        "audit": one.audit,
    }
