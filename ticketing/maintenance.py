"""Maintenance windows: for their time no new ticket is opened; rules go on, and recoveries get through.

A window is for a customer, narrowed to a site, a device (its host name) or a rule (its alertname); "" leaves open. It
is held once, or repeated in the local time of its zone: `weekly:mon,thu`, or `monthly:15` (day), `monthly:2tue` (the
second Tuesday), `monthly:-1sun` (the last Sunday); it then begins at the time of day of its first start.
"""

from __future__ import annotations

import calendar
import datetime
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from sqlalchemy import Connection, or_, select, update

from ticketing import clean
from ticketing.errors import Refused
from ticketing.models import MaintenanceRow

WINDOWS: Final = MaintenanceRow.metadata.tables["maintenance"]
GOODBYE: Final = "agent"  # the owner of windows that an agent's goodbye has opened
LONGEST: Final = 31 * 86_400.0
_SPREAD: Final = 300.0  # seconds over which what still burns opens after a window
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTHLY: Final = re.compile(r"(-1|[1-5])(mon|tue|wed|thu|fri|sat|sun)|([1-9]|[12][0-9]|3[01])")


class Window(msgspec.Struct, frozen=True):
    """A maintenance window; times are Unix seconds. `ends_at` is when the last of it is over, None: never."""

    id: int
    customer: str
    starts_at: float
    seconds: float
    site: str = ""
    device: str = ""
    rule: str = ""
    repeats: str = ""
    timezone: str = "UTC"
    ends_at: float | None = None
    comment: str = ""
    owner: str = ""
    created_at: float = 0.0
    cancelled_at: float | None = None

    def covers(self, customer: str, site: str, device: str, rule: str) -> bool:
        """Tell whether it is for such an alert, whenever it is."""
        wanted = ((self.site, site), (self.device, device), (self.rule, rule))
        return self.customer == customer and all(mine in {"", theirs} for mine, theirs in wanted)


def checked(window: Window) -> Window:
    """Return the window with its end, and harmless text. Raises Refused if it cannot be."""
    if not window.customer:
        raise Refused("a maintenance window is for a customer")
    if not 0 < window.seconds <= LONGEST:
        raise Refused("a maintenance window lasts more than nothing and at most 31 days")
    if window.repeats:
        _rule(window.repeats)
    try:
        ZoneInfo(window.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Refused(f"{window.timezone!r} is no time zone, such as Asia/Shanghai") from error
    if not window.repeats:
        return _clean(msgspec.structs.replace(window, ends_at=window.starts_at + window.seconds))
    if window.ends_at is not None and window.ends_at <= window.starts_at:
        raise Refused("it would end before it begins")
    return _clean(window)


def holds(window: Window, at: float) -> tuple[float, float] | None:
    """Return begin and end of the stretch of a window that holds at a time, None if none does."""
    if window.cancelled_at is not None and at >= window.cancelled_at:
        return None
    for begin, end in _stretches(window, at):
        if begin <= at < end:
            return begin, end
    return None


def upcoming(window: Window, after: float, limit: int = 5) -> list[tuple[float, float]]:
    """Return the next stretches of a window that end after a time."""
    if window.cancelled_at is not None:
        return []
    found: list[tuple[float, float]] = []
    day = after
    while len(found) < limit and day < after + 400 * 86_400:
        found += [one for one in _stretches(window, day) if one[1] > after and one not in found]
        if not window.repeats:
            break
        day += 86_400
    return sorted(found)[:limit]


def held_until(windows: Iterable[Window], customer: str, site: str, device: str, rule: str, at: float) -> float | None:
    """Return until when windows hold back the opening of a ticket, None if none does.

    Windows that follow on each other count as one.
    """
    mine = [window for window in windows if window.covers(customer, site, device, rule)]
    end: float | None = None
    while True:
        moment = at if end is None else end
        ends = [stretch[1] for window in mine if (stretch := holds(window, moment)) is not None]
        if not ends or (end is not None and max(ends) <= end):
            return end
        end = max(ends)


def jitter(key: str) -> float:
    """Return how many seconds after a window the incident of a key opens if it still burns: always the same."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=4).digest(), "big") / 2**32 * _SPREAD


def add(connection: Connection, window: Window) -> Window:
    """Store a window and return it with its number. Raises Refused if it cannot be."""
    new = checked(window)
    values = {name: value for name, value in msgspec.structs.asdict(new).items() if name != "id"}
    number = connection.scalar(WINDOWS.insert().values(**values).returning(WINDOWS.c.id))
    return msgspec.structs.replace(new, id=number)


def cancel(connection: Connection, number: int, customer: str | None, now: float) -> bool:
    """End a window now, or before it begins; False if there is none in the customer's scope (None: all)."""
    mine = (WINDOWS.c.id == number) & WINDOWS.c.cancelled_at.is_(None)
    if customer is not None:
        mine &= WINDOWS.c.customer == customer
    return connection.execute(update(WINDOWS).where(mine).values(cancelled_at=now)).rowcount > 0


def current(connection: Connection, now: float, customers: Sequence[str] | None = None) -> list[Window]:
    """Return the windows that are not over at a time, of some customers or (None) of all."""
    query = select(WINDOWS).where(or_(WINDOWS.c.ends_at.is_(None), WINDOWS.c.ends_at > now))
    query = query.where(or_(WINDOWS.c.cancelled_at.is_(None), WINDOWS.c.cancelled_at > now))
    if customers is not None:
        query = query.where(WINDOWS.c.customer.in_(customers))
    found: list[dict[str, Any]] = [dict(row) for row in connection.execute(query.order_by(WINDOWS.c.id)).mappings()]
    return msgspec.convert(found, list[Window])


def _clean(window: Window) -> Window:
    texts = {name: clean.line(getattr(window, name), 255) for name in ("site", "device", "rule", "comment", "owner")}
    return msgspec.structs.replace(window, **texts)


def _stretches(window: Window, at: float) -> Iterator[tuple[float, float]]:
    """Yield the stretches that can hold at a time."""
    if not window.repeats:
        yield window.starts_at, window.starts_at + window.seconds
        return
    zone = ZoneInfo(window.timezone)
    first = datetime.datetime.fromtimestamp(window.starts_at, zone)
    today = datetime.datetime.fromtimestamp(at, zone).date()
    for back in range(int(window.seconds // 86_400) + 2):
        day = today - datetime.timedelta(days=back)
        if not _falls_on(window.repeats, day):
            continue
        # In local time: a window at 22:00 stays there when the clocks are changed.
        begin = datetime.datetime.combine(day, first.time(), zone).timestamp()
        if begin >= window.starts_at and (window.ends_at is None or begin < window.ends_at):
            yield begin, begin + window.seconds


def _falls_on(repeats: str, day: datetime.date) -> bool:
    kind, days = _rule(repeats)
    if kind == "weekly":
        return _DAYS[day.weekday()] in days
    last = calendar.monthrange(day.year, day.month)[1]
    names = {str(day.day), f"{(day.day - 1) // 7 + 1}{_DAYS[day.weekday()]}"}
    if day.day + 7 > last:
        names.add(f"-1{_DAYS[day.weekday()]}")
    return bool(names & days)


def _rule(repeats: str) -> tuple[str, frozenset[str]]:
    """Return weekly or monthly, and the days. Raises Refused for anything else."""
    kind, _, days = repeats.lower().partition(":")
    named = frozenset(day.strip() for day in days.split(",") if day.strip())
    known = all(day in _DAYS if kind == "weekly" else _MONTHLY.fullmatch(day) for day in named)
    if kind not in {"weekly", "monthly"} or not named or not known:
        raise Refused(f"{repeats!r} is no repetition; it is written weekly:mon,thu or monthly:15 or monthly:2tue")
    return kind, named
