"""The sender against a real collector: what it does with each answer, and that nothing is lost or doubled."""

import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import wire
from agent.batch import Layout
from agent.connection import Connection
from agent.endpoint import context, endpoint
from agent.loop import complete, wait
from agent.spool import Spool
from agent.transport import Sender, Timing, deflate, jitter
from tests.agent.collector import TOKEN, Behaviour, Push, TestCollector, _Handler
from tests.agent.helpers import Clock, Lines

TIMING = Timing(timeout=2.0, first_retry=0.02, last_retry=0.05, unauthorized=0.05, pace=0.0)


class Bench:
    """A sender with its spool and a layout, driven by hand."""

    def __init__(self, collector: TestCollector, folder: Path, token: str = TOKEN) -> None:
        self.log = Lines()
        self.spool = Spool(str(folder), self.log, time.time, limit_bytes=1 << 30, limit_age=1e9)
        self.spool.open()
        trust = context(collector.authority.pem) if collector.authority else None
        self.connection = Connection(endpoint(collector.url), trust)
        self.sender = Sender(self.connection, token, self.spool, self.log, timing=TIMING, random=lambda: 0.5)
        self.layout = Layout()
        self.offered: list[float] = []

    def offer(self, value: float, **more: float) -> None:
        row = self.layout.row({"node_load1": value, **more}, value)
        payload = wire.encode_rows(self.layout.schema, [value], [row])
        self.sender.offer(wire.Kind.ROWS, payload, self.layout.schema, self.layout.payload)
        self.offered.append(value)

    def send(self) -> float:
        """Send one body; return the wait that was asked for."""
        return complete(self.sender.send_next())

    def finish(self, seconds: float = 10.0) -> None:
        """Drive the sender until the collector has everything."""
        until = time.monotonic() + seconds
        steps = self.sender.steps()
        want = next(steps)
        while not self.sender.idle:
            assert time.monotonic() < until, self.sender.last_error
            wait(want, want.until, -1, time.monotonic())
            want = next(steps)
        steps.close()


@pytest.fixture
def bench(collector: TestCollector, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(collector, tmp_path / "spool")
    yield made
    made.connection.close()


def times(collector: TestCollector) -> list[float]:
    return [row.time for row in collector.rows()]


def answer(status: int, times: int = 1, body: bytes = b"", **headers: str) -> Behaviour:
    """Answer so often with this; then go on as the protocol says."""
    left = [times]

    def behave(handler: _Handler, _push: Push) -> bool:
        if left[0] <= 0:
            return False
        left[0] -= 1
        handler.answer(status, body, **headers)
        return True

    return behave


def test_while_the_collector_answers_nothing_touches_the_disk(bench: Bench, collector: TestCollector) -> None:
    for number in range(5):
        bench.offer(float(number))
        assert bench.send() == 0.0
    assert times(collector) == bench.offered
    assert bench.spool.size == 0
    assert [len([frame for frame in push.frames if frame.kind == wire.Kind.SCHEMA]) for push in collector.pushes] == [
        1,
        0,
        0,
        0,
        0,
    ]
    assert collector.connections == 1


def test_a_new_schema_goes_before_the_first_rows_that_use_it(bench: Bench, collector: TestCollector) -> None:
    bench.offer(1.0)
    bench.send()
    bench.offer(2.0, node_load5=3.0)
    bench.send()
    assert [frame.kind for frame in collector.pushes[-1].frames] == [wire.Kind.SCHEMA, wire.Kind.ROWS]
    assert collector.rows()[-1].values == {"node_load1": 2.0, "node_load5": 3.0}


def test_a_collector_that_forgot_the_schema_gets_it_again(bench: Bench, collector: TestCollector) -> None:
    bench.offer(1.0)
    bench.send()
    collector.taken.schemas.clear()
    bench.offer(2.0)
    assert bench.send() == 0.0
    assert [push.status for push in collector.pushes] == [204, 409, 204]
    assert [frame.seq for frame in collector.pushes[-1].frames] == [0, 2]
    bench.offer(3.0)
    bench.send()
    assert times(collector)[-2:] == [2.0, 3.0]


def test_a_collector_that_always_wants_the_schema_does_not_get_a_storm(bench: Bench, collector: TestCollector) -> None:
    collector.behave = answer(409, 1000, b'{"need": ["0000000000000000"]}')
    bench.offer(1.0)
    bench.send()
    assert len(collector.pushes) == 2
    assert bench.sender.refused == 1


def test_an_outage_loses_nothing_and_the_backlog_comes_in_order(bench: Bench, collector: TestCollector) -> None:
    bench.offer(0.0)
    bench.send()
    collector.stop()
    for number in range(1, 30):
        bench.offer(float(number), **({"node_load5": 1.0} if number > 10 else {}))
        bench.send()
    assert bench.spool.size > 0
    assert not bench.sender.fresh
    collector.start()
    bench.finish()
    assert times(collector) == bench.offered
    assert not collector.taken.changed
    assert all(len(push.body) <= 1 << 20 for push in collector.pushes)


def outage(bench: Bench, batches: int) -> None:
    """Offer so many large batches, one after the other, that all of them end on the disk."""
    more = {f"node_filler_{number}": float(number) for number in range(4_000)}
    for _ in range(batches):
        bench.offer(float(len(bench.offered)), **more)
        bench.sender.keep()


def test_after_a_long_outage_what_is_new_goes_first(bench: Bench, collector: TestCollector) -> None:
    outage(bench, 60)
    bench.send()  # the collector is back: the first segment is through, and the rest too long to wait for
    before = len(collector.rows())
    assert 0 < before < 20
    for _ in range(3):
        bench.offer(float(len(bench.offered)))
        bench.send()
        assert times(collector)[-1] == bench.offered[-1]
        bench.send()
        assert times(collector)[-1] == float(before - 1) + sum(time < 60 for time in times(collector)[before:])
    bench.finish()
    assert sorted(times(collector)) == bench.offered
    assert [time for time in times(collector) if time < 60] == bench.offered[:60]
    assert not collector.taken.twice
    assert not collector.taken.changed


def test_what_is_new_does_not_wait_for_the_backlogs_pace(bench: Bench, collector: TestCollector) -> None:
    outage(bench, 60)
    collector.behave = answer(200, 1, b'{"pace": 60}')
    steps = bench.sender.steps()
    want = next(steps)
    while not bench.sender.pushes:
        wait(want, want.until, -1, time.monotonic())
        want = next(steps)
    assert bench.sender.pace == 60
    bench.offer(1e6)
    until = time.monotonic() + 10
    while 1e6 not in times(collector):
        assert time.monotonic() < until
        want = next(steps)
        wait(want, min(want.until, time.monotonic() + 0.1), -1, time.monotonic())
    steps.close()


def test_outage_after_outage_keeps_the_epochs_few_and_loses_nothing(bench: Bench, collector: TestCollector) -> None:
    for _ in range(12):
        outage(bench, 35)
        bench.send()
        bench.offer(float(len(bench.offered)))
        bench.send()
    bench.finish(60)
    assert sorted(times(collector)) == bench.offered
    assert len({row.epoch for row in collector.rows()}) <= 10
    assert not collector.taken.changed


def test_a_reply_that_was_lost_is_no_loss_and_no_double(bench: Bench, collector: TestCollector) -> None:
    lost = [3]

    def takes_and_hangs_up(handler: _Handler, push: Push) -> bool:
        if lost[0] <= 0:
            return False
        lost[0] -= 1
        handler._take(push)
        handler.raw(b"")
        return True

    collector.behave = takes_and_hangs_up
    for number in range(5):
        bench.offer(float(number))
        bench.send()
    bench.finish()
    assert times(collector) == bench.offered
    assert collector.taken.twice
    assert not collector.taken.changed


def test_one_bad_frame_costs_itself_alone(bench: Bench, collector: TestCollector) -> None:
    collector.stop()
    for number in range(6):
        bench.offer(float(number))
        bench.send()
    collector.start()

    def refuses_three(handler: _Handler, push: Push) -> bool:
        if any(frame.seq == 4 for frame in push.frames):
            handler.answer(400, b'{"error": "no", "path": "$.frames[0]"}')
            return True
        return False

    collector.behave = refuses_three
    bench.finish()
    assert times(collector) == [value for value in bench.offered if value != 3.0]
    assert bench.sender.refused == 1
    assert any("$.frames[0]: no" in line for line in bench.log.lines)
    bench.offer(9.0)
    bench.send()
    assert times(collector)[-1] == 9.0


def test_a_batch_that_is_too_large_is_dropped_and_counted(bench: Bench, collector: TestCollector) -> None:
    collector.behave = answer(413)
    bench.offer(1.0)
    bench.send()
    bench.offer(2.0)
    bench.send()
    assert times(collector) == [2.0]
    assert bench.sender.refused == 1


@pytest.mark.parametrize("status", [301, 302, 404, 500, 502, 503])
def test_any_other_answer_means_later(bench: Bench, collector: TestCollector, status: int) -> None:
    collector.behave = answer(status, 3, b"", Location="http://127.0.0.1:9/")
    bench.offer(1.0)
    assert bench.send() > 0
    assert bench.spool.size > 0
    bench.finish()
    assert times(collector) == [1.0]


@pytest.mark.parametrize(
    "data",
    [
        b"rubbish",
        b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nrubbish",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xfe",
        b"HTTP/1.1 204 No Content\r\n\r\nand more",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
        b"",
    ],
)
def test_rubbish_is_not_taken_for_an_acknowledgement(bench: Bench, collector: TestCollector, data: bytes) -> None:
    once = [data, data]

    def rubbish(handler: _Handler, _push: Push) -> bool:
        if not once:
            return False
        handler.raw(once.pop())
        return True

    collector.behave = rubbish
    bench.offer(1.0)
    assert bench.send() > 0
    bench.finish()
    assert times(collector) == [1.0]


def test_retry_after_is_kept_with_jitter_on_top(bench: Bench, collector: TestCollector) -> None:
    collector.behave = answer(503, 1, b"", Retry_After="30")
    bench.offer(1.0)
    assert 30 < bench.send() <= 45
    collector.behave = answer(429, 1, b"", Retry_After="999999999")
    assert bench.send() <= 3_600 * 1.5


def test_waits_grow_are_bounded_and_differ(collector: TestCollector, tmp_path: Path) -> None:
    collector.stop()
    waits = {}
    for share in (0.0, 0.999):
        bench = Bench(collector, tmp_path / str(share))
        bench.sender._random = Clock(share)
        bench.sender.timing = Timing(first_retry=1.0, last_retry=60.0)
        bench.offer(1.0)
        waits[share] = [bench.send() for _ in range(12)]
    assert waits[0.0][:4] == [0.5, 1.0, 2.0, 4.0]
    assert max(waits[0.999]) < 90
    assert all(few < many for few, many in zip(waits[0.0], waits[0.999], strict=True))


def test_an_unknown_token_is_tried_again_slowly_and_the_spool_kept(bench: Bench, collector: TestCollector) -> None:
    collector.token = "another"
    bench.sender.timing = Timing(unauthorized=300.0)
    bench.offer(1.0)
    assert bench.send() >= 300
    assert "enrol again" in bench.sender.last_error
    assert bench.spool.size > 0
    collector.token = TOKEN
    bench.sender.timing = TIMING
    bench.finish()
    assert times(collector) == [1.0]


def test_the_collectors_advice_is_taken_within_reason(bench: Bench, collector: TestCollector) -> None:
    for said, taken in ((15, 15.0), (0.001, 15.0), ("7", 15.0), (True, 15.0), (1e9, 15.0), (7.5, 7.5)):
        collector.advice = {"interval": said, "unknown": {"a": [1]}}
        bench.offer(1.0)
        assert bench.send() == 0.0
        assert bench.sender.interval == taken


@pytest.mark.parametrize("error", [-3600.0, 0.0, 86_400.0])
def test_the_clock_is_held_against_the_collectors(bench: Bench, collector: TestCollector, error: float) -> None:
    collector.clock_error = error
    bench.offer(1.0)
    bench.send()
    assert bench.sender.clock_offset == pytest.approx(-error, abs=1.0)


def test_deflate_is_used_when_it_pays(bench: Bench, collector: TestCollector) -> None:
    bench.offer(1.0)
    bench.send()
    bench.offer(1.0, **{f"node_zero_{number}": 0.0 for number in range(100)})
    bench.send()
    small, large = collector.pushes
    assert "Content-Encoding" not in small.headers
    assert large.headers["Content-Encoding"] == "deflate"
    assert large.bytes_on_wire < len(large.body) / 2


def test_deflate_is_zlibs_format() -> None:
    body = bytes(range(256)) * 1_000
    assert zlib.decompress(deflate(body)) == body


def test_a_batch_that_is_on_its_way_is_kept_when_the_next_is_taken(bench: Bench, collector: TestCollector) -> None:
    bench.offer(1.0)
    steps = bench.sender.send_next()
    next(steps)  # it is connecting
    bench.offer(2.0)
    assert bench.spool.size > 0
    complete(steps)
    bench.finish()
    assert times(collector) == [1.0, 2.0]
    assert not collector.taken.twice  # the first was acknowledged before the spool was sent


def test_goodbye_takes_what_waits_with_it(bench: Bench, collector: TestCollector) -> None:
    bench.offer(1.0)
    for want in bench.sender.goodbye(b'{"reason":"stop","ttl":5}', 2.0):
        wait(want, want.until, -1, time.monotonic())
    assert collector.said(wire.Kind.GOODBYE) == [{"reason": "stop", "ttl": 5}]
    assert times(collector) == [1.0]
    assert len(collector.pushes) == 1
    assert bench.spool.size == 0


def test_goodbye_to_nobody_is_left_in_the_spool(bench: Bench, collector: TestCollector) -> None:
    collector.stop()
    for want in bench.sender.goodbye(b'{"reason":"stop","ttl":5}', 1.0):
        wait(want, want.until, -1, time.monotonic())
    assert bench.spool.size > 0
    collector.start()
    bench.finish()
    assert collector.said(wire.Kind.GOODBYE) == [{"reason": "stop", "ttl": 5}]


def test_when_the_disk_takes_nothing_memory_is_bounded_and_losses_counted(
    bench: Bench, collector: TestCollector, tmp_path: Path
) -> None:
    collector.stop()
    (tmp_path / "spool").rename(tmp_path / "gone")
    wide = {f"node_wide_{number}": 1.0 for number in range(2_000)}
    for number in range(60):
        bench.offer(float(number), **wide)
    held = sum(len(item.frame) for item in bench.sender.fresh)
    assert held <= 400_000
    assert len(bench.sender.fresh) + bench.sender.dropped == 60
    (tmp_path / "gone").rename(tmp_path / "spool")
    collector.start()
    bench.finish()
    assert times(collector) == bench.offered[-len(times(collector)) :]
    assert len(times(collector)) + bench.sender.dropped == 60


def test_jitter_is_between_zero_and_one() -> None:
    draw = jitter(lambda size: b"\xff" * size)
    assert 0 <= jitter(bytes)() < draw() < 1


def test_a_backlog_keeps_to_the_bandwidth(bench: Bench, collector: TestCollector) -> None:
    bench.sender.timing = Timing(timeout=2.0, pace=0.0, bandwidth=1_000)
    outage(bench, 20)
    wait_asked = bench.send()
    assert wait_asked == pytest.approx(collector.pushes[0].bytes_on_wire / 1_000, rel=0.5)
    assert wait_asked > 0.1
