"""Scenarios that read like stories: `at(1).push(cpu(97)); want(between(2, 3), firing("CpuHigh"))`.

A story fails on what did not happen, and on anything that happened and was not wanted.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rules.alerts import Transition
from rules.engine import Engine
from rules.fleet import Fleet

GONE = float("nan")


@dataclass(frozen=True, slots=True)
class Push:
    """A sample of a device's series; GONE says that it has no value any more."""

    metric: str
    value: float
    device: str = "a"
    labels: tuple[tuple[str, str], ...] = ()


def cpu(value: float, device: str = "a") -> Push:
    return Push("cpu", value, device)


def disk(value: float, mount: str = "/", device: str = "a") -> Push:
    return Push("disk", value, device, (("mount", mount),))


@dataclass(frozen=True, slots=True)
class Wanted:
    state: str
    alert: str
    labels: dict[str, str]

    def matches(self, seen: Transition) -> bool:
        same = (seen.state, seen.alert) == (self.state, self.alert)
        return same and all(seen.labels.get(name) == text for name, text in self.labels.items())


def _wanted(state: str) -> Callable[..., Wanted]:
    return lambda alert, **labels: Wanted(state, alert, labels)


pending, firing, stale = _wanted("pending"), _wanted("firing"), _wanted("stale")
resolved, inactive = _wanted("resolved"), _wanted("inactive")


def between(first: float, last: float) -> tuple[float, float]:
    return first, last


class Story:
    """Devices a, b, c …, ticks every second, rules."""

    def __init__(self, rules: str, *, stale: bool = True) -> None:
        self.fleet = Fleet()
        self.engine = Engine(self.fleet, stale=stale)
        self.loaded = ""
        self.load(rules)
        self.seen: list[Transition] = []
        self._moments: dict[float, list[Callable[[], None]]] = {}
        self._wanted: list[tuple[tuple[float, float], Wanted]] = []
        self._now = 0.0

    def load(self, rules: str) -> None:
        self.loaded = textwrap.dedent(rules)
        self.engine.load({"story.yml": self.loaded})

    def at(self, time: float) -> _At:
        """What happens at a time."""
        return _At(self, time)

    def do(self, time: float, action: Callable[[], None]) -> None:
        self._moments.setdefault(time, []).append(action)

    def want(self, when: tuple[float, float] | float, what: Wanted) -> None:
        """A transition that must come, once, at this time or in this span."""
        span = when if isinstance(when, tuple) else (when, when)
        self._wanted.append((span, what))

    def run(self, until: float, step: float = 1.0) -> None:
        """Tick from where the story stands, and compare what was seen with what was wanted."""
        start = round(self._now / step)
        for tick in range(start, round(until / step) + 1):
            self._now = tick * step
            for action in self._moments.get(self._now, ()):
                action()
            self.seen += self.engine.tick(self._now)
        self._now += step
        self._judge(until)

    def _judge(self, until: float) -> None:
        surplus = list(self.seen)
        missing = []
        for (first, last), wanted in self._wanted:
            if first > until:
                continue
            match = next((s for s in surplus if first <= s.at <= last and wanted.matches(s)), None)
            if match is None:
                missing.append(f"{first}-{last}: {wanted}")
            else:
                surplus.remove(match)
        faults = [f"missing  {m}" for m in missing]
        faults += [f"surplus  {s.at}: {s.state} {s.labels} {s.reason}" for s in surplus]
        assert not faults, "\n".join(["", *faults])

    def push(self, time: float, pushes: Sequence[Push]) -> None:
        for push in pushes:
            number = ord(push.device)
            if number not in self.fleet.devices:
                self.fleet.add_device(number, {"instance": push.device})
            series = [(push.metric, dict(push.labels))]
            key = f"{push.metric}{push.labels}"
            layout = self.fleet.layout(number, abs(hash(key)), series, source=key)
            self.fleet.append(layout, np.array([time]), np.array([[push.value]]))


class _At:
    def __init__(self, story: Story, time: float) -> None:
        self._story = story
        self._time = time

    def push(self, *pushes: Push) -> None:
        self._story.do(self._time, lambda: self._story.push(self._time, pushes))

    def do(self, action: Callable[[], None]) -> None:
        self._story.do(self._time, action)

    def load(self, rules: str) -> None:
        self._story.do(self._time, lambda: self._story.load(rules))

    def restart(self) -> None:
        """A new engine and fleet take over from a dump."""

        def restart() -> None:
            story = self._story
            data = story.engine.dump()
            files = {"story.yml": story.loaded}
            story.fleet = Fleet()
            story.engine = Engine(story.fleet)
            story.engine.load(files)
            story.engine.restore(data)
            assert story.engine.dump() == data

        self._story.do(self._time, restart)
