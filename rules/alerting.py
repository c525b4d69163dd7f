"""An alerting rule at work: its expression, its templates, its alerts (prometheus: rules/alerting.go)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rules.alerts import Alert, Transition
from rules.errors import EvaluationError
from rules.files import Rule
from rules.labels import NAME, Labels
from rules.lifecycle import Active, Change, Element, Lifecycle
from rules.presence import Presence
from rules.rings import STALE
from rules.source import Source
from rules.template import Query, Scope, Template

DUPLICATE: Final = "vector contains metrics with the same labelset after applying alert labels"
LOOKBACK: Final = 300.0  # seconds that a pending alert waits for missing data: PromQL's own lookback


class Around(NamedTuple):
    """What every template may speak of, besides its alert."""

    query: Query
    external_labels: Mapping[str, str]
    external_url: str
    own_url: str | None


class AlertingRule:
    """Evaluates a rule and keeps its alerts; without `presence` missing data is recovery, as in Prometheus."""

    def __init__(
        self, rule: Rule, group: str, source: Source, around: Around, presence: Presence | None = None
    ) -> None:
        self.rule = rule
        self.group = group
        self.source = source
        self._around = around
        self.life = Lifecycle(rule.hold, rule.keep, None if presence is None else LOOKBACK)
        self._presence = presence
        self._labels = {name: Template(text, rule.name) for name, text in rule.labels.items()}
        self._annotations = {name: Template(text, rule.name) for name, text in rule.annotations.items()}
        self._asking = any(t.queries for t in self._annotations.values())  # what they ask may be gone with the alert
        self._fixed = not any(t.volatile for t in self._labels.values())
        self._seen_at = 0.0
        self._samples: tuple[list[Labels], NDArray[np.float64]] | None = None
        self._named: dict[Labels, Labels] = {}  # labels after templating, by those before it

    def evaluate(self, now: float, when: float, limit: int) -> list[Transition]:
        """Move the alerts on to `now` by the data of `when`; EvaluationError leaves them as they were."""
        result = self.source.at(when)
        found: dict[Labels, Element] = {}
        named: dict[Labels, Labels] = {}
        for source, value in result:
            key = self._named.get(source) or self._identity(source, value, now)
            if key in found:
                raise EvaluationError(DUPLICATE)
            found[key] = Element(source, value)
            named[source] = key
        if limit > 0 and (count := self.life.count(found, now)) > limit:
            raise EvaluationError(f"exceeded limit of {limit} with {count} alerts")
        self._named = named if self._fixed else {}
        changes = self.life.step(
            now, found, lambda lost: self._missing(lost, when), lambda lost: self._reporting(lost, when)
        )
        self._seen_at = now
        if changes:
            self._samples = None
        if self._asking and self._presence is None:  # each time, as Prometheus does
            for key in found:
                self.life.active[key].told = self._annotated(self.life.active[key])
        return [self._transition(change, now) for change in changes]

    def end(self, now: float, reason: str) -> list[Transition]:
        """End every alert without recovery, because the rule is gone or its device is."""
        return [self._transition(change, now) for change in self.life.end(reason)]

    def forget(self, match: Mapping[str, str], now: float, reason: str) -> list[Transition]:
        """End the alerts that bear all of these labels, without recovery."""
        keys = [key for key in self.life.active if all(key.get(n) == v for n, v in match.items())]
        self._samples = None
        changes = [Change(self.life.active.pop(key), "inactive", reason) for key in keys]
        return [self._transition(change, now) for change in changes]

    def alerts(self) -> Iterator[Alert]:
        """The alerts that are pending, firing or stale, with annotations of now."""
        for a in self.life.active.values():
            yield Alert(
                state=a.state,
                group=self.group,
                alert=self.rule.name,
                labels=a.labels,
                annotations=self._annotated(a),
                value=a.value,
                active_at=a.active_at,
                fired_at=a.fired_at,
                seen_at=a.seen_at,
            )

    def samples(self) -> tuple[list[Labels], NDArray[np.float64]]:
        """ALERTS in both states, one of them stale, and ALERTS_FOR_STATE of every alert.

        An alert that is stale itself counts as firing. The list is the same as long as no alert has changed its state.
        """
        if self._samples is None:
            made: dict[Labels, float] = {}
            for key, a in self.life.active.items():
                own = {**self.rule.labels, **key}
                now = "pending" if a.state == "pending" else "firing"
                for state in ("pending", "firing"):
                    series = Labels({**own, NAME: "ALERTS", "alertstate": state})
                    if state == now or series not in made:  # two alerts may differ in a label alertstate of their own
                        made[series] = 1.0 if state == now else STALE
                made[Labels({**own, NAME: "ALERTS_FOR_STATE"})] = float(int(a.active_at))
            self._samples = list(made), np.array(list(made.values()))
        return self._samples

    def _identity(self, source: Labels, value: float, now: float) -> Labels:
        """An alert's labels: those of the element without its name, the rule's, and alertname."""
        own = {name: text for name, text in source.items() if name != NAME}
        if self._labels:
            scope = self._scope(source, value, now)
            own |= {name: template.expand(scope) for name, template in self._labels.items()}
        own["alertname"] = self.rule.name
        return Labels({name: text for name, text in own.items() if text})

    def _missing(self, lost: Sequence[Active], when: float) -> list[bool]:
        if self._presence is None:
            return [False] * len(lost)
        return self._presence.missing([a.source for a in lost], when)

    def _reporting(self, lost: Sequence[Active], when: float) -> list[bool]:
        if self._presence is None:
            return [False] * len(lost)
        return self._presence.reporting([a.labels for a in lost], when)

    def _transition(self, change: Change, now: float) -> Transition:
        a = change.active
        annotations = self._annotated(a)
        if self._asking:
            a.told = annotations
        return Transition(
            state=change.state,
            group=self.group,
            alert=self.rule.name,
            labels=a.labels,
            annotations=annotations,
            value=a.value,
            at=now,
            active_at=a.active_at,
            reason=change.reason,
        )

    def _annotated(self, a: Active) -> Mapping[str, str]:
        """Annotations of the moment at which the condition was last seen to hold.

        Where they ask the fleet, and that moment is past, they are what was told then, or at the last transition.
        """
        if a.told is not None and a.seen_at < self._seen_at:
            return a.told
        scope = self._scope(a.source, a.value, a.seen_at)
        return {name: template.expand(scope) for name, template in self._annotations.items()}

    def _scope(self, labels: Labels, value: float, now: float) -> Scope:
        around = self._around
        return Scope(labels, value, now, around.query, around.external_labels, around.external_url, around.own_url)
