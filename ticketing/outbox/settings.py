"""Who is told of what, as the configuration says it."""

from __future__ import annotations

from datetime import time
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from ticketing.decide import Action
from ticketing.errors import SettingsError
from ticketing.work import Deed

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Clock = Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Priority = Annotated[int, msgspec.Meta(ge=1, le=4)]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

DAYS: Final[tuple[Day, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVENTS: Final = frozenset({"worse", "better", *Action, *Deed}) - {Action.NOTHING, Action.CHANGE_SEVERITY}
USUAL: Final = ("open", "reopen", "worse", "better", "recover", "resolve", "comment", "enter_flapping")


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the configuration."""


class Quiet(_Section, frozen=True):
    """Hours in which a recipient is left alone: what comes then waits for their end. An end before the start is that
    of the next day; `days` are those on which the hours begin."""

    start: Clock
    end: Clock
    days: tuple[Day, ...] = DAYS
    timezone: str = ""  # by default the recipient's
    unless_priority: tuple[Priority, ...] = (1,)  # told at any hour

    @property
    def begins(self) -> time:
        """The start, as a time of day."""
        return time.fromisoformat(self.start)

    @property
    def ends(self) -> time:
        """The end, as a time of day."""
        return time.fromisoformat(self.end)


class Recipient(_Section, frozen=True):
    """Somebody, or a system, that is told. One with a `customer` hears of that customer alone, and nothing internal."""

    name: Name
    kind: str  # of the adapter: email, webhook
    settings: dict[str, Any] = {}  # the adapter's own
    customer: str = ""
    language: Literal["en", "zh_CN"] = "en"
    timezone: str = "UTC"  # of the times in texts
    rate: Annotated[float, msgspec.Meta(gt=0)] = 30.0  # messages a minute
    quiet: list[Quiet] = []


class Route(_Section, frozen=True):
    """Who is told of which incidents; an empty list leaves open. An incident may fit several routes."""

    to: Annotated[list[str], msgspec.Meta(min_length=1)]
    customers: list[str] = []
    sites: list[str] = []
    devices: list[str] = []
    classes: list[str] = []
    alerts: list[str] = []  # names of rules
    severities: list[Literal["critical", "error", "warning", "info"]] = []
    priorities: list[Priority] = []
    events: tuple[str, ...] = USUAL
    members: bool = False  # also incidents that are listed in another one


class Notifications(_Section, frozen=True):
    """All of it."""

    domain: str = "watchdesk.invalid"  # of the Message-IDs: yours, so that they are unique in the world
    url: str = ""  # of the pages, for links
    give_up_hours: Annotated[float, msgspec.Meta(gt=0)] = 72.0  # what could not be delivered for so long is dead
    keep_days: Annotated[float, msgspec.Meta(gt=0)] = 14.0  # what was delivered, and what was not, is shown so long
    recipients: list[Recipient] = []
    routes: list[Route] = []


def check(settings: Notifications) -> None:
    """Check what the types do not.

    Raises:
        SettingsError: a route to nobody, a recipient on no route or twice, a time zone or event that does not exist.
    """
    names = [one.name for one in settings.recipients]
    for index, recipient in enumerate(settings.recipients):
        path = f"$.recipients[{index}]"
        if recipient.name in names[:index]:
            raise SettingsError(f"There are two recipients {recipient.name}", f"{path}.name")
        _zone(recipient.timezone, f"{path}.timezone")
        for number, quiet in enumerate(recipient.quiet):
            _zone(quiet.timezone or recipient.timezone, f"{path}.quiet[{number}].timezone")
            if quiet.start == quiet.end:
                raise SettingsError("Quiet hours end after their start", f"{path}.quiet[{number}].end")
    told = set()
    for index, route in enumerate(settings.routes):
        told |= set(route.to)
        for name in route.to:
            if name not in names:
                raise SettingsError(f"There is no recipient {name}", f"$.routes[{index}].to")
        for event in route.events:
            if event not in EVENTS:
                known = ", ".join(sorted(EVENTS))
                raise SettingsError(f"There is no event {event}; there are {known}", f"$.routes[{index}].events")
    for index, name in enumerate(names):
        if name not in told:
            raise SettingsError(f"No route leads to {name}", f"$.recipients[{index}].name")


def _zone(name: str, path: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise SettingsError(f"There is no time zone {name!r}", path) from None
