"""Functions that make of each value another one, with numbers as further arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np

from rules.promql.node import ScalarNode, VectorNode
from rules.promql.vec import Floats, Moment, Vec

if TYPE_CHECKING:
    from rules.fleet import Fleet

_DAY: Final = 86_400


class Mapped(VectorNode):
    """A function of each value."""

    def __init__(
        self, fleet: Fleet, text: str, vector: VectorNode, function: Callable[..., Floats], params: list[ScalarNode]
    ) -> None:
        super().__init__(fleet, text, (vector, *params))
        self.vector = vector
        self.function = function
        self.params = params

    def _eval(self, moment: Moment) -> Vec:
        vec = self.vector.eval(moment)
        return vec.with_values(self.function(vec.values, *(p.eval(moment) for p in self.params))).nameless()


class Clamp(VectorNode):
    """clamp(v, min, max): nothing at all where max is below min."""

    def __init__(self, fleet: Fleet, text: str, vector: VectorNode, low: ScalarNode, high: ScalarNode) -> None:
        super().__init__(fleet, text, (vector, low, high))
        self.vector = vector
        self.low = low
        self.high = high

    def _eval(self, moment: Moment) -> Vec:
        low, high = self.low.eval(moment), self.high.eval(moment)
        vec = self.vector.eval(moment)
        if high < low:
            return self.empty()
        return vec.with_values(_greater(low, _less(high, vec.values))).nameless()


def _greater(low: float, values: Floats) -> Floats:
    # As Go's math.Max has it: infinity even beside NaN.
    return np.where((values == np.inf) | (low == np.inf), np.inf, np.maximum(values, low))


def _less(high: float, values: Floats) -> Floats:
    return np.where((values == -np.inf) | (high == -np.inf), -np.inf, np.minimum(values, high))


def at_least(values: Floats, low: float) -> Floats:
    """clamp_min()"""
    return _greater(low, values)


def at_most(values: Floats, high: float) -> Floats:
    """clamp_max()"""
    return _less(high, values)


def rounded(values: Floats, nearest: float = 1.0) -> Floats:
    """Return the nearest multiples; ties are rounded up."""
    inverse = np.float64(1.0) / np.float64(nearest)
    return np.floor(values * inverse + 0.5) / inverse


def sign(values: Floats) -> Floats:
    """Return 1, -1, or the value where it is neither above nor below zero."""
    return np.where(values > 0, 1.0, np.where(values < 0, -1.0, values))


def seconds(values: Floats) -> np.typing.NDArray[np.int64]:
    """Return whole Unix seconds; what is none is the end of time, as Go's arithmetic has it."""
    good = np.isfinite(values) & (np.abs(values) < 2.0**63)
    whole = np.full(len(values), np.iinfo(np.int64).max)
    whole[good] = np.trunc(values[good]).astype(np.int64)
    return whole


def _days(values: Floats) -> np.typing.NDArray[np.datetime64]:
    return (seconds(values) // _DAY).astype("datetime64[D]")


def minute(values: Floats) -> Floats:
    """Return the minute of the hour, in UTC."""
    return (seconds(values) % 3600 // 60).astype(np.float64)


def hour(values: Floats) -> Floats:
    """Return the hour of the day, in UTC."""
    return (seconds(values) % _DAY // 3600).astype(np.float64)


def day_of_week(values: Floats) -> Floats:
    """Return the day of the week; 0 is Sunday."""
    return ((seconds(values) // _DAY + 4) % 7).astype(np.float64)


def day_of_month(values: Floats) -> Floats:
    """Return the day of the month, from 1."""
    days = _days(values)
    since: Floats = (days - days.astype("datetime64[M]")).astype(np.float64)
    return since + 1


def day_of_year(values: Floats) -> Floats:
    """Return the day of the year, from 1."""
    days = _days(values)
    since: Floats = (days - days.astype("datetime64[Y]")).astype(np.float64)
    return since + 1


def days_in_month(values: Floats) -> Floats:
    """Return how many days the month has."""
    months = _days(values).astype("datetime64[M]")
    days: Floats = ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.float64)
    return days


def month(values: Floats) -> Floats:
    """Return the month, from 1."""
    return (_days(values).astype("datetime64[M]").astype(np.int64) % 12 + 1).astype(np.float64)


def year(values: Floats) -> Floats:
    """Return the year."""
    return (_days(values).astype("datetime64[Y]").astype(np.int64) + 1970).astype(np.float64)


MATHS: Final[dict[str, Callable[..., Floats]]] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "floor": np.floor,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "ln": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "deg": lambda values: values * 180 / np.pi,
    "rad": lambda values: values * np.pi / 180,
    "sgn": sign,
    "round": rounded,
    "clamp_min": at_least,
    "clamp_max": at_most,
}
DATES: Final[dict[str, Callable[[Floats], Floats]]] = {
    "minute": minute,
    "hour": hour,
    "day_of_week": day_of_week,
    "day_of_month": day_of_month,
    "day_of_year": day_of_year,
    "days_in_month": days_in_month,
    "month": month,
    "year": year,
}
