"""One test of a file: its series and rules, run from beginning to end as promtool runs them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from rules.alerts import Alert
from rules.durations import format_duration
from rules.engine import Engine
from rules.errors import EvaluationError, PromQLError, RuleFileError
from rules.fleet import Fleet
from rules.labels import NAME, Labels
from rules.layouts import Layout
from rules.promql import Query, Vector
from rules.promql.source import parse as parse_expression
from rules.unittest import notation, show
from rules.unittest.closeness import closeness
from rules.unittest.notation import NotationError
from rules.unittest.suite import AlertTest, ExprTest, Suite, TestGroup

_DEVICE = 0
_AHEAD = re.compile(r"@|offset\s*-")  # looks at what comes later, which must be there first


class Trial:
    """Runs a test; `failures` are what went otherwise than it says."""

    def __init__(self, suite: Suite, group: TestGroup, files: Mapping[str, str]) -> None:
        self._suite = suite
        self._group = group
        self._files = files
        self._fleet = Fleet(keep_nan=True, keep_all=True)
        self._fleet.add_device(_DEVICE, {})
        self._engine = Engine(
            self._fleet,
            external_labels=group.external_labels,
            external_url=group.external_url,
            stale=False,
            step=suite.interval,
        )
        self._feeds: list[_Feed] = []

    def run(self) -> list[str]:
        """The failures, each as a text of some lines."""
        try:
            self._engine.load(self._files)
            self._feeds = self._series()
        except RuleFileError as error:
            return str(error).splitlines()
        except NotationError as error:
            return [f"    {error}"]
        queries = [self._compiled(test) for test in self._group.exprs]
        order = sorted(range(len(queries)), key=lambda i: self._group.exprs[i].at)
        answers: dict[int, list[str]] = {}
        failures: list[str] = []
        for at in self._steps():
            self._evaluate(at)
            if not at:  # what fails without data has failed now
                self._engine.spare({feed.name for feed in self._feeds})
            if errors := list(self._errors(at)):
                return [*failures, *errors]
            for test in self._group.alerts:
                if at <= test.at < at + self._suite.interval:
                    failures += self._alerts(test)
            for i in order:
                asked = self._group.exprs[i]
                if at <= asked.at < at + self._suite.interval and not _AHEAD.search(asked.expr):
                    answers[i] = self._expr(asked, queries[i])
        answers |= {i: self._expr(self._group.exprs[i], queries[i]) for i in order if i not in answers}
        return failures + [text for i in range(len(queries)) for text in answers[i]]

    def _steps(self) -> Iterator[float]:
        """The times of evaluation, since the start."""
        for step in range(int(self._group.last / self._suite.interval + 1e-9) + 1):
            yield step * self._suite.interval

    def _series(self) -> list[_Feed]:
        """What each series is fed; of one that is there twice, the later counts."""
        last = math.floor(self._group.last / self._group.interval) + 1
        written = {}
        for given in self._group.series:
            written[notation.series(given.series)] = notation.values(given.values, last)
        return [_Feed(self._fleet, i, own, values) for i, (own, values) in enumerate(written.items())]

    def _evaluate(self, at: float) -> None:
        self._feed(at)
        order = {name: place for place, name in enumerate(self._suite.order)}
        self._engine.evaluate(self._group.start + at, lambda group: order.get(group.name, 0))

    def _feed(self, at: float) -> None:
        """Append the samples up to a time; none beyond the last evaluation, as in promtool."""
        final = int(self._group.last / self._suite.interval + 1e-9) * self._suite.interval
        until = math.floor(min(at, final) / self._group.interval + 1e-9)
        for feed in self._feeds:
            feed.until(until, self._group.start, self._group.interval)

    def _errors(self, at: float) -> Iterator[str]:
        for name, error in self._engine.errors():
            yield f"    rule: {name}, time: {format_duration(at)}, err: {error}"

    def _alerts(self, test: AlertTest) -> list[str]:
        firing: list[Alert] = [a for a in self._engine.active() if a.alert == test.alert and a.state == "firing"]
        got = [show.Shown(dict(a.labels), dict(a.annotations)) for a in firing]
        expected = [show.Shown({**e.labels, "alertname": test.alert}, e.annotations) for e in test.expected]
        difference = show.alerts(expected, got)
        if not difference:
            return []
        head = f"{self._head()}    alertname: {test.alert}, time: {format_duration(test.at)}, line: {test.line}"
        return [f"{head}\n{difference}"]

    def _compiled(self, test: ExprTest) -> Query | PromQLError:
        try:
            return Query(self._fleet, test.expr, step=self._suite.interval)
        except PromQLError as error:
            return error

    def _expr(self, test: ExprTest, query: Query | PromQLError) -> list[str]:
        head = f"{self._head()}    expr: {test.expr!r}, time: {format_duration(test.at)}, line: {test.line}"
        try:
            expected = [show.Sample(notation.series(e.labels), e.value) for e in test.expected]
        except NotationError as error:
            return [f"{head}, err: {error}"]
        if isinstance(query, PromQLError):
            return [f"{head}, err: {query.message}"]
        self._feed(test.at)
        try:
            answer = query.at(self._group.start + test.at)
        except EvaluationError as error:
            return [f"{head}, err: {error}"]
        if isinstance(answer, str):
            return [f"{head}, err: rule result is not a vector or scalar"]
        got = [show.Sample(labels, value) for labels, value in _elements(answer)]
        given = {feed.name for feed in self._feeds}
        close = closeness(parse_expression(test.expr).tree, given, fuzzy=self._suite.fuzzy)
        difference = show.samples(expected, got, close)
        return [f"{head}\n{difference}"] if difference else []

    def _head(self) -> str:
        return f"    name: {self._group.name},\n" if self._group.name else ""


class _Feed:
    """A series' way into the fleet: a source of its own, so that a missing sample is only missing."""

    def __init__(self, fleet: Fleet, number: int, own: Labels, values: Sequence[float | None]) -> None:
        series = [(own.get(NAME, ""), {name: text for name, text in own.items() if name != NAME})]
        self._fleet = fleet
        self.name = own.get(NAME, "")
        self._layout: Layout = fleet.layout(_DEVICE, number, series, source=str(number))
        self._values = values
        self._next = 0

    def until(self, last: int, start: float, interval: float) -> None:
        """Append the samples up to a number."""
        end = min(last + 1, len(self._values))
        samples = [
            (start + i * interval, v) for i, v in enumerate(self._values[self._next : end], self._next) if v is not None
        ]
        self._next = max(self._next, end)
        if samples:
            times, values = np.array(samples).T
            self._fleet.append(self._layout, times.copy(), values[:, np.newaxis].copy())


def _elements(answer: Vector | float) -> Iterator[tuple[Labels, float]]:
    if isinstance(answer, float):
        return iter([(Labels(), answer)])
    return iter(answer)
