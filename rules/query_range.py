"""An expression over given samples, at one moment or at steps: graphs, unit tests, a look into a device's history.

The samples go into a fleet of their own that keeps all of them, so that the answers are those of the live rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rules.fleet import LOOKBACK, Fleet
from rules.labels import ALL, NAME, Labels
from rules.promql import Query, Vector
from rules.promql.frames import Frame
from rules.promql.keys import Keys
from rules.promql.query import DEFAULT_STEP

Floats = NDArray[np.float64]

_MANY: Final = 1 << 60


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """A series: times in Unix seconds, ascending, and as many values."""

    labels: Mapping[str, str]
    times: Floats
    values: Floats


class History:
    """Samples, to be asked for.

    Args:
        samples: (labels with the metric name, times, values); times in seconds. NaN is a value,
            `rules.rings.STALE` ends a series until its next value. A label set may come once.
        step: the default resolution of subqueries, in seconds.
        lookback: for how long a value is current, in seconds.
    """

    def __init__(
        self,
        samples: Iterable[tuple[Mapping[str, str], ArrayLike, ArrayLike]],
        *,
        step: float = DEFAULT_STEP,
        lookback: float = LOOKBACK,
    ) -> None:
        self._step = step
        self.fleet = Fleet(
            device_limit=_MANY,
            customer_limit=_MANY,
            max_samples=_MANY,
            keep_nan=True,
            keep_all=True,
            lookback=lookback,
        )
        grouped: dict[bytes, list[Series]] = {}
        for labels, times, values in samples:
            series = Series(labels, np.asarray(times, np.float64), np.asarray(values, np.float64))
            grouped.setdefault(series.times.tobytes(), []).append(series)
        for number, together in enumerate(grouped.values()):
            self._take(number, together)

    def _take(self, number: int, together: Sequence[Series]) -> None:
        if not len(together[0].times):
            return
        self.fleet.add_device(number, {})
        columns = [(s.labels[NAME], {n: t for n, t in s.labels.items() if n != NAME}) for s in together]
        layout = self.fleet.layout(number, number, columns)
        self.fleet.append(layout, together[0].times, np.stack([s.values for s in together], axis=1))

    def query(self, expr: str) -> Query:
        """Return an expression over these samples, to be asked for any moment."""
        return Query(self.fleet, expr, step=self._step)

    def at(self, expr: str, now: float) -> Vector | float | str:
        """Return an expression's value at one moment; the errors are those of Query."""
        return self.query(expr).at(now)

    def range(self, expr: str, start: float, end: float, step: float) -> list[Series]:
        """Return an expression's values at start, start + step … end; a number is a series without labels.

        Raises:
            PromQLError, EvaluationError: as Query does.
            ValueError: no step, or an expression that is a string.
        """
        if step <= 0:
            raise ValueError("a step of no time")
        query = self.query(expr)
        first, width = round(start * 1000), round(step * 1000)
        times = np.arange(first, round(end * 1000) + 1, width) / 1000
        answers = [query.step(time, start, end) for time in times.tolist()]
        return _collected(times, answers)


def query_range(
    expr: str,
    samples: Iterable[tuple[Mapping[str, str], ArrayLike, ArrayLike]],
    start: float,
    end: float,
    step: float,
) -> list[Series]:
    """Return an expression's values over samples at steps; see History."""
    return History(samples).range(expr, start, end, step)


def _collected(times: Floats, answers: Sequence[Vector | float | str]) -> list[Series]:
    """Return a series for each label set that any of the answers has."""
    numbers = [answer for answer in answers if isinstance(answer, float)]
    if numbers:
        return [Series(Labels(), times, np.array(numbers))]
    vectors = [answer for answer in answers if isinstance(answer, Vector)]
    if len(vectors) < len(answers):
        raise ValueError("a string has no values over time")
    frames: dict[int, Frame] = {id(vector.frame): vector.frame for vector in vectors}
    keys = Keys()
    places = {key: keys.ids(frame.hashes(ALL)) for key, frame in frames.items()}
    values = np.zeros((keys.count, len(times)))
    there = np.zeros((keys.count, len(times)), np.bool_)
    labels: list[Labels | None] = [None] * keys.count
    for column, vector in enumerate(vectors):
        at = places[id(vector.frame)][vector.positions]
        values[at, column] = vector.values
        there[at, column] = True
        for place, position in zip(at.tolist(), vector.positions.tolist(), strict=True):
            if labels[place] is None:
                labels[place] = vector.frame.labels(position)
    return [
        Series(own, times[present], row[present])
        for own, present, row in zip(labels, there, values, strict=True)
        if own is not None
    ]
