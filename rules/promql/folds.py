"""What the functions over a range of samples make of them; Prometheus 3's formulas, over many series at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from rules.promql.aggregate import quantiles
from rules.promql.samples import Block
from rules.promql.sums import compensated
from rules.promql.vec import Floats, Mask

Fold = Callable[[Block], Floats]


def _index(block: Block, index: int) -> np.typing.NDArray[np.int64]:
    return np.full(len(block.counts), index)


def last(block: Block) -> Floats:
    """Return the newest value."""
    return block.at(_index(block, -1))


def first(block: Block) -> Floats:
    """Return the oldest value."""
    return block.at(_index(block, 0))


def count(block: Block) -> Floats:
    """Return how many samples there are."""
    return block.counts.astype(np.float64)


def present(block: Block) -> Floats:
    """Return 1."""
    return np.ones(len(block.counts))


def total(block: Block) -> Floats:
    """Return the sum."""
    return compensated(block.filled(0.0))


def mean(block: Block) -> Floats:
    """Return the mean; of parts where the sum would overflow."""
    counts = block.counts.astype(np.float64)
    means = total(block) / counts
    overflown = np.isinf(means)
    if overflown.any():
        parts = compensated(block.filled(0.0) / counts[:, None])
        means = np.where(overflown, parts, means)
    return means


def minimum(block: Block) -> Floats:
    """Return the least value; NaN only where there is nothing else."""
    least: Floats = np.fmin.reduce(block.filled(np.nan), axis=1, initial=np.nan)
    return least


def maximum(block: Block) -> Floats:
    """Return the greatest value; NaN only where there is nothing else."""
    greatest: Floats = np.fmax.reduce(block.filled(np.nan), axis=1, initial=np.nan)
    return greatest


def variance(block: Block) -> Floats:
    """Return the population variance; of what is left without the first value, so that equal values have none."""
    counts = block.counts.astype(np.float64)
    shifted = np.where(block.mask, block.values - first(block)[:, None], 0.0)
    means = compensated(shifted) / counts
    return compensated(np.where(block.mask, (shifted - means[:, None]) ** 2, 0.0)) / counts


def deviation(block: Block) -> Floats:
    """Return the population standard deviation."""
    return np.sqrt(variance(block))


def changes(block: Block) -> Floats:
    """Return how often the value changed."""
    before, after = block.values[:, :-1], block.values[:, 1:]
    differ = (before != after) & ~(np.isnan(before) & np.isnan(after)) & block.mask[:, 1:]
    return _count(differ)


def resets(block: Block) -> Floats:
    """Return how often the value fell."""
    return _count((block.values[:, 1:] < block.values[:, :-1]) & block.mask[:, 1:])


def _count(mask: Mask) -> Floats:
    counts: Floats = mask.sum(axis=1).astype(np.float64)
    return counts


def instant_delta(block: Block) -> Floats:
    """Return the last value less the one before."""
    return block.at(_index(block, -1)) - block.at(_index(block, -2))


def instant_rate(block: Block) -> Floats:
    """Return the rate between the last two samples; a fall is a reset to zero."""
    newest, before = block.at(_index(block, -1)), block.at(_index(block, -2))
    rise = np.where(newest < before, newest, newest - before)
    return rise / ((block.time_at(_index(block, -1)) - block.time_at(_index(block, -2))) / 1000)


def _ascending(values: Floats, block: Block) -> tuple[Floats, Floats]:
    """Return each series' values in ascending order, and how many of the first are NaN (given as -inf)."""
    missing = np.isnan(values) & block.mask
    ordered = np.sort(np.where(block.mask, np.where(missing, -np.inf, values), np.inf), axis=1)
    return ordered, missing.sum(axis=1).astype(np.float64)


def quantile(block: Block, phi: float) -> Floats:
    """Return the φ-quantile; NaN is taken as the smallest."""
    return _quantile(block.values, block, phi)


def _quantile(values: Floats, block: Block, phi: float) -> Floats:
    ordered, missing = _ascending(values, block)
    ordered[np.arange(ordered.shape[1]) < missing[:, None]] = np.nan
    width = ordered.shape[1]
    starts = np.arange(len(ordered), dtype=np.float64) * width
    return quantiles(phi, ordered.ravel(), starts, block.counts.astype(np.float64))


def median_deviation(block: Block) -> Floats:
    """Return the median of the distances from the median; NaN where a value is."""
    medians = _quantile(block.values, block, 0.5)
    spread = _quantile(np.abs(block.values - medians[:, None]), block, 0.5)
    return np.where((np.isnan(block.values) & block.mask).any(axis=1), np.nan, spread)


def time_of_last(block: Block) -> Floats:
    """Return the time of the newest sample."""
    return block.time_at(_index(block, -1)) / 1000


def time_of_first(block: Block) -> Floats:
    """Return the time of the oldest sample."""
    return block.time_at(_index(block, 0)) / 1000


def time_of_maximum(block: Block) -> Floats:
    """Return the time of the last sample with the greatest value."""
    return _time_of(block, maximum(block))


def time_of_minimum(block: Block) -> Floats:
    """Return the time of the last sample with the least value."""
    return _time_of(block, minimum(block))


def _time_of(block: Block, wanted: Floats) -> Floats:
    hits = (block.values == wanted[:, None]) & block.mask
    last = hits.shape[1] - 1 - hits[:, ::-1].argmax(axis=1)
    at = np.where(hits.any(axis=1), last, block.counts - 1)  # nothing but NaN: the newest
    return block.time_at(at) / 1000


def smooth(block: Block, level: float, trend: float) -> Floats:
    """Return the value after double exponential smoothing (Holt and Winters)."""
    values = block.values
    smoothed = values[:, 0]
    if values.shape[1] < 2:
        return smoothed
    slope = values[:, 1] - values[:, 0]
    before = np.zeros(len(values))
    for column in range(1, values.shape[1]):
        slope_now = trend * (smoothed - before) + (1 - trend) * slope if column > 1 else slope
        fresh = level * values[:, column] + (1 - level) * (smoothed + slope_now)
        there = column < block.counts
        slope = np.where(there, slope_now, slope)
        before, smoothed = np.where(there, smoothed, before), np.where(there, fresh, smoothed)
    return smoothed


SIMPLE: Final[dict[str, tuple[Fold, int]]] = {
    "last_over_time": (last, 1),
    "first_over_time": (first, 1),
    "count_over_time": (count, 1),
    "present_over_time": (present, 1),
    "sum_over_time": (total, 1),
    "avg_over_time": (mean, 1),
    "min_over_time": (minimum, 1),
    "max_over_time": (maximum, 1),
    "stdvar_over_time": (variance, 1),
    "stddev_over_time": (deviation, 1),
    "mad_over_time": (median_deviation, 1),
    "changes": (changes, 1),
    "resets": (resets, 1),
    "idelta": (instant_delta, 2),
    "irate": (instant_rate, 2),
    "ts_of_first_over_time": (time_of_first, 1),
    "ts_of_last_over_time": (time_of_last, 1),
    "ts_of_max_over_time": (time_of_maximum, 1),
    "ts_of_min_over_time": (time_of_minimum, 1),
}
"""Function name to what it makes of the samples, and how many it needs at least."""
