"""The values that templates see, with the names that Go gives their types."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_ERA: Final = 146_097 * 86_400  # seconds in 400 years, after which the calendar repeats


@dataclass(frozen=True, slots=True)
class Data:
    """What the dot is at the start of an alert's template."""

    Labels: Mapping[str, str]
    ExternalLabels: Mapping[str, str]
    ExternalURL: str
    Value: float


@dataclass(frozen=True, slots=True)
class Sample:
    """An element of a query's result."""

    Labels: Mapping[str, str]
    Value: float


class QueryResult(list[Sample]):
    """The result of `query`."""


class Args(dict[str, Any]):
    """The result of `args`."""


class Html(str):
    """The result of `safeHtml`."""

    __slots__ = ()


class Named(int):
    """A month or a weekday: a number that prints as its name."""

    name: str
    type: str

    def __new__(cls, value: int, name: str, kind: str) -> Named:
        made = super().__new__(cls, value)
        made.name, made.type = name, kind
        return made


@dataclass(frozen=True, slots=True)
class Duration:
    """The result of `toDuration`, in nanoseconds."""

    nanoseconds: int

    def __str__(self) -> str:
        ns = abs(self.nanoseconds)
        sign = "-" if self.nanoseconds < 0 else ""
        if ns < 1_000_000_000:
            for unit, scale in (("ms", 1_000_000), ("µs", 1_000)):
                if ns >= scale:
                    return sign + _decimal(ns, scale) + unit
            return f"{sign}{ns}ns" if ns else "0s"
        minutes, rest = divmod(ns, 60_000_000_000)
        hours, minutes = divmod(minutes, 60)
        head = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
        return sign + head + _decimal(rest, 1_000_000_000) + "s"


@dataclass(frozen=True, slots=True)
class Time:
    """A time in UTC, in milliseconds since 1970; any year, unlike Python's own."""

    milliseconds: int

    def _parts(self) -> tuple[int, datetime.datetime]:
        """The year, and a datetime of the same day, weekday and time in an equivalent year."""
        eras, seconds = divmod(self.milliseconds // 1000, _ERA)
        moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=seconds)
        return moment.year + 400 * eras, moment

    def __str__(self) -> str:
        year, moment = self._parts()
        fraction = self.milliseconds % 1000
        tail = f".{fraction:03d}".rstrip("0") if fraction else ""
        return f"{'-' if year < 0 else ''}{abs(year):04d}-{moment:%m-%d %H:%M:%S}{tail} +0000 UTC"

    def method(self, name: str) -> Any:
        """The result of one of Go's methods without arguments; KeyError if there is none of that name."""
        year, moment = self._parts()
        return {
            "Year": year,
            "Month": Named(moment.month, _MONTHS[moment.month - 1], "time.Month"),
            "Day": moment.day,
            "Hour": moment.hour,
            "Minute": moment.minute,
            "Second": moment.second,
            "Weekday": Named((moment.weekday() + 1) % 7, _WEEKDAYS[moment.weekday()], "time.Weekday"),
            "YearDay": moment.timetuple().tm_yday,
            "Unix": self.milliseconds // 1000,
            "UnixMilli": self.milliseconds,
            "UTC": self,
            "String": str(self),
        }[name]


def type_name(value: Any) -> str:
    """The type of a value as Go prints it."""
    if isinstance(value, Named):
        return value.type
    for kind, name in _NAMES:
        if isinstance(value, kind):
            return name
    return "<nil>"


def truth(value: Any) -> bool:
    """Whether Go's templates take a value for true: it is not its type's zero."""
    if isinstance(value, Data | Sample | Time | Duration):
        return True
    return bool(value) or (isinstance(value, float) and math.isnan(value))


def field(value: Any, name: str) -> Any:
    """A field of a struct; KeyError if it has none of that name."""
    if isinstance(value, Time):
        return value.method(name)
    if isinstance(value, Data | Sample) and name in value.__slots__:
        return getattr(value, name)
    raise KeyError(name)


def _decimal(number: int, scale: int) -> str:
    whole, rest = divmod(number, scale)
    digits = f"{rest:0{len(str(scale)) - 1}d}".rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


_DATA: Final = (
    "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; Value float64 }"
)
_NAMES: Final = (
    (bool, "bool"),
    (int, "int"),
    (float, "float64"),
    (Html, "template.HTML"),
    (str, "string"),
    (Args, "map[string]interface {}"),
    (QueryResult, "template.queryResult"),
    (Sample, "*template.sample"),
    (Time, "*time.Time"),
    (Duration, "*time.Duration"),
    (Data, _DATA),
    (Mapping, "map[string]string"),
)
