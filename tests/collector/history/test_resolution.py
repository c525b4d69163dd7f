"""Samples by the step, compared with plain Python."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from collector.history.resolution import resolve

SAMPLES = st.lists(st.tuples(st.integers(0, 1000), st.integers(-99, 99) | st.just(math.nan)), max_size=60)


@given(SAMPLES, st.integers(1, 300))
def test_steps_are_those_of_plain_python(samples: list[tuple[int, float]], step: int) -> None:
    samples.sort(key=lambda sample: sample[0])
    times, values = (np.array([sample[part] for sample in samples], np.float64) for part in (0, 1))
    found = resolve(times + 1e9, values, 1e9, step)
    wanted: dict[int, list[float]] = {}
    for time, value in samples:
        if not math.isnan(value):
            wanted.setdefault(time // step, []).append(value)
    assert found.times.tolist() == [1e9 + number * step for number in wanted]
    assert found.minimum.tolist() == [min(group) for group in wanted.values()]
    assert found.maximum.tolist() == [max(group) for group in wanted.values()]
    assert found.last.tolist() == [group[-1] for group in wanted.values()]
    assert np.allclose(found.mean, [sum(group) / len(group) for group in wanted.values()])


def test_infinities_are_values() -> None:
    steps = resolve(np.array([0.0, 1, 2]), np.array([np.inf, -np.inf, 1]), 0, 10)
    assert steps.maximum.tolist() == [np.inf]
    assert steps.minimum.tolist() == [-np.inf]
    assert steps.last.tolist() == [1]
