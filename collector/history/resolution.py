"""Samples at the resolution of a graph: a minimum, maximum, mean and last value for each step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from collector.history.integers import Floats


class Steps(NamedTuple):
    """A series by the step: all arrays are [steps with a value]; `times` are the starts of the steps."""

    times: Floats
    minimum: Floats
    maximum: Floats
    mean: Floats
    last: Floats


def resolve(times: Floats, values: Floats, start: float, step: float) -> Steps:
    """Return samples that are in order of time by the step from `start` on; steps without a value are not there."""
    there = ~np.isnan(values)
    if not there.all():
        times, values = times[there], values[there]
    numbers = np.floor((times - start) / step)
    heads = np.flatnonzero(np.diff(numbers, prepend=np.nan) != 0)
    if not len(heads):
        return Steps(*(np.empty(0) for _ in Steps._fields))
    ends = np.append(heads[1:], len(values))
    with np.errstate(invalid="ignore", over="ignore"):  # infinities are values too
        mean = np.add.reduceat(values, heads) / (ends - heads)
    minimum, maximum = np.minimum.reduceat(values, heads), np.maximum.reduceat(values, heads)
    return Steps(start + numbers[heads] * step, minimum, maximum, mean, values[ends - 1])


def resolve_all(samples: Mapping[str, tuple[Floats, Floats]], start: float, step: float) -> dict[str, Steps]:
    """Return `resolve` of each series."""
    return {text: resolve(times, values, start, step) for text, (times, values) in samples.items()}
