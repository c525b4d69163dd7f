"""The held call: made only where the collector advises it, at a bounded pace, and never in the way of the readings."""

import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.child import Child
from agent.connection import Connection
from agent.endpoint import context, endpoint
from agent.events import Events
from agent.held import BURST, MAX_PIPE, SLOTS, Held, starter
from tests.agent.authority import Authority
from tests.agent.collector import TOKEN, TestCollector
from tests.agent.helpers import Clock, Lines, agent, eventually


class Caller:
    """A held call of a real connection, whose processes only say what they were given."""

    def __init__(self, collector: TestCollector, authority: Authority, code: str) -> None:
        self.started: list[tuple[str, bytes]] = []
        self.code = code
        self.log = Lines()
        self.now = Clock(1_000.0)
        self.events = Events(self.now, self.now)
        self.held = Held(
            Connection(endpoint(collector.url), context(authority.pem)), TOKEN, ["--state", "x"], self._start,
            self.events, self.log, prepared=True, monotonic=time.monotonic, random=lambda: 0.5,
        )  # fmt: skip

    def _start(self, words: list[str], body: bytes) -> Child:
        self.started.append((words[-1], body))
        read_end, write_end = os.pipe()
        os.set_blocking(read_end, False)
        command = [sys.executable, "-I", "-S", "-c", self.code]
        actions = [(os.POSIX_SPAWN_DUP2, write_end, 1)]
        pid = os.posix_spawn(sys.executable, command, {}, file_actions=actions, setpgroup=0)
        os.close(write_end)
        return Child(pid, read_end)

    def turn(self) -> None:
        """Do what the loop does, once."""
        poll = select.poll()
        for file, events in self.held.files():
            poll.register(file, events)
        now = time.monotonic()
        wait = min(0.05, max(0.0, self.held.until - now))
        self.held.step(time.monotonic(), {file for file, _ in poll.poll(wait * 1_000)})

    def until(self, condition: Callable[[], object]) -> None:
        """Turn until the condition holds."""

        def holds() -> bool:
            self.turn()
            return bool(condition())

        eventually(holds, 60)


@pytest.fixture
def caller(collector: TestCollector, authority: Authority) -> Iterator[Caller]:
    made = Caller(collector, authority, "print('C watchdesk_agent_diagnoses_total 2'); print('.')")
    yield made
    made.held.close()


def test_without_advice_nothing_is_ever_asked(collector: TestCollector, caller: Caller) -> None:
    caller.held.advise({})
    caller.held.advise({"watchdesk-hold": "0", "watchdesk-requests": "0"})
    for rubbish in ("-1", "x", "", "9" * 30, "１"):
        caller.held.advise({"watchdesk-hold": rubbish})
    for _ in range(20):
        caller.turn()
    assert collector.calls == 0
    assert caller.held.until == float("inf")


def test_a_call_is_held_and_what_came_is_handed_over(collector: TestCollector, caller: Caller) -> None:
    collector.hold = 20
    caller.held.advise({"watchdesk-hold": "20"})
    caller.until(lambda: collector.calls == 1)
    collector.waiting.put(b"what is in it is not looked at")
    caller.until(lambda: caller.started)
    assert caller.started == [("30", b"what is in it is not looked at")]
    caller.until(lambda: caller.held.readings().get("watchdesk_agent_diagnoses_total") == 2.0)
    caller.until(lambda: collector.calls > 1)


def test_one_is_asked_for_when_the_answer_to_a_push_says_so(collector: TestCollector, caller: Caller) -> None:
    caller.held.advise({"watchdesk-requests": "1"})
    caller.until(lambda: collector.calls == 1)
    caller.until(lambda: caller.held.until == float("inf"))
    assert collector.calls == 1


def test_what_is_too_long_is_told_by_its_length(collector: TestCollector, caller: Caller) -> None:
    collector.waiting.put(b"x" * 100_000)
    caller.held.advise({"watchdesk-hold": "20"})
    caller.until(lambda: caller.started)
    assert (caller.started[0][0], len(caller.started[0][1])) == ("100000", MAX_PIPE)


def test_only_so_many_are_at_work_at_a_time(collector: TestCollector, caller: Caller) -> None:
    caller.code = "import time; time.sleep(600)"
    collector.hold = 20
    for _ in range(4):
        collector.waiting.put(b"x")
    caller.held.advise({"watchdesk-hold": "20"})
    caller.until(lambda: len(caller.started) == SLOTS)
    caller.until(lambda: caller.held.until == float("inf"))
    for _ in range(10):
        caller.turn()
    assert len(caller.started) == SLOTS


def test_a_flood_is_slowed_down(caller: Caller) -> None:
    caller.held.advise({"watchdesk-hold": "20"})
    caller.held._credit, caller.held._credit_at = BURST, time.monotonic()
    assert caller.held._wait() == 0.0
    caller.held._credit = 0.0
    assert caller.held._wait() > 5


def test_a_refusal_is_no_reason_to_ask_at_once_again(collector: TestCollector, caller: Caller) -> None:
    collector.token = "another"
    caller.held.advise({"watchdesk-hold": "20"})
    caller.until(lambda: caller.log.lines)
    assert "the collector answered 404" in caller.log.lines[0]
    before = len(caller.log.lines)
    for _ in range(10):
        caller.turn()
    assert len(caller.log.lines) == before
    assert caller.held.until > time.monotonic() + 0.5


def test_what_a_process_says_is_bounded(collector: TestCollector, caller: Caller) -> None:
    caller.code = (
        "print('C node_load1 5'); print('! rubbish'); print('? it broke')\n"
        "for n in range(500): print(f'C watchdesk_agent_diagnoses_total{{n=\"{n}\"}} 1')"
    )
    collector.waiting.put(b"x")
    caller.held.advise({"watchdesk-hold": "20"})
    caller.until(lambda: any("it broke" in line for line in caller.log.lines))
    caller.until(lambda: not caller.held._children)
    assert "node_load1" not in caller.held.readings()
    assert len(caller.held.readings()) == 64
    assert caller.events.drain() == []


def test_what_is_handed_over_arrives_whole() -> None:
    words: list[str] = []

    def start(given: list[str], *, stdin: int) -> Child:
        words.extend(given)
        assert os.read(stdin, 70_000) == b"y" * MAX_PIPE
        return Child(0, -1)

    starter(start)(["a"], b"y" * MAX_PIPE)
    assert words == ["a"]
    with pytest.raises(OSError, match="takes too little"):
        starter(start)(["a"], b"y" * (MAX_PIPE + 1))


def test_readings_go_on_while_a_call_is_held(collector: TestCollector, state: Path) -> None:
    collector.hold = 30
    with agent(state) as process:
        eventually(lambda: collector.calls > 0)
        rows = len(collector.rows())
        eventually(lambda: len(collector.rows()) > rows + 2)
        assert process.stop() == 0
