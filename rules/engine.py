"""The engine: rule files over a fleet, evaluated tick by tick, deterministic; time comes in as an argument.

The same appends and the same ticks give the same transitions. What survives a restart is in `dump`.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Collection, Iterator, Mapping

from rules import state
from rules.alerting import AlertingRule, Around
from rules.alerts import Alert, Transition
from rules.errors import PromQLError, RuleFileError
from rules.files import Group, Rule, parse
from rules.fleet import Fleet
from rules.group import RuleStatus, RunningGroup, RunningRule, shares
from rules.idle import idle
from rules.presence import Presence
from rules.queries import Queries
from rules.recorder import Recorder
from rules.recording import RecordingRule
from rules.roster import Identity, claim, identities
from rules.source import DEFAULT_STEP, Source


class Engine:
    """Rules at work on a fleet.

    Args:
        external_labels, external_url: what templates know as $externalLabels and $externalURL.
        stale: hold alerts whose data is missing; False is Prometheus' own way, which takes that for recovery.
        step: the default resolution of subqueries, in seconds.
        clock: measures how long a rule takes; nothing else depends on it.
    """

    def __init__(
        self,
        fleet: Fleet,
        *,
        external_labels: Mapping[str, str] | None = None,
        external_url: str = "",
        stale: bool = True,
        step: float = DEFAULT_STEP,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.fleet = fleet
        self._stale = stale
        self._clock = clock
        self._source = functools.partial(Source, fleet, step=step)
        self._around = Around(
            Queries(self._source), dict(external_labels or {}), external_url, external_url if stale else None
        )
        self._groups: list[RunningGroup] = []
        self._sources: dict[str, Source] = {}
        self._saved: dict[Identity, state.SavedRule] = {}
        self._slots: dict[str, int] = {}
        self._now = float("-inf")
        self._owners = 0
        self._gone: list[RunningRule] = []  # by a reload; their alerts end with the next tick

    # -- rules ---------------------------------------------------------------------------------------------------

    def load(self, files: Mapping[str, str]) -> None:
        """Take these rule files (name to YAML text) in place of the former ones; on RuleFileError none of them.

        A rule that was there before with the same group, name and labels keeps its alerts. The alerts of rules that
        are gone end with the next tick, as `inactive`.
        """
        groups = _parsed(files)
        sources = self._compiled(groups)
        former = dict(self._running())
        wanted = [identity for group in groups for _, identity in identities(group)]
        kept = claim(former, wanted)
        saved = claim(self._saved, [identity for identity in wanted if identity not in kept])
        self._slots.update({_key(g.group): g.slot for g in self._groups if g.slot is not None})
        self._gone += former.values()
        self._sources = sources
        self._groups = self._assembled(groups, kept, saved)

    def spare(self, metrics: Collection[str]) -> None:
        """Pass over the rules that can yield nothing while only these metrics are sent, until the next `load`."""
        running = [rule for group in self._groups for rule in group.rules]
        for rule, spared in zip(running, idle([rule.rule for rule in running], metrics), strict=True):
            rule.idle = spared

    def rules(self) -> list[RuleStatus]:
        """How each rule is, in the order of the files."""
        return [status for group in self._groups for status in group.status()]

    def errors(self) -> Iterator[tuple[str, str]]:
        """The rules whose last evaluation failed, by name, each with why."""
        running = (rule for group in self._groups for rule in group.rules)
        return ((rule.rule.name, rule.error) for rule in running if rule.health == "err")

    def alerting(self) -> Iterator[tuple[AlertingRule, RuleStatus]]:
        """The alerting rules at work, each with how it is."""
        for group in self._groups:
            for running, status in zip(group.rules, group.status(), strict=True):
                if isinstance(running.work, AlertingRule):
                    yield running.work, status

    # -- evaluation ----------------------------------------------------------------------------------------------

    def tick(self, now: float) -> list[Transition]:
        """Evaluate the groups that are due at `now`; a time that is not after the last tick's evaluates nothing."""
        if now <= self._now:
            return []
        self._now = now
        changes = self.farewell(now)
        for group in self._groups:
            if group.due(now):
                changes += group.evaluate(now, self._clock)
        return changes

    def evaluate(self, now: float, order: Callable[[Group], int] | None = None) -> list[Transition]:
        """Evaluate every group, due or not, as unit tests do; `order` sorts them, by default as in the files."""
        self._now = now
        groups = sorted(self._groups, key=lambda g: order(g.group)) if order else self._groups
        return [change for group in groups for change in group.evaluate(now, self._clock)]

    def active(self) -> list[Alert]:
        """The alerts that are pending, firing or stale now, their annotations expanded with the current value."""
        return [alert for rule in self._alerting() for alert in rule.alerts()]

    def forget(self, match: Mapping[str, str], now: float, reason: str) -> list[Transition]:
        """End the alerts that bear all of these labels, as `inactive`: their device is no longer watched."""
        return [change for rule in self._alerting() for change in rule.forget(match, now, reason)]

    def farewell(self, now: float) -> list[Transition]:
        """End what rules left behind that a reload removed; a dump does not hold it."""
        gone, self._gone = self._gone, []
        return [change for running in gone for change in running.end(now, "the rule is gone")]

    def next_due(self) -> float | None:
        """When a `for` or `keep_firing_for` will next be over, if nothing else changes; None if none is under way."""
        moments = [moment for rule in self._alerting() if (moment := rule.life.due(self._now)) is not None]
        return min(moments, default=None)

    # -- state ---------------------------------------------------------------------------------------------------

    def dump(self) -> bytes:
        """The state of the fleet and of every alert, to be restored by an engine of the same version."""
        rules = [running.save(identity) for identity, running in self._running()] + list(self._saved.values())
        slots = self._slots | {_key(g.group): g.slot for g in self._groups if g.slot is not None}
        return state.encode(state.Saved(self._now, self._owners, slots, rules), self.fleet.dump())

    def restore(self, data: bytes) -> None:
        """Take over what `dump` returned, before or after `load`; StateError if it cannot be read.

        States of rules that are not loaded wait for a `load` that has them.
        """
        saved, fleet = state.decode(data)
        self.fleet.restore(fleet)
        self._now, self._owners, self._slots = saved.now, saved.owners, dict(saved.slots)
        self._saved = {rule.identity: rule for rule in saved.rules}
        groups = [g.group for g in self._groups]
        if groups:
            wanted = [identity for group in groups for _, identity in identities(group)]
            claimed = claim(self._saved, wanted)
            self._groups = self._assembled(groups, {}, claimed)

    # -- within --------------------------------------------------------------------------------------------------

    def _compiled(self, groups: list[Group]) -> dict[str, Source]:
        sources: dict[str, Source] = {}
        for group in groups:
            for rule in group.rules:
                if rule.expr in sources:
                    continue
                try:
                    sources[rule.expr] = self._sources.get(rule.expr) or self._source(rule.expr)
                except PromQLError as error:
                    raise RuleFileError(group.file, rule.line, f"{rule.name}: {error.message}") from None
        return sources

    def _assembled(
        self, groups: list[Group], kept: Mapping[Identity, RunningRule], saved: Mapping[Identity, state.SavedRule]
    ) -> list[RunningGroup]:
        """The groups at work, with the states that their rules take over."""
        records: dict[str, list[RecordingRule]] = {}
        for group in groups:
            for rule in group.rules:
                if rule.kind == "record":
                    work = RecordingRule(rule, group.name, self._sources[rule.expr])
                    records.setdefault(rule.name, []).append(work)
        running = []
        for group, share in zip(groups, shares(groups), strict=True):
            works = [(identity, self._work(group, rule, records)) for rule, identity in identities(group)]
            rules = [self._settled(work, kept.get(i), saved.get(i)) for i, work in works]
            running.append(RunningGroup(group, rules, share))
            running[-1].slot = self._slots.pop(_key(group), None)
        return running

    def _work(
        self, group: Group, rule: Rule, records: Mapping[str, list[RecordingRule]]
    ) -> AlertingRule | RecordingRule:
        source = self._sources[rule.expr]
        if rule.kind == "record":
            return next(work for work in records[rule.name] if work.rule is rule)
        presence = Presence(source, records) if self._stale else None
        return AlertingRule(rule, group.name, source, self._around, presence)

    def _settled(
        self, work: AlertingRule | RecordingRule, kept: RunningRule | None, saved: state.SavedRule | None
    ) -> RunningRule:
        if kept is not None:
            return kept.succeeded_by(work)
        if saved is not None:
            return RunningRule.restored(work, self.fleet, saved)
        self._owners += 1
        return RunningRule(work, Recorder(self.fleet, -self._owners))

    def _running(self) -> Iterator[tuple[Identity, RunningRule]]:
        for group in self._groups:
            for (_, identity), running in zip(identities(group.group), group.rules, strict=True):
                yield identity, running

    def _alerting(self) -> Iterator[AlertingRule]:
        for group in self._groups:
            for running in group.rules:
                if isinstance(running.work, AlertingRule):
                    yield running.work


def _parsed(files: Mapping[str, str]) -> list[Group]:
    """The groups of all files; one error holds the faults of all."""
    groups: list[Group] = []
    faults: list[RuleFileError] = []
    for name, text in files.items():
        try:
            groups += parse(text, name)
        except RuleFileError as error:
            faults.append(error)
    if faults:
        first = faults[0]
        rest = [*first.others, *(e for fault in faults[1:] for e in (fault, *fault.others))]
        raise RuleFileError(first.file, first.line, first.message, rest)
    return groups


def _key(group: Group) -> str:
    return f"{group.file}\n{group.name}\n{group.interval}"
