"""Rules against recorded samples: which transitions would there have been? In event time, as fast as can be.

    files = {"disks.yml": "groups: …"}
    with open("week.om", "rb") as stream:
        for transition in backtest(files, read(stream)): …

The samples go into a fleet of their own, tick by tick; nothing waits for a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from rules import replay
from rules.alerts import Transition
from rules.engine import Engine
from rules.fleet import Fleet
from rules.labels import NAME
from rules.openmetrics import Samples, read

__all__ = ["Replay", "Samples", "Tick", "backtest", "read"]

Targets = Mapping[str, Mapping[str, str]]
Before = Callable[[float], None]

_EVERYBODY: Final = 1 << 62  # no limit on series: what is tested is a recording, not an agent


@dataclass(frozen=True, slots=True)
class Tick:
    """An evaluation of the rules at a time in Unix seconds, and what it changed."""

    at: float
    changes: Sequence[Transition]


class Replay:
    """Samples on their way through rules: iterate over it, once, for the ticks in the order of time.

    Args:
        files: the rule files, name to YAML text.
        targets: labels that each instance has besides those in the samples; they win over them. An instance of the
            form host.site.customer gives its series customer and site where they say neither.
        step: seconds between ticks; by default there is one when samples come, and in between at their pace.
        engine: to be used instead of a new one, on an empty fleet.

    Attributes:
        before: called with the time before each evaluation, to write more into the fleet.
        metrics: the names of all metrics; what `before` writes besides must be added.
        feeds: the series by the times at which they were sampled.

    Raises:
        RuleFileError: one of the rule files is refused; nothing was evaluated.
    """

    def __init__(
        self,
        files: Mapping[str, str],
        samples: Samples,
        targets: Targets | None = None,
        *,
        step: float | None = None,
        engine: Engine | None = None,
    ) -> None:
        self.engine = engine or Engine(Fleet(device_limit=_EVERYBODY, customer_limit=_EVERYBODY))
        self.engine.load(files)
        self.fleet = self.engine.fleet
        self.fleet.add_device(replay.DEVICE, {})
        self.feeds = replay.feeds(samples, targets or {}) if len(samples) else []
        self.before: list[Before] = []
        self.metrics = {own[NAME] for own in samples.names}
        self._step = step

    def __iter__(self) -> Iterator[Tick]:
        if not self.feeds:
            return
        self.engine.spare(self.metrics)
        ticks = replay.ticks(self.feeds, self._step)
        ends = [np.searchsorted(feed.times, ticks, side="right").tolist() for feed in self.feeds]
        for feed in self.feeds:
            feed.enter(self.fleet)
        for number, now in enumerate(ticks.tolist()):
            while self._step is None and (due := self.engine.next_due()) is not None and due < now:
                for feed in self.feeds:
                    feed.play(self.fleet, int(np.searchsorted(feed.times, due, side="right")))
                yield self._tick(due)
            for feed, end in zip(self.feeds, ends, strict=True):
                feed.play(self.fleet, end[number])
            yield self._tick(now)

    def _tick(self, now: float) -> Tick:
        for write in self.before:
            write(now)
        return Tick(now, self.engine.tick(now))


def backtest(
    files: Mapping[str, str],
    samples: Samples,
    targets: Targets | None = None,
    *,
    step: float | None = None,
    engine: Engine | None = None,
) -> Iterator[Transition]:
    """The transitions of these rule files over these samples, in the order of time; arguments as for `Replay`."""
    for tick in Replay(files, samples, targets, step=step, engine=engine):
        yield from tick.changes
