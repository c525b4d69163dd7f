"""Who is told of what, and when: tables of routes, walls and quiet hours."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from tests.ticketing.alerts import T, alert
from ticketing.decide import Action, Decision, Reason
from ticketing.errors import SettingsError
from ticketing.incident import Incident, TimelineEntry
from ticketing.key import key
from ticketing.life import opened
from ticketing.meaning import meaning
from ticketing.outbox.opening import check_all
from ticketing.outbox.routing import Router
from ticketing.outbox.settings import Notifications
from ticketing.topology import Topology

HOOK = {"kind": "webhook", "settings": {"url": "http://desk.example/"}}
SHANGHAI = ZoneInfo("Asia/Shanghai")


def router(*routes: dict[str, Any], **recipients: dict[str, Any]) -> Router:
    """Return the router of recipients that are webhooks unless they say otherwise."""
    people = [{"name": name, **HOOK, **more} for name, more in recipients.items()]
    settings = msgspec.convert({"recipients": people, "routes": list(routes)}, Notifications)
    check_all(settings)
    return Router(settings)


def incident(**more: Any) -> Incident:
    one = alert(severity="critical", customer=more.pop("customer", "acme"))
    made = opened(one, 1, key(one), None, Decision(Action.OPEN, Reason.NEW_FAULT), one.at, meaning(one, Topology()))
    return msgspec.structs.replace(made, **more)


def entry(action: str = "open", reason: str = "new_fault", **more: Any) -> TimelineEntry:
    return TimelineEntry(1, 1, more.pop("version", 1), T, "watchdesk", action, reason, **more)


def told(to: Router, about: Incident, what: TimelineEntry, now: float = T) -> dict[str, float]:
    """Return who is told, and when."""
    return {row[0]: row[9] for row in to.deliveries(about, what, now)}


@pytest.mark.parametrize(
    ("route", "fits"),
    [
        ({}, True),
        ({"customers": ["acme"]}, True),
        ({"customers": ["globex"]}, False),
        ({"sites": ["hq"], "devices": ["fs01"], "classes": ["server"]}, True),
        ({"sites": ["berlin"]}, False),
        ({"severities": ["warning"]}, False),
        ({"severities": ["critical", "warning"]}, True),
        ({"priorities": [1]}, True),
        ({"priorities": [2, 3, 4]}, False),
        ({"alerts": ["DiskFull"]}, True),
        ({"alerts": ["HostDown"]}, False),
        ({"events": ["resolve"]}, False),
    ],
)
def test_a_route_fits_when_all_that_it_names_does(route: dict[str, Any], fits: bool) -> None:
    assert bool(told(router({"to": ["noc"], **route}, noc={}), incident(), entry())) is fits


@pytest.mark.parametrize(
    ("action", "reason", "heard"),
    [
        ("open", "new_fault", True),
        ("change_severity", "worse", True),
        ("change_severity", "better", False),
        ("resolve", "nobody_has_worked_on_it", True),
        ("acknowledge", "by_person", False),
        ("update", "new_value", False),
    ],
)
def test_only_the_events_of_the_route(action: str, reason: str, heard: bool) -> None:
    to = router({"to": ["noc"], "events": ["open", "worse", "resolve"]}, noc={})
    assert bool(told(to, incident(), entry(action, reason))) is heard


def test_two_routes_to_one_recipient_are_one_message() -> None:
    rows = list(router({"to": ["noc"]}, {"to": ["noc"], "priorities": [1]}, noc={}).deliveries(incident(), entry(), T))
    assert len(rows) == 1


def test_nobody_hears_of_a_quiet_entry_or_of_what_another_incident_lists() -> None:
    to = router({"to": ["noc"]}, {"to": ["desk"], "members": True}, noc={}, desk={})
    assert told(to, incident(), entry(quiet=True)) == {}
    assert set(told(to, incident(parent=7), entry())) == {"desk"}


def test_a_customers_recipient_hears_of_no_other_and_of_nothing_internal() -> None:
    to = router({"to": ["acme-it", "noc"]}, **{"acme-it": {"customer": "acme"}, "noc": {}})
    assert set(told(to, incident(), entry("comment", "by_person"))) == {"acme-it", "noc"}
    assert set(told(to, incident(), entry("comment", "by_person", internal=True))) == {"noc"}
    assert set(told(to, incident(customer="globex"), entry())) == {"noc"}


def local(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).timestamp()


@pytest.mark.parametrize(
    ("at", "priority", "due"),
    [
        ("2026-03-02T12:00", 2, "2026-03-02T12:00"),  # a Monday, at noon
        ("2026-03-02T22:30", 2, "2026-03-03T07:00"),
        ("2026-03-03T03:00", 2, "2026-03-03T07:00"),
        ("2026-03-03T07:00", 2, "2026-03-03T07:00"),
        ("2026-03-02T22:30", 1, "2026-03-02T22:30"),
        ("2026-03-07T12:00", 2, "2026-03-09T00:00"),  # the weekend's own hours
        ("2026-03-06T23:00", 2, "2026-03-09T00:00"),  # one after the other
    ],
)
def test_quiet_hours_are_the_recipients_own(at: str, priority: int, due: str) -> None:
    night = {"start": "22:00", "end": "07:00", "days": ["mon", "tue", "wed", "thu", "fri"]}
    weekend = [{"start": "00:00", "end": "23:59", "days": [day]} for day in ("sat", "sun")]
    weekend += [{"start": "23:59", "end": "00:00", "days": [day]} for day in ("sat", "sun")]
    to = router({"to": ["noc"]}, noc={"timezone": "Asia/Shanghai", "quiet": [night, *weekend]})
    assert told(to, incident(priority=priority), entry(), local(at)) == {"noc": local(due)}


def test_quiet_hours_without_an_end_do_not_hang() -> None:
    whole = [{"start": "00:00", "end": "12:00"}, {"start": "12:00", "end": "00:00"}]
    assert told(router({"to": ["noc"]}, noc={"quiet": whole}), incident(priority=2), entry())["noc"] > T


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"recipients": [{"name": "noc", **HOOK}]}, "No route leads to noc"),
        ({"routes": [{"to": ["noc"]}]}, r"There is no recipient noc - at `\$.routes\[0\].to`"),
        ({"recipients": [{"name": "noc", **HOOK}] * 2}, "two recipients noc"),
        ({"recipients": [{"name": "noc", "kind": "pigeon"}], "routes": [{"to": ["noc"]}]}, "no adapter pigeon"),
        (
            {"recipients": [{"name": "noc", "kind": "webhook", "settings": {"ulr": 1}}], "routes": [{"to": ["noc"]}]},
            r"at `\$.recipients\[0\].settings",
        ),
        ({"recipients": [{"name": "noc", **HOOK, "timezone": "Moon"}], "routes": [{"to": ["noc"]}]}, "no time zone"),
        (
            {"recipients": [{"name": "noc", **HOOK}], "routes": [{"to": ["noc"], "events": ["opened"]}]},
            "There is no event opened; there are .*open",
        ),
        (
            {
                "recipients": [{"name": "noc", **HOOK, "quiet": [{"start": "07:00", "end": "07:00"}]}],
                "routes": [{"to": ["noc"]}],
            },
            "end after their start",
        ),
    ],
)
def test_what_the_configuration_is_told(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        check_all(msgspec.convert(settings, Notifications))
