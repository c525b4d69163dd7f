"""Events: what is in them, what is not, and how many there are."""

import json

import pytest

from agent import plainjson
from agent.events import (
    ALL_BURST,
    BURST,
    MAX_ATTRIBUTES,
    MAX_INVENTORY,
    MAX_PAYLOAD,
    MAX_WAITING,
    REFILL,
    Event,
    Events,
    read_event,
)
from agent.redact import HIDDEN, MAX_TEXT, clean, redact
from tests.agent.helpers import NOW, Clock


def made(clock: Clock | None = None, off: frozenset[str] = frozenset()) -> Events:
    clock = clock or Clock()
    return Events(clock, clock, off)


def drained(events: Events) -> list[dict[str, object]]:
    return [json.loads(payload) for payload in events.drain()]


def test_an_event_is_the_object_of_the_protocol() -> None:
    events = made()
    events.add(Event("unit", "nginx.service", "error", "nginx.service has failed", {"after": "failed", "code": 3}))
    assert drained(events) == [
        {"t": NOW, "type": "unit", "source": "nginx.service", "level": "error", "text": "nginx.service has failed",
         "attributes": {"after": "failed", "code": 3}}
    ]  # fmt: skip
    assert not events


def test_whatever_it_is_given_it_stays_within_its_bounds() -> None:
    events = made()
    flood = {f"name{number}": "\x00\x1b[31m" + "v" * 5_000 for number in range(1_000)}
    events.add(Event("nonsense", "s" * 1_000, "loud", "x" * 100_000, flood, 5.0))
    payload = events.drain()[0]
    said = json.loads(payload)
    assert len(payload) <= MAX_PAYLOAD
    assert (said["type"], said["level"], said["t"]) == ("agent", "info", 5.0)
    assert (len(said["source"]), len(said["text"])) == (128, MAX_TEXT)
    assert len(said["attributes"]) <= MAX_ATTRIBUTES


def test_a_source_that_floods_is_held_back_and_says_how_many_were_left_out() -> None:
    clock = Clock()
    events = made(clock)
    for number in range(1_000):
        events.add(Event("log", "chatty", "error", f"line {number}"))
    events.add(Event("log", "quiet", "error", "hello"))
    said = drained(events)
    assert [one["source"] for one in said] == ["chatty"] * BURST + ["quiet"]
    assert events.dropped == 1_000 - BURST
    clock.now += REFILL
    events.add(Event("log", "chatty", "error", "later"))
    assert [one["attributes"] for one in drained(events)] == [{"left_out": 1_000 - BURST}]


def test_many_sources_that_flood_are_held_back_together() -> None:
    events = made()
    for number in range(5_000):
        events.add(Event("log", f"source {number}", "error", "x"))
    assert len(drained(events)) == ALL_BURST
    assert events.dropped == 5_000 - ALL_BURST


def test_while_nobody_takes_them_they_do_not_pile_up() -> None:
    clock = Clock()
    events = made(clock)
    for number in range(2_000):
        clock.now += 60
        events.add(Event("log", f"source {number}", "error", "x"))
    assert len(drained(events)) == MAX_WAITING


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    clock = Clock()
    events = made(clock)
    for _ in range(BURST):
        events.add(Event("log", "a", "error", "x"))
    clock.now -= 86_400
    assert not events.add(Event("log", "a", "error", "x"))


def test_what_the_policy_keeps_here_is_not_even_counted() -> None:
    events = made(off=frozenset({"login", "inventory"}))
    assert not events.add(Event("login", "ann", "info", "ann has logged in"))
    events.add_inventory(b"{}")
    assert not events.drain()


def test_an_inventory_that_is_too_long_is_dropped_and_counted() -> None:
    events = made()
    events.add_inventory(b"x" * (MAX_INVENTORY + 1))
    assert (events.drain(), events.dropped) == ([], 1)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"type": 1}', '{"type":"log","source":"a","level":"b"}', "{", "null"]
)
def test_what_is_no_event_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not an|no value|a name is missing"):
        read_event(text)


def test_an_event_of_a_child_comes_as_it_was_written() -> None:
    event = Event("check", "web", "error", "ünïcode 😀", {"a": "b", "n": 1.5}, 9.0)
    again = read_event(json.dumps(event.members(NOW)))
    assert again.members(NOW) == event.members(NOW)
    assert json.loads(plainjson.dumps(again.members(NOW))) == event.members(NOW)


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("login failed password=hunter2 for ann", "hunter2"),
        ('config: {"db_password":"hunter2"}', "hunter2"),
        ("mysql --password hunter2 -u root", "hunter2"),
        ("mysql --password=hunter2", "hunter2"),
        ("Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.abc", "eyJhbGciOiJIUzI1NiJ9"),
        ("GET https://ann:hunter2@example.com/x failed", "hunter2"),
        ("mail from ann.lee@example.com refused", "ann.lee"),
        ("api_key: sk9f8s7d6f5", "sk9f8s7d6f5"),
        ("session 4f9a1c22e7b84d0f9a1c22e7b84d0f9a opened", "4f9a1c22e7b84d0f9a1c22e7b84d0f9a"),
        ("token = abc123", "abc123"),
        ("X-Secret: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("set-cookie: sid=99", "sid=99"),
        ("opened 4f9a1c22e7b84d0f9a1c22e7b84d0f9a.session", "4f9a1c22e7b84d0f9a1c22e7b84d0f9a"),
    ],
)
def test_secrets_do_not_leave(text: str, gone: str) -> None:
    shown = redact(text)
    assert gone not in shown
    assert HIDDEN in shown


@pytest.mark.parametrize(
    "text",
    [
        "EXT4-fs error (device sda1): ext4_find_entry:1455: inode #2: comm ls: reading directory lblock 0",
        "Out of memory: Killed process 4711 (java) total-vm:8123456kB, anon-rss:4000000kB",
        "Failed to start getty@tty1.service - Getty on tty1.",
        "connect to http://127.0.0.1:8080/health failed: connection refused",
        "disk /dev/disk/by-id/ata-Samsung_SSD_860 is full",
        "ratio 3:4, key = value, 12:30:15",
        "certificate of db01-prod02.acme-corp1.example expired",
    ],
)
def test_evidence_stays(text: str) -> None:
    assert redact(text) == text


def test_control_characters_and_long_lines() -> None:
    assert clean("a\x00b\x1b[31mc\u202e\nd\ud800") == "a b [31mc  d"
    assert len(redact("x" * 1_000_000)) == MAX_TEXT
    assert len(redact("a " * 1_000_000)) <= MAX_TEXT
    assert len(redact("a@b.cc " * 1_000)) == MAX_TEXT
