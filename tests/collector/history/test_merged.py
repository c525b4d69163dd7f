"""Rows of one time that share their series between them."""

import numpy as np

from collector.history.gathering import merged

GAP = np.nan


def test_a_gap_at_a_time_that_has_a_value_is_none() -> None:
    times, values = merged(np.array([1.0, 1.0, 2.0, 3.0, 3.0]), np.array([GAP, 5.0, GAP, 6.0, GAP]))
    assert times.tolist() == [1.0, 2.0, 3.0]
    assert values[[0, 2]].tolist() == [5.0, 6.0]
    assert np.isnan(values[1])


def test_nothing_to_merge() -> None:
    times, _ = merged(np.array([1.0, 2.0]), np.array([1.0, GAP]))
    assert times.tolist() == [1.0, 2.0]
    assert [len(part) for part in merged(np.zeros(0), np.zeros(0))] == [0, 0]
