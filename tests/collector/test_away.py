"""A collector that was itself away, or whose clock was set: nobody is silent before they could have spoken."""

import json

import pytest

from agent import wire
from agent.wire import Kind
from collector.log import Record, RecordKind
from collector.state import State

START = 1_760_000_000.0
HELLO = b'{"version": "1", "os": "linux", "reason": "boot", "interval": 1}'
LABELS = {"instance": "pc1.hq.acme", "job": "agent", "customer": "acme", "site": "hq", "class": "server"}
RULE = (
    "groups: [{name: g, interval: 1s, rules: [{alert: Silent, expr: 'up == 0 unless watchdesk_device_excused == 1'}]}]"
)


class Story:
    """A state machine with one device that reports every second."""

    def __init__(self) -> None:
        self.state = State()
        self.number = 0
        self.fired: list[tuple[str, float]] = []
        self.add(RecordKind.RULES, START, json.dumps({"g": RULE}).encode())
        self.add(RecordKind.DEVICE, START, json.dumps(LABELS).encode(), 1)
        self.frame(START, Kind.HELLO, HELLO)

    def add(self, kind: RecordKind, at: float, body: bytes = b"", device: int = 0) -> None:
        self.number += 1
        changes = self.state.apply(Record(self.number, kind, device, at, 0.0, body))
        self.fired += [(change.state, at - START) for change in changes]

    def frame(self, at: float, kind: int, payload: bytes) -> None:
        self.add(RecordKind.FRAME, at, wire.encode(kind, 1, self.number, payload), 1)

    def goes_on(self, start: float, end: float, *, heard: bool = True) -> None:
        """A second after the other: ticks, and the device's hello as its sign of life."""
        at = START + start
        while at <= START + end:
            if heard:
                self.frame(at, Kind.HELLO, HELLO)
            self.add(RecordKind.TICK, at)
            at += 1


@pytest.mark.parametrize("away", [4, 30, 3600, 86_400])
def test_after_a_pause_or_a_clock_that_was_set_ahead_silence_counts_from_there(away: float) -> None:
    story = Story()
    story.goes_on(0, 20)
    story.goes_on(20 + away, 23 + away, heard=False)  # it wakes before the device has spoken
    story.goes_on(24 + away, 40 + away)
    assert story.fired == []


def test_who_is_silent_after_the_pause_too_is_found_out() -> None:
    story = Story()
    story.goes_on(0, 20)
    story.goes_on(100, 120, heard=False)
    assert [state for state, _ in story.fired] == ["firing"]
    assert 105 <= story.fired[0][1] <= 107


@pytest.mark.parametrize("back", [2, 3600, 86_400])
def test_a_clock_that_was_set_back_opens_and_resolves_nothing(back: float) -> None:
    story = Story()
    story.goes_on(0, 20)
    story.goes_on(20 - back, 40 - back)
    assert story.fired == []
    story.goes_on(41, 60)
    assert story.fired == []


def test_a_sleeping_desktop_is_excused_until_it_is_heard_or_its_time_is_over() -> None:
    story = Story()
    story.goes_on(0, 5)
    story.frame(START + 5, Kind.GOODBYE, b'{"reason": "sleep", "ttl": 60}')
    story.goes_on(6, 60, heard=False)
    assert story.fired == []
    story.goes_on(61, 62)
    story.goes_on(63, 75, heard=False)
    assert [state for state, _ in story.fired] == ["firing"]
