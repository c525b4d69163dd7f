"""Maintenance windows and silences: when they hold, in whose time, and for what."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy

from ticketing import maintenance, silences
from ticketing.errors import Refused
from ticketing.maintenance import Window, checked, held_until, holds, jitter, upcoming
from ticketing.silences import Silence, matcher

BERLIN = ZoneInfo("Europe/Berlin")
H = 3600.0


def at(text: str, zone: ZoneInfo = BERLIN) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def window(start: str, hours: float, repeats: str = "", **more: str) -> Window:
    return checked(Window(1, "acme", at(start), hours * H, repeats=repeats, timezone="Europe/Berlin", **more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("made", "moment", "inside"),
    [
        (window("2026-03-02 22:00", 2), "2026-03-02 23:59", True),
        (window("2026-03-02 22:00", 2), "2026-03-03 00:00", False),
        (window("2026-03-02 22:00", 2), "2026-03-02 21:59", False),
        (window("2026-03-02 22:00", 4, "weekly:mon"), "2026-03-10 01:30", True),
        (window("2026-03-02 22:00", 4, "weekly:mon"), "2026-03-10 22:30", False),
        (window("2026-03-02 22:00", 4, "weekly:mon,thu"), "2026-03-05 23:00", True),
        (window("2026-03-02 22:00", 4, "weekly:mon"), "2026-02-23 23:00", False),  # before it began
        (window("2026-03-01 03:00", 2, "monthly:15"), "2026-04-15 04:00", True),
        (window("2026-03-01 03:00", 2, "monthly:2tue"), "2026-04-14 04:00", True),
        (window("2026-03-01 03:00", 2, "monthly:2tue"), "2026-04-07 04:00", False),
        (window("2026-03-01 03:00", 2, "monthly:-1sun"), "2026-04-26 04:00", True),
        # The clocks go forward on 29 March: ten in the evening stays ten in the evening.
        (window("2026-03-02 22:00", 1, "weekly:mon"), "2026-03-30 22:30", True),
        (window("2026-03-02 22:00", 1, "weekly:mon"), "2026-03-30 23:30", False),
    ],
)
def test_when_a_window_holds(made: Window, moment: str, inside: bool) -> None:
    assert (holds(made, at(moment)) is not None) is inside


@pytest.mark.parametrize(
    "words",
    [
        {"repeats": "daily"},
        {"repeats": "weekly:"},
        {"repeats": "weekly:someday"},
        {"repeats": "monthly:32"},
        {"repeats": "monthly:6mon"},
        {"timezone": "Mars/Olympus"},
        {"seconds": 0.0},
        {"seconds": 1e9},
        {"customer": ""},
        {"repeats": "weekly:mon", "ends_at": 5.0},
    ],
)
def test_windows_that_cannot_be(words: dict[str, object]) -> None:
    with pytest.raises(Refused):
        checked(Window(**{"id": 0, "customer": "acme", "starts_at": 10.0, "seconds": 60.0, **words}))  # type: ignore[arg-type]


def test_windows_that_follow_on_each_other_count_as_one_and_narrow_ones_hold_alone() -> None:
    first, second = window("2026-03-02 22:00", 2), window("2026-03-03 00:00", 2)
    narrow = window("2026-03-02 22:00", 9, device="fs01")
    moment = at("2026-03-02 23:00")
    assert held_until([first, second], "acme", "hq", "x", "DiskFull", moment) == at("2026-03-03 02:00")
    assert held_until([narrow], "acme", "hq", "x", "DiskFull", moment) is None
    assert held_until([narrow], "acme", "hq", "fs01", "DiskFull", moment) == at("2026-03-03 07:00")
    assert held_until([first], "charlie", "hq", "x", "DiskFull", moment) is None


def test_the_next_times_of_a_window() -> None:
    found = upcoming(window("2026-03-02 22:00", 2, "weekly:mon"), at("2026-03-10 12:00"), 2)
    assert [begin for begin, _ in found] == [at("2026-03-16 22:00"), at("2026-03-23 22:00")]


def test_what_still_burns_opens_spread_out_and_always_the_same() -> None:
    seconds = [jitter(f"acme/hq/h{number}/HostDown") for number in range(300)]
    assert seconds == [jitter(f"acme/hq/h{number}/HostDown") for number in range(300)]
    assert 0 <= min(seconds) < 30
    assert 270 < max(seconds) <= 300


@pytest.mark.parametrize(
    ("text", "labels", "fits"),
    [
        ("alertname=DiskFull", {"alertname": "DiskFull"}, True),
        ('alertname="DiskFull"', {"alertname": "DiskFull"}, True),
        ("alertname!=DiskFull", {"alertname": "DiskFull"}, False),
        ("instance=~db.*", {"instance": "db1.hq.acme"}, True),
        ("instance=~db", {"instance": "db1.hq.acme"}, False),  # anchored
        ("instance!~db.*", {"instance": "fs01"}, True),
        ("absent=", {}, True),
    ],
)
def test_what_a_matcher_matches(text: str, labels: dict[str, str], fits: bool) -> None:
    assert matcher(text).matches(labels) is fits


@pytest.mark.parametrize("text", ["", "DiskFull", "=x", "a=~(", "1a=b", "a=~" + "x" * 300])
def test_what_is_no_matcher(text: str) -> None:
    with pytest.raises(Refused):
        matcher(text)


def test_a_forgotten_silence_asks_its_owner_once(engine: sqlalchemy.Engine) -> None:
    week = silences.ASK_AFTER
    with engine.begin() as connection:
        new = Silence(0, "acme", (matcher("alertname=DiskFull"),), 0.0, 3 * week, owner="erin")
        made = silences.add(connection, new)
        assert silences.current(connection, 10.0, ["acme"]) == [made]
        assert silences.current(connection, 10.0, ["charlie"]) == []
        assert silences.forgotten([made], {made.id: 0.0}, week - 1) == []
        assert silences.forgotten([made], {}, week) == []
        assert silences.forgotten([made], {made.id: 0.0}, week) == [made]
        silences.asked(connection, [made.id], week)
        assert silences.forgotten(silences.current(connection, week), {made.id: 0.0}, week + 1) == []
        assert not silences.cancel(connection, made.id, "charlie", week)
        assert silences.cancel(connection, made.id, "acme", week)
        assert silences.current(connection, week + 1) == []


def test_silences_that_cannot_be() -> None:
    for words in ({"matchers": ()}, {"matchers": (matcher("a=~.*"),)}, {"ends_at": 0.0}, {"owner": ""}):
        given = {"matchers": (matcher("a=b"),), "ends_at": 60.0, "owner": "erin", **words}
        with pytest.raises(Refused):
            silences.checked(Silence(id=0, customer="acme", starts_at=0.0, **given))  # type: ignore[arg-type]


def test_windows_are_kept_by_customer(engine: sqlalchemy.Engine) -> None:
    with engine.begin() as connection:
        made = maintenance.add(connection, Window(0, "acme", 100.0, 60.0))
        assert maintenance.current(connection, 120.0, ["acme"]) == [made]
        assert maintenance.current(connection, 120.0, ["charlie"]) == []
        assert not maintenance.cancel(connection, made.id, "charlie", 120.0)
        assert maintenance.cancel(connection, made.id, None, 120.0)
        assert maintenance.current(connection, 130.0) == []
