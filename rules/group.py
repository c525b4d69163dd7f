"""A group of rules at work: when it is due, and what became of each of its rules."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from rules.alerting import AlertingRule
from rules.alerts import Transition
from rules.errors import RuleError
from rules.files import Group, Rule
from rules.fleet import Fleet
from rules.labels import Labels
from rules.recorder import Recorder
from rules.recording import RecordingRule
from rules.roster import Identity, SavedRule, load_alert, save_alert

Health = Literal["unknown", "ok", "err"]


@dataclass(frozen=True, slots=True)
class RuleStatus:
    """How a rule is: for people and for /metrics. Durations in seconds, memory in bytes."""

    file: str
    group: str
    kind: Literal["alert", "record"]
    name: str
    expr: str
    line: int
    health: Health
    last_error: str
    last_duration: float
    evaluated_at: float | None
    series: int  # elements of the last result, or series that were recorded
    alerts: int  # pending, firing and stale now
    memory: int
    failures: int  # evaluations that failed


class RunningRule:
    """A rule with its health; a failure is its own, and leaves its alerts and series as they were."""

    def __init__(self, work: AlertingRule | RecordingRule, recorder: Recorder) -> None:
        self.work = work
        self.recorder = recorder
        self.health: Health = "unknown"
        self.idle = False  # it is known to yield nothing, and is passed over
        self.error = ""
        self.duration = 0.0
        self.evaluated_at: float | None = None
        self.series = 0
        self.failures = 0

    @classmethod
    def restored(cls, work: AlertingRule | RecordingRule, fleet: Fleet, saved: SavedRule) -> RunningRule:
        """A rule with the state that was dumped of it."""
        running = cls(work, Recorder(fleet, saved.owner, [Labels(own) for own in saved.columns]))
        if isinstance(work, AlertingRule):
            alerts = map(load_alert, saved.alerts)
            work.life.active = {alert.labels: alert for alert in alerts}
        return running

    def succeeded_by(self, work: AlertingRule | RecordingRule) -> RunningRule:
        """The same rule after a reload, with the alerts and series of this one."""
        if isinstance(work, AlertingRule) and isinstance(self.work, AlertingRule):
            work.life.active = self.work.life.active
        running = RunningRule(work, self.recorder)
        running.health, running.error, running.duration = self.health, self.error, self.duration
        running.evaluated_at, running.series, running.failures = self.evaluated_at, self.series, self.failures
        return running

    def save(self, identity: Identity) -> SavedRule:
        """The state of this rule for the dump."""
        active = self.work.life.active.values() if isinstance(self.work, AlertingRule) else ()
        columns = [dict(own) for own in self.recorder.columns]
        return SavedRule(identity, self.recorder.owner, columns, [save_alert(a) for a in active])

    def end(self, now: float, reason: str) -> list[Transition]:
        """End the rule: its alerts, and its series."""
        self.recorder.close()
        return self.work.end(now, reason) if isinstance(self.work, AlertingRule) else []

    @property
    def rule(self) -> Rule:
        """The rule as its file has it."""
        return self.work.rule

    def evaluate(self, now: float, group: Group, clock: Callable[[], float]) -> list[Transition]:
        """Evaluate the rule and leave its samples in the fleet."""
        started = clock()
        when = now - (group.query_offset or 0.0)
        changes: list[Transition] = []
        try:
            if isinstance(self.work, AlertingRule):
                changes = self.work.evaluate(now, when, group.limit)
                self.recorder.write(*self.work.samples(), when)
                self.series = len(self.work.life.active)
            else:
                recorded, numbers = self.work.evaluate(when, group.limit)
                self.recorder.write(recorded, numbers, when)
                self.series = len(recorded)
            self.health, self.error = "ok", ""
        except RuleError as error:
            self.health, self.error = "err", str(error)
            self.failures += 1
        self.evaluated_at = now
        self.duration = clock() - started
        return changes


def shares(groups: Sequence[Group]) -> list[float]:
    """Return for each group the part of its interval by which it is put off: those of one interval evenly apart."""
    order = sorted(range(len(groups)), key=lambda i: zlib.crc32(_name(groups[i])))
    alike: dict[float | None, list[int]] = {}
    for index in order:
        alike.setdefault(groups[index].interval, []).append(index)
    return [alike[g.interval].index(i) / len(alike[g.interval]) for i, g in enumerate(groups)]


def _name(group: Group) -> bytes:
    return f"{group.file};{group.name}".encode("utf-8", "surrogatepass")


class RunningGroup:
    """The rules of a group, in their order, and the slots of time in which they are evaluated.

    As in Prometheus each group has an offset of its own within its interval, so that not all of them work at once;
    `share` is the part of the interval.
    """

    def __init__(self, group: Group, rules: list[RunningRule], share: float) -> None:
        self.group = group
        self.rules = rules
        self.slot: int | None = None  # the last one in which it was evaluated
        self._offset = share * (group.interval or 0.0)

    def due(self, now: float) -> bool:
        """Whether a slot has begun since the last evaluation."""
        return self.group.interval is None or self.slot is None or self._slot(now) > self.slot

    def evaluate(self, now: float, clock: Callable[[], float]) -> list[Transition]:
        """Evaluate every rule, one after the other, each seeing what those before it recorded."""
        self.slot = self._slot(now)
        return [change for rule in self.rules if not rule.idle for change in rule.evaluate(now, self.group, clock)]

    def status(self) -> list[RuleStatus]:
        """How each rule is."""
        return [self._status(rule) for rule in self.rules]

    def _slot(self, now: float) -> int:
        return int((now - self._offset) // self.group.interval) if self.group.interval else 0

    def _status(self, running: RunningRule) -> RuleStatus:
        work = running.work
        return RuleStatus(
            file=self.group.file,
            group=self.group.name,
            kind=running.rule.kind,
            name=running.rule.name,
            expr=running.rule.expr,
            line=running.rule.line,
            health=running.health,
            last_error=running.error,
            last_duration=running.duration,
            evaluated_at=running.evaluated_at,
            series=running.series,
            alerts=len(work.life.active) if isinstance(work, AlertingRule) else 0,
            memory=work.source.memory(),
            failures=running.failures,
        )
