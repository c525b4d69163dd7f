"""Rules against recorded samples: which transitions would there have been? In event time, as fast as can be.

    files = {"disks.yml": "groups: …"}
    with open("week.om", "rb") as stream:
        for transition in backtest(files, read(stream), register): …

The samples go into a fleet of their own, tick by tick; nothing waits for a clock. Series that were sampled at the same
times are one source with a column each, whatever device they are of, so that a tick is few vector operations.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rules import fields
from rules.alerts import Transition
from rules.document import Mapping as Entries
from rules.engine import Engine
from rules.errors import TableError
from rules.fields import LABEL_NAME, Faults
from rules.fleet import Fleet
from rules.labels import NAME, Labels
from rules.layouts import Layout
from rules.openmetrics import Samples, read

__all__ = ["Samples", "backtest", "read", "register"]

Floats = NDArray[np.float64]

_DEVICE: Final = 0
_EVERYBODY: Final = 1 << 62  # no limit on series: what is tested is a recording, not an agent


def register(text: str, file: str) -> dict[str, dict[str, str]]:
    """The target labels of each instance, from YAML or JSON: `{instance: {label: value}}`; TableError."""
    faults = Faults(file, TableError)
    found: dict[str, dict[str, str]] = {}
    for instance, node in fields.document(text, faults).items.items():
        if not isinstance(node, Entries):
            faults.add(node.line, f"the labels of {instance!r} must be a mapping")
            continue
        labels = fields.strings(node, f"the labels of {instance!r}", faults)
        for name, value in labels.items():
            if not LABEL_NAME.fullmatch(name):
                faults.add(value.line, f"invalid label name: {name[:200]!r}")
        found[instance] = {name: value.text for name, value in labels.items()}
    faults.check()
    return found


def backtest(
    files: Mapping[str, str],
    samples: Samples,
    targets: Mapping[str, Mapping[str, str]] | None = None,
    *,
    step: float | None = None,
    engine: Engine | None = None,
) -> Iterator[Transition]:
    """The transitions of these rule files over these samples, in the order of time.

    Args:
        targets: labels that each instance has besides those in the samples; they win over them.
        step: seconds between ticks; by default what most samples are apart, at least 1 s.
        engine: to be used instead of a new one, on an empty fleet.

    Raises:
        RuleFileError: one of the rule files is refused; nothing was evaluated.
    """
    engine = engine or Engine(Fleet(device_limit=_EVERYBODY, customer_limit=_EVERYBODY))
    engine.load(files)
    engine.fleet.add_device(_DEVICE, {})
    if not len(samples):
        return
    feeds = _feeds(samples, targets or {})
    pace = step or _pace(feeds)
    first, last = min(f.times[0] for f in feeds), max(f.times[-1] for f in feeds)
    ticks = math.ceil(first / pace) * pace + pace * np.arange(math.ceil((last - first) / pace) + 1)
    for feed in feeds:
        feed.enter(engine.fleet, ticks)
    for number, now in enumerate(ticks.tolist()):
        for feed in feeds:
            feed.play(engine.fleet, number)
        yield from engine.tick(now)


@dataclass(slots=True)
class _Feed:
    """Series that were sampled at the same times: their names, the times, a row of values for each time."""

    number: int
    names: list[Labels]
    times: Floats
    rows: Floats
    bounds: list[int]
    layout: Layout | None = None

    def enter(self, fleet: Fleet, ticks: Floats) -> None:
        """Become a source of the fleet, and find which rows each tick brings."""
        series = [(own[NAME], {n: v for n, v in own.items() if n != NAME}) for own in self.names]
        self.layout = fleet.layout(_DEVICE, self.number, series, source=str(self.number))
        self.bounds = [0, *np.searchsorted(self.times, ticks, side="right").tolist()]

    def play(self, fleet: Fleet, tick: int) -> None:
        """Append the rows that came since the last tick."""
        start, end = self.bounds[tick], self.bounds[tick + 1]
        if end > start and self.layout is not None:
            fleet.append(self.layout, self.times[start:end], self.rows[start:end])


def _feeds(samples: Samples, targets: Mapping[str, Mapping[str, str]]) -> list[_Feed]:
    """The samples by the times at which they were taken."""
    names = _named(samples.names, targets)
    order, starts = _by_series(samples)
    times, values = (samples.times, samples.values) if order is None else (samples.times[order], samples.values[order])
    together: dict[bytes, list[tuple[int, Floats]]] = {}
    moments: dict[bytes, Floats] = {}
    for number, (start, end) in enumerate(zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)):
        when, what = _ordered(times[start:end], values[start:end])
        key = when.tobytes()
        moments.setdefault(key, when)
        together.setdefault(key, []).append((number, what))
    return [
        _Feed(i, [names[n] for n, _ in members], moments[key], np.stack([v for _, v in members], axis=1), [])
        for i, (key, members) in enumerate(together.items())
        if len(key)
    ]


def _by_series(samples: Samples) -> tuple[NDArray[np.intp] | None, NDArray[np.intp]]:
    """The order that puts the samples of each series together (None if they are), and where each begins."""
    count = len(samples.names)
    changes = np.count_nonzero(np.diff(samples.series))
    order = None
    series = samples.series
    if changes >= count:
        order = np.argsort(series, kind="stable")
        series = series[order]
    return order, np.searchsorted(series, np.arange(count + 1))


def _ordered(times: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Ascending times, each once; of two samples of one time the later counts."""
    steps = np.diff(times)
    if (steps > 0).all():
        return times, values
    order = np.argsort(times, kind="stable")
    times, values = times[order], values[order]
    keep = np.append(np.diff(times) > 0, True)
    return times[keep], values[keep]


def _named(names: list[Labels], targets: Mapping[str, Mapping[str, str]]) -> list[Labels]:
    if not targets:
        return names
    return [Labels({**own, **targets.get(own.get("instance", ""), {})}) for own in names]


def _pace(feeds: list[_Feed]) -> float:
    """The gap that most samples have to the next one, in whole seconds."""
    gaps: dict[float, int] = {}
    for feed in feeds:
        found, counts = np.unique(np.rint(np.diff(feed.times)), return_counts=True)
        for gap, count in zip(found.tolist(), counts.tolist(), strict=True):
            gaps[gap] = gaps.get(gap, 0) + count * len(feed.names)
    return max(1.0, max(gaps, key=lambda gap: gaps[gap])) if gaps else 1.0
