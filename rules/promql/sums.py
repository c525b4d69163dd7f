"""Sums that lose nothing worth mentioning: Prometheus adds with Neumaier's compensation, and so must we."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from rules.promql.keys import Ids
from rules.promql.vec import Floats

_EPSILON: Final = 2.0**-53
_ENOUGH: Final = 1e-11  # relative error that needs no second look


def compensated(values: Floats) -> Floats:
    """Return the sum along the last axis, with the rounding errors of a pairwise summation added at the end.

    As in Neumaier's way, an infinite sum stays what it is.
    """
    total, error = values, np.zeros(values.shape)
    while total.shape[-1] > 1:
        even = total.shape[-1] // 2 * 2
        a, b = total[..., :even:2], total[..., 1:even:2]
        both = a + b
        part = both - a
        lost = (a - (both - part)) + (b - part)
        lost = error[..., :even:2] + error[..., 1:even:2] + np.where(np.isfinite(lost), lost, 0.0)
        if even < total.shape[-1]:
            both = np.concatenate((both, total[..., even:]), axis=-1)
            lost = np.concatenate((lost, error[..., even:]), axis=-1)
        total, error = both, lost
    if not total.shape[-1]:
        return np.zeros(total.shape[:-1])
    total, error = total[..., 0], error[..., 0]
    return np.where(np.isinf(total), total, total + error)


def sum_by(ids: Ids, values: Floats, groups: int) -> Floats:
    """Return the sum of each group's values; again and compensated where values cancel each other out."""
    sums: Floats = np.bincount(ids, values, groups).astype(np.float64)
    sizes = np.bincount(ids, np.abs(values), groups)
    risky = sizes * (np.bincount(ids, minlength=groups) * _EPSILON) > np.abs(sums) * _ENOUGH
    risky &= np.isfinite(sizes)
    if risky.any():
        again: NDArray[np.bool_] = risky[ids]
        order = np.flatnonzero(again)
        order = order[np.argsort(ids[order], kind="stable")]
        groups_there, starts = np.unique(ids[order], return_index=True)
        for group, part in zip(groups_there.tolist(), np.split(values[order], starts[1:]), strict=True):
            sums[group] = compensated(part)
    return sums
