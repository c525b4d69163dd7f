"""Recorded samples on their way into a fleet: which series go together, when to tick, what each tick brings.

Series that were sampled at the same times are one feed with a column each, whatever device they are of, so that a tick
is few vector operations.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rules.fleet import Fleet
from rules.labels import NAME, Labels
from rules.layouts import Layout
from rules.openmetrics import Samples

Floats = NDArray[np.float64]

DEVICE: Final = 0  # all series are of one device without target labels: they bring their labels along
_THREE_PARTS: Final = re.compile(r"[a-z0-9-]+\.([a-z0-9-]+)\.([a-z0-9-]+)")
_FEW: Final = 10_000  # ticks are always taken to follow each sample as it comes …
_FINE: Final = 2  # … and so many times those that the pace needs


@dataclass(slots=True)
class Feed:
    """Series that were sampled at the same times: their names, the times, a row of values for each time."""

    number: int
    names: list[Labels]
    times: Floats
    rows: Floats
    layout: Layout | None = None
    played: int = 0

    def enter(self, fleet: Fleet) -> None:
        """Become a source of the fleet."""
        series = [(own[NAME], {n: v for n, v in own.items() if n != NAME}) for own in self.names]
        self.layout = fleet.layout(DEVICE, self.number, series, source=str(self.number))

    def play(self, fleet: Fleet, end: int) -> None:
        """Append the rows before `end` that were not yet."""
        start, self.played = self.played, max(end, self.played)
        if end > start and self.layout is not None:
            fleet.append(self.layout, self.times[start:end], self.rows[start:end])


def feeds(samples: Samples, targets: Mapping[str, Mapping[str, str]]) -> list[Feed]:
    """The samples by the times at which they were taken; `targets` are labels by instance that win over their own."""
    names = _named(samples.names, targets)
    whole = _table(samples)
    if whole is not None:
        columns, times, rows = whole
        return [Feed(0, [names[n] for n in columns.tolist()], times, rows)]
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
        Feed(i, [names[n] for n, _ in members], moments[key], np.stack([v for _, v in members], axis=1))
        for i, (key, members) in enumerate(together.items())
        if len(key)
    ]


def ticks(found: Sequence[Feed], step: float | None) -> Floats:
    """When to evaluate: at each multiple of `step`, by default when samples come and in between at their pace.

    Where each sample would need a tick of its own (many devices, each at its own seconds), the pace alone counts.
    """
    pace = step or _pace(found)
    first, last = min(f.times[0] for f in found), max(f.times[-1] for f in found)
    phase = 0.0 if step else _phase(found, pace)
    start = np.ceil((first - phase) / pace) * pace + phase
    grid: Floats = start + pace * np.arange(max(0, int(np.ceil((last - start) / pace))) + 1)
    if step:
        return grid
    arrivals = np.unique(np.concatenate([np.ceil(feed.times) for feed in found]))
    return _filled(arrivals, pace) if len(arrivals) <= max(_FEW, _FINE * len(grid)) else grid


def _filled(arrivals: Floats, pace: float) -> Floats:
    """The moments when samples come, and further ones where they are more than `pace` apart."""
    gaps = np.flatnonzero(np.diff(arrivals) > pace)
    more = [np.arange(arrivals[at] + pace, arrivals[at + 1], pace) for at in gaps.tolist()]
    return np.unique(np.concatenate([arrivals, *more]))


def _pace(found: Iterable[Feed]) -> float:
    """The gap that most samples have to the next one, in whole seconds."""
    gaps: dict[float, int] = {}
    for feed in found:
        each, counts = np.unique(np.rint(np.diff(feed.times)), return_counts=True)
        for gap, count in zip(each.tolist(), counts.tolist(), strict=True):
            gaps[gap] = gaps.get(gap, 0) + count * len(feed.names)
    return max(1.0, max(gaps, key=lambda gap: gaps[gap])) if gaps else 1.0


def _phase(found: Iterable[Feed], pace: float) -> float:
    """Where within the pace most samples come, in whole seconds."""
    weights: dict[float, int] = {}
    for feed in found:
        each, counts = np.unique(np.ceil(feed.times) % pace, return_counts=True)
        for phase, count in zip(each.tolist(), counts.tolist(), strict=True):
            weights[phase] = weights.get(phase, 0) + count * len(feed.names)
    return max(weights, key=lambda phase: weights[phase])


def _table(samples: Samples) -> tuple[NDArray[np.int32], Floats, Floats] | None:
    """Series, times and rows of samples that are just rows of every series in one order; None if they are not."""
    width = len(samples.names)
    if not width or len(samples) % width:
        return None
    series, times = samples.series.reshape(-1, width), samples.times.reshape(-1, width)
    if (series != series[0]).any() or (times != times[:, :1]).any() or (np.diff(times[:, 0]) <= 0).any():
        return None
    return series[0], times[:, 0].copy(), samples.values.reshape(-1, width)


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
    found = []
    for own in names:
        instance = own.get("instance", "")
        more = {**_derived(instance, own), **targets.get(instance, {})}
        found.append(Labels({**own, **more}) if more else own)
    return found


def _derived(instance: str, own: Labels) -> dict[str, str]:
    """Customer and site of an instance of the form host.site.customer, where the series does not say."""
    if "customer" in own or "site" in own:
        return {}
    match = _THREE_PARTS.fullmatch(instance)
    return {"site": match[1], "customer": match[2]} if match else {}
