"""Alerts and what becomes of them, as the engine tells it to those who listen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

State = Literal["pending", "firing", "stale", "resolved", "inactive"]
ActiveState = Literal["pending", "firing", "stale"]


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of an alert's state at a tick.

    pending: the condition holds, `for` is not over yet. firing: it is over. stale: the alert fired, and there is no
    data now that would tell whether it still should. resolved: it fired, there is data, and the condition does not
    hold. inactive: it ended without recovery, while pending or because its rule is gone; `reason` tells.
    """

    state: State
    group: str
    alert: str
    labels: Mapping[str, str]  # after templating, with alertname
    annotations: Mapping[str, str]
    value: float
    at: float  # the tick of the change
    active_at: float  # since when the condition holds
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that is pending, firing or stale now; value and annotations are current."""

    state: ActiveState
    group: str
    alert: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    value: float
    active_at: float
    fired_at: float | None
    seen_at: float  # when its condition was last seen to hold
