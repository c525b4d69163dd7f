"""Silences: for their time no ticket is opened for alerts whose labels match; each has an end and an owner.

Matchers are those of Alertmanager (`name=value`, `!=`, `=~`, `!~`, anchored), and all must match. A silence that is
nearly over, or has been there for a week, while what it hides still burns, is forgotten: its owner is asked.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
import re2
from sqlalchemy import Connection, select, update

from ticketing import clean
from ticketing.errors import Refused
from ticketing.models import SilenceRow

SILENCES: Final = SilenceRow.metadata.tables["silences"]
LONGEST: Final = 366 * 86_400.0
ASK_AFTER: Final = 7 * 86_400.0  # seconds that it may hide the same fault before its owner is asked
ASK_BEFORE: Final = 3_600.0  # seconds before its end
MAX_PATTERN: Final = 255
_MATCHER: Final = re.compile(r"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*(.*?)\s*", re.DOTALL)


class Matcher(msgspec.Struct, frozen=True):
    """One condition on a label; a label that is not there is empty."""

    name: str
    op: Literal["=", "!=", "=~", "!~"]
    value: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether the labels fulfil it."""
        text = labels.get(self.name, "")
        if self.op in {"=", "!="}:
            return (text == self.value) == (self.op == "=")
        return (_pattern(self.value).fullmatch(text) is not None) == (self.op == "=~")

    def __str__(self) -> str:
        return f'{self.name}{self.op}"{self.value}"'


class Silence(msgspec.Struct, frozen=True):
    """A silence; times are Unix seconds. The customer "" is for all of them, which only the provider's staff may."""

    id: int
    customer: str
    matchers: tuple[Matcher, ...]
    starts_at: float
    ends_at: float
    comment: str = ""
    owner: str = ""
    created_at: float = 0.0
    cancelled_at: float | None = None
    asked_at: float | None = None  # when its owner was asked whether it is still wanted

    def holds(self, at: float) -> bool:
        """Tell whether it holds at a time."""
        return self.starts_at <= at < (self.ends_at if self.cancelled_at is None else self.cancelled_at)

    def covers(self, customer: str, labels: Mapping[str, str]) -> bool:
        """Tell whether it is for such an alert, whenever it is."""
        return self.customer in {"", customer} and all(matcher.matches(labels) for matcher in self.matchers)


def matcher(text: str) -> Matcher:
    """Return the matcher of `name=value`, the value with or without quotes. Raises Refused if it is none."""
    found = _MATCHER.fullmatch(text)
    if found is None:
        raise Refused(f"{text!r} is no matcher; it is written name=value, name!=value, name=~pattern or name!~pattern")
    name, op, value = found.groups()
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1]
    return checked_matcher(msgspec.convert({"name": name, "op": op, "value": value}, Matcher))


def checked_matcher(new: Matcher) -> Matcher:
    """Return the matcher. Raises Refused if its pattern is too long or none."""
    if len(new.value) > MAX_PATTERN:
        raise Refused(f"a matcher's value has at most {MAX_PATTERN} characters")
    if new.op in {"=~", "!~"}:
        try:
            _pattern(new.value)
        except re2.error as error:
            raise Refused(f"{new.value!r} is no regular expression: {error}") from error
    return new


def checked(silence: Silence) -> Silence:
    """Return the silence with harmless text. Raises Refused if it cannot be."""
    if not silence.matchers:
        raise Refused("a silence needs a matcher, such as alertname=DiskFull")
    if all(one.matches({}) for one in silence.matchers):
        raise Refused("a silence needs a matcher that does not match everything")
    if not 0 < silence.ends_at - silence.starts_at <= LONGEST:
        raise Refused("a silence ends after it begins, and within a year")
    if not silence.owner:
        raise Refused("a silence has an owner")
    for one in silence.matchers:
        checked_matcher(one)
    return msgspec.structs.replace(
        silence, comment=clean.line(silence.comment), owner=clean.line(silence.owner, clean.MAX_NAME)
    )


def held_until(silences: Iterable[Silence], customer: str, labels: Mapping[str, str], at: float) -> float | None:
    """Return until when silences hold back the opening of a ticket, None if none does."""
    mine = [silence for silence in silences if silence.covers(customer, labels)]
    end: float | None = None
    while True:
        moment = at if end is None else end
        ends = [silence.ends_at for silence in mine if silence.holds(moment)]
        if not ends or (end is not None and max(ends) <= end):
            return end
        end = max(ends)


def forgotten(silences: Iterable[Silence], hiding: Mapping[int, float], now: float) -> list[Silence]:
    """Return the silences whose owners are to be asked, once each.

    `hiding` tells since when each silence, by number, has hidden a fault that still burns.
    """
    return [
        silence
        for silence in silences
        if silence.asked_at is None
        and silence.id in hiding
        and silence.holds(now)
        and (now - hiding[silence.id] >= ASK_AFTER or silence.ends_at - now <= ASK_BEFORE)
    ]


def add(connection: Connection, silence: Silence) -> Silence:
    """Store a silence and return it with its number. Raises Refused if it cannot be."""
    new = checked(silence)
    values = {name: value for name, value in msgspec.to_builtins(new).items() if name != "id"}
    number = connection.scalar(SILENCES.insert().values(**values).returning(SILENCES.c.id))
    return msgspec.structs.replace(new, id=number)


def cancel(connection: Connection, number: int, customer: str | None, now: float) -> bool:
    """End a silence now; False if there is none in the customer's scope (None: all)."""
    mine = (SILENCES.c.id == number) & SILENCES.c.cancelled_at.is_(None) & (SILENCES.c.ends_at > now)
    if customer is not None:
        mine &= SILENCES.c.customer == customer
    return connection.execute(update(SILENCES).where(mine).values(cancelled_at=now)).rowcount > 0


def asked(connection: Connection, numbers: Sequence[int], now: float) -> None:
    """Note that the owners of these were asked."""
    connection.execute(update(SILENCES).where(SILENCES.c.id.in_(numbers)).values(asked_at=now))


def current(connection: Connection, now: float, customers: Sequence[str] | None = None) -> list[Silence]:
    """Return the silences that are not over at a time, of some customers (and those for all) or (None) of all."""
    query = select(SILENCES).where(SILENCES.c.ends_at > now, SILENCES.c.cancelled_at.is_(None))
    if customers is not None:
        query = query.where(SILENCES.c.customer.in_([*customers, ""]))
    found: list[dict[str, Any]] = [dict(row) for row in connection.execute(query.order_by(SILENCES.c.id)).mappings()]
    return msgspec.convert(found, list[Silence])


@functools.lru_cache(maxsize=1024)
def _pattern(text: str) -> re2.Pattern:
    # Linear in time whatever people write; not verbose on stderr.
    options = re2.Options()
    options.log_errors = False
    return re2.compile(text, options)
