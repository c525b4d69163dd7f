"""Probes that raise, hang, dawdle, flood or have nothing to say; the others must not notice."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from agent.probes import NoData, Probe
from agent.probes.host import Host, read_text
from agent.runner import ASK_AGAIN, MAX_ABANDONED, MAX_SERIES, Runner
from agent.wire import MAX_SERIES_LENGTH
from tests.agent.helpers import Clock, Lines, eventually

Read = Callable[[Host], Iterable[tuple[str, float]]]


def probe(name: str, read: Read, *, blocks: bool = False) -> Probe:
    return Probe(name, read, blocks=blocks)


def good(name: str = "good", *, blocks: bool = False) -> Probe:
    return probe(name, lambda _host: [(f"node_{name}", 1.0)], blocks=blocks)


def runner(*probes: Probe, log: Lines | None = None, clock: Clock | None = None, patience: float = 0.05) -> Runner:
    return Runner(probes, Host(), log or Lines(), monotonic=clock or time.monotonic, patience=patience)


def success(readings: dict[str, float], name: str) -> float | None:
    return readings.get(f'watchdesk_probe_success{{probe="{name}"}}')


def fails(_host: Host) -> Iterator[tuple[str, float]]:
    yield "node_half", 1.0
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize("blocks", [False, True])
def test_one_that_raises_is_counted_and_gives_nothing(blocks: bool) -> None:
    log = Lines()
    made = runner(probe("bad", fails, blocks=blocks), good(), log=log)
    for _ in range(3):
        readings = made.read()
        assert (success(readings, "bad"), success(readings, "good")) == (0.0, 1.0)
        assert "node_half" not in readings
        assert readings["node_good"] == 1.0
    assert sum("probe failed" in line for line in log.lines) == 1


@pytest.mark.parametrize("error", [RecursionError, MemoryError, UnicodeDecodeError("utf-8", b"", 0, 1, "x"), KeyError])
def test_whatever_it_raises(error: Exception) -> None:
    def raises(_host: Host) -> Iterator[tuple[str, float]]:
        raise error

    assert success(runner(probe("bad", raises)).read(), "bad") == 0.0


def test_no_data_is_neither_success_nor_failure_and_is_not_asked_each_time() -> None:
    asked = []

    def nothing(_host: Host) -> Iterator[tuple[str, float]]:
        asked.append(1)
        raise NoData("nothing here")

    made = runner(probe("none", nothing), good())
    for _ in range(ASK_AGAIN * 2):
        assert success(made.read(), "none") is None
    assert len(asked) == 2
    assert made.outcomes["none"].state == "no data"


def test_its_time_is_told() -> None:
    clock = Clock(100.0)

    def slow(_host: Host) -> Iterator[tuple[str, float]]:
        clock.now += 0.25
        yield "node_slow", 1.0

    readings = runner(probe("slow", slow), clock=clock).read()
    assert readings['watchdesk_probe_duration_seconds{probe="slow"}'] == 0.25


class Stuck:
    """A probe that hangs until it is let go; `value` is what it reads then."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.entered = 0
        self.value = 7.0
        self.hangs = True

    def __call__(self, _host: Host) -> Iterator[tuple[str, float]]:
        self.entered += 1
        if self.hangs:
            self.let_go.wait(30)
        yield "node_stuck", self.value


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    made = Stuck()
    yield made
    made.let_go.set()


def test_one_that_hangs_is_abandoned_and_the_others_are_on_time(stuck: Stuck) -> None:
    clock = Clock(100.0)
    log = Lines()
    made = runner(probe("stuck", stuck, blocks=True), good("other", blocks=True), good(), clock=clock, log=log)
    readings = made.read()
    assert (readings["node_other"], readings["node_good"]) == (1.0, 1.0)
    assert made.outcomes["stuck"].state == "late"
    clock.now += 5.1
    readings = made.read()
    assert success(readings, "other") == 1.0
    assert any("probe abandoned" in line for line in log.lines)
    clock.now += 5.1
    for _ in range(10):
        clock.now += 5.1
        readings = made.read()
    assert success(readings, "stuck") == 0.0
    assert stuck.entered == MAX_ABANDONED  # no more threads than that are left behind
    stuck.hangs = False
    stuck.let_go.set()
    eventually(lambda: success(made.read(), "stuck") == 1.0)


def test_a_slow_one_repeats_its_last_values_until_it_has_new_ones(stuck: Stuck) -> None:
    clock = Clock(100.0)
    stuck.hangs = False
    made = runner(probe("stuck", stuck, blocks=True), clock=clock)
    assert made.read()["node_stuck"] == 7.0
    stuck.hangs = True
    stuck.value = 8.0
    clock.now += 1
    readings = made.read()
    assert (readings["node_stuck"], success(readings, "stuck")) == (7.0, 1.0)
    stuck.let_go.set()
    eventually(lambda: made.read()["node_stuck"] == 8.0)


def test_a_fifo_in_the_place_of_a_file(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def reads(_host: Host) -> Iterator[tuple[str, float]]:
        yield "node_fifo", float(read_text(str(fifo)))

    made = runner(probe("fifo", reads, blocks=True), good())
    assert made.read()["node_good"] == 1.0
    fifo.write_text("3")  # lets the thread go; the next one waits again, and the value of this one is sent meanwhile
    eventually(lambda: made.read().get("node_fifo") == 3.0)
    fifo.write_text("4")


def test_a_flood_is_bounded_and_counted() -> None:
    def flood(_host: Host) -> Iterator[tuple[str, float]]:
        for number in range(100_000):
            yield f"node_flood_{number}", 1.0

    def long(_host: Host) -> Iterator[tuple[str, float]]:
        yield "n" * (MAX_SERIES_LENGTH + 1), 1.0
        yield "node_fits", 1.0

    made = runner(probe("flood", flood), probe("long", long))
    readings = made.read()
    assert sum(series.startswith("node_flood") for series in readings) == MAX_SERIES
    assert readings["node_fits"] == 1.0
    assert made.dropped == 100_000 - MAX_SERIES + 1


def test_no_thread_stays_when_nothing_hangs() -> None:
    before = len(list(Path("/proc/self/task").iterdir()))
    made = runner(good("one", blocks=True), good("two", blocks=True), patience=5)
    for _ in range(20):
        made.read()
    eventually(lambda: len(list(Path("/proc/self/task").iterdir())) <= before)
