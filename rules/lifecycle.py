"""The life of one rule's alerts: Prometheus' state machine, and `stale` (prometheus: rules/alerting.go).

Nothing here knows expressions or series: a step is told which alerts the rule's result holds, and asks for those of
the others for which there was no data to judge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from rules.alerts import ActiveState, State
from rules.labels import Labels

_MILLISECOND: Final = 0.0005  # half of it: times are told to the millisecond, and floats are not


@dataclass(slots=True)
class Active:
    """An alert that is pending, firing or stale."""

    labels: Labels
    source: Labels  # the labels of the element that raised it, before templating
    state: ActiveState
    value: float
    active_at: float
    seen_at: float
    fired_at: float | None = None
    keep_since: float | None = None  # since when keep_firing_for alone holds it
    told: Mapping[str, str] | None = None  # the last annotations, where those ask the fleet


class Element(NamedTuple):
    """An element of the rule's result: its labels before templating, its value."""

    source: Labels
    value: float


class Change(NamedTuple):
    """What a step did to an alert."""

    active: Active
    state: State
    reason: str


Missing = Callable[[Sequence[Active]], Sequence[bool]]
GONE_AFTER: Final = 86_400.0  # seconds without data after which an alert's device is asked whether it reports at all


class Lifecycle:
    """The alerts of one rule, by their labels.

    `hold` and `keep` are `for` and `keep_firing_for`; `gap` is how long a pending alert waits for data that is
    missing, None for Prometheus' own behaviour, which takes missing data for recovery.
    """

    def __init__(self, hold: float, keep: float, gap: float | None) -> None:
        self.hold = hold
        self.keep = keep
        self.gap = gap
        self.active: dict[Labels, Active] = {}

    def count(self, found: Mapping[Labels, Element], now: float) -> int:
        """How many alerts will be pending or firing once the step is taken: what Prometheus limits."""
        kept = sum(self._keeps(a, now) for key, a in self.active.items() if key not in found) if self.keep else 0
        return len(found) + kept

    def step(
        self, now: float, found: Mapping[Labels, Element], missing: Missing, reporting: Missing | None = None
    ) -> list[Change]:
        """Move every alert on; `missing` tells which of some alerts have no data now, `reporting` whose device is up.

        What has no data for a day while its device reports is no longer there: a disk taken out, a service removed.
        """
        changes: list[Change] = []
        for key, element in found.items():
            self._hold(key, element, now, changes)
        if len(self.active) > len(found):
            lost = [(key, a) for key, a in self.active.items() if key not in found]
            gone = [False] * len(lost) if self.gap is None else missing([a for _, a in lost])
            for (key, alert), no_data in zip(lost, gone, strict=True):
                (self._starve if no_data else self._release)(key, alert, now, changes)
            if reporting is not None:
                self._bury([a for _, a in lost if a.state == "stale"], now, reporting, changes)
        return changes

    def _bury(self, stale: list[Active], now: float, reporting: Missing, changes: list[Change]) -> None:
        old = [alert for alert in stale if now - alert.seen_at >= GONE_AFTER]
        for alert, reports in zip(old, reporting(old) if old else (), strict=True):
            if reports:
                del self.active[alert.labels]
                changes.append(Change(alert, "inactive", "what it is about is gone"))

    def due(self, now: float) -> float | None:
        """Return when, after `now`, the first of its alerts will have waited long enough; None if none waits."""
        if not self.active or not (self.hold or self.keep):
            return None
        moments = [a.active_at + self.hold for a in self.active.values() if a.state == "pending"]
        moments += [a.keep_since + self.keep for a in self.active.values() if a.keep_since is not None]
        return min((moment for moment in moments if moment > now), default=None)

    def end(self, reason: str) -> list[Change]:
        """End every alert without recovery."""
        changes = [Change(a, "inactive", reason) for a in self.active.values()]
        self.active.clear()
        return changes

    def _hold(self, key: Labels, element: Element, now: float, changes: list[Change]) -> None:
        alert = self.active.get(key)
        if alert is None:
            alert = Active(key, element.source, "pending", element.value, now, now)
            self.active[key] = alert
            if self.hold > 0:
                changes.append(Change(alert, "pending", ""))
        else:
            alert.source, alert.value, alert.seen_at, alert.keep_since = element.source, element.value, now, None
        if alert.state == "stale" or (alert.state == "pending" and now - alert.active_at >= self.hold - _MILLISECOND):
            alert.fired_at = now if alert.fired_at is None else alert.fired_at
            alert.state = "firing"
            changes.append(Change(alert, "firing", ""))

    def _release(self, key: Labels, alert: Active, now: float, changes: list[Change]) -> None:
        """There is data, and the condition does not hold."""
        if self._keeps(alert, now):
            if alert.keep_since is None:
                alert.keep_since = now
            if alert.state == "stale":
                alert.state = "firing"
                changes.append(Change(alert, "firing", "kept firing"))
            return
        del self.active[key]
        pending = alert.state == "pending"
        changes.append(Change(alert, "inactive" if pending else "resolved", "the condition no longer holds"))

    def _starve(self, key: Labels, alert: Active, now: float, changes: list[Change]) -> None:
        """There is no data that would tell whether the condition holds."""
        if alert.state == "firing":
            alert.state = "stale"
            changes.append(Change(alert, "stale", "no data"))
        elif alert.state == "pending" and now - alert.seen_at > (self.gap or 0) + _MILLISECOND:
            del self.active[key]
            changes.append(Change(alert, "inactive", "no data"))

    def _keeps(self, alert: Active, now: float) -> bool:
        since = now if alert.keep_since is None else alert.keep_since
        return alert.state != "pending" and self.keep > 0 and now - since < self.keep - _MILLISECOND
