"""Takes a key's alerts one after the other, from what is stored to what is to be stored; pure but for new numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec.structs import replace

from ticketing.alert import Alert
from ticketing.decide import Action, Decision, Policy, decide, decide_wake, verdict_at, wake_at
from ticketing.errors import Refused
from ticketing.incident import MACHINE, Feed, Incident, State, TimelineEntry
from ticketing.life import advanced, difference, entry, opened, woken
from ticketing.surroundings import NOTHING_KNOWN, Held, Surroundings
from ticketing.work import Act, performed
from ticketing.work import entry as told

_AHEAD: Final = float("inf")


@dataclass(slots=True)
class Case:
    """The newest incident of a key while a batch changes it.

    `stored` is what the database has (None: no incident of the key), `quiet` its newest entry if that is a quiet one.
    `done` are the incidents that became old during the batch, `entries` the new ones of all of them, and `swallowed`
    tells that the first new entry took in the stored quiet one.
    """

    customer: str
    key: str
    stored: Incident | None = None
    quiet: TimelineEntry | None = None
    incident: Incident | None = field(init=False)
    done: list[Incident] = field(default_factory=list)
    entries: list[TimelineEntry] = field(default_factory=list)
    swallowed: bool = False

    def __post_init__(self) -> None:
        self.incident = self.stored

    def take(
        self,
        alert: Alert,
        now: float,
        policy: Policy,
        number: Callable[[], int],
        around: Surroundings = NOTHING_KNOWN,
    ) -> None:
        """Let an alert have its effect; `number` gives the id of an incident that has to be opened."""
        self.wake(min(alert.at, now), policy)
        before = self.incident
        decision = decide(before, alert, now, policy)
        if decision.action is Action.NOTHING:
            return
        if decision.action is Action.OPEN:
            if before is not None and before is not self.stored:
                self.done.append(before)
            means = around.meaning(alert)
            self.incident = opened(alert, number(), self.key, before, decision, now, means)
            self._add(None, decision, self.incident.alerts[alert.fingerprint])
            held = around.held(alert, means.kind, self.key, self.incident.opened_at, policy)
            self._hold(held, hidden_since=self.incident.opened_at)
        elif before is not None:
            self.incident = advanced(before, alert, decision, now, policy)
            self._add(before, decision, self.incident.alerts[alert.fingerprint])
            if decision.action is Action.REOPEN:
                held = around.held(alert, before.kind, self.key, self.incident.updated_at, policy)
                self._hold(held, hidden_since=before.hidden_since)

    def wake(self, now: float, policy: Policy) -> None:
        """Let everything happen that time alone does until now."""
        while self.incident is not None and (wake_at(self.incident, policy) or _AHEAD) <= now:
            if verdict_at(self.incident, policy) is not None:
                return  # what becomes of it depends on others: see correlating.py
            before = self.incident
            decision = decide_wake(before, policy)
            self.incident = woken(before, decision, policy)
            self._add(before, decision, None)

    def place(self, decision: Decision, at: float, news: Mapping[str, Any], because: str = "") -> None:
        """Move the incident among others, or out from under them; `because` is for people to read.

        An incident that was opened just now opens so: it gets one entry.
        """
        before = self.incident
        if before is None:
            raise ValueError("there is no incident to place")
        last = self.entries[-1] if self.entries else None
        if last is not None and last.incident == before.id and last.action == Action.OPEN and before.version == 1:
            self.incident = replace(before, **news)
            opening = entry(None, self.incident, Decision(Action.OPEN, decision.reason), None)
            data = {**last.data, "set": opening.data["set"]}
            self.entries[-1] = replace(opening, data={**data, "text": because} if because else data)
            return
        at = max(at, before.updated_at)
        noted = before.noted_at if decision.quiet else at
        self.incident = replace(before, **news, updated_at=at, noted_at=noted, version=before.version + 1)
        moved = entry(before, self.incident, decision, None)
        self.entries.append(replace(moved, data={**moved.data, "text": because}) if because else moved)

    def perform(self, act: Act, actor: str, now: float) -> None:
        """Let a person's action have its effect. Raises Refused if it does not fit."""
        if self.incident is None:
            raise Refused("there is no such incident")
        before = self.incident
        self.incident = performed(before, act, actor, now)
        self.entries.append(told(before, self.incident, act, actor))

    def note(self, action: str, reason: str, now: float, data: Mapping[str, Any], *, internal: bool) -> None:
        """Add what the machine found out about the incident; its state stays."""
        if self.incident is None:
            raise ValueError("there is no incident to tell of")
        before = self.incident
        at = max(now, before.updated_at)
        self.incident = replace(before, updated_at=at, noted_at=at, version=before.version + 1)
        self.entries.append(
            TimelineEntry(
                id=0,
                incident=before.id,
                version=self.incident.version,
                at=at,
                actor=MACHINE,
                action=action,
                reason=reason,
                internal=internal,
                data={**difference(before, self.incident), **data},
            )
        )

    def changed(self) -> list[Incident]:
        """Return the incidents to write, the older ones first."""
        newest = [] if self.incident is None or self.incident is self.stored else [self.incident]
        return self.done + newest

    def ends_quietly(self, incident: int) -> bool:
        """Tell whether the newest entry of an incident is a quiet one."""
        last = next((entry for entry in reversed(self.entries) if entry.incident == incident), self.quiet)
        return last is not None and last.quiet

    def _hold(self, held: Held | None, hidden_since: float | None) -> None:
        """Suppress what opens or reopens; what never was a ticket does not become one by that."""
        if held is None or self.incident is None:
            return
        news = {"state": State.SUPPRESSED, "hold": held.hold, "hold_until": held.until, "hidden_since": hidden_since}
        self.place(Decision(Action.SUPPRESS, held.reason), self.incident.updated_at, news)

    def _add(self, before: Incident | None, decision: Decision, feed: Feed | None) -> None:
        if self.incident is None:
            raise ValueError("there is no incident to tell of")
        new = entry(before, self.incident, decision, feed)
        last = self.entries[-1] if self.entries else self.quiet
        if not new.quiet or last is None or not last.quiet or last.incident != new.incident:
            self.entries.append(new)
            return
        if self.entries:
            self.entries[-1] = merged(last, new)
        else:
            self.entries.append(merged(last, new))
            self.swallowed = True


def merged(old: TimelineEntry, new: TimelineEntry) -> TimelineEntry:
    """Return one quiet entry for two: the newer one, with everything that the older one had changed."""
    data: dict[str, Any] = {name: {**old.data.get(name, {}), **new.data.get(name, {})} for name in ("set", "alerts")}
    data["was"] = {**new.data.get("was", {}), **old.data.get("was", {})}
    data["times"] = old.data.get("times", 1) + 1
    return replace(new, data={name: part for name, part in data.items() if part})
