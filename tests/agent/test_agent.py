"""Whole agents, real processes against a real collector: start, stop, kill, outage."""

import math
import os
import random
import signal
import struct
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from agent import wire
from agent.agent import Agent
from agent.config import Config
from agent.connection import Connection
from agent.endpoint import context, endpoint
from agent.probes import Probe
from agent.probes.host import Host
from agent.runner import Runner
from agent.spool import Spool
from agent.state import State
from agent.transport import Sender, Timing
from tests.agent.authority import Authority
from tests.agent.collector import SECRET, TOKEN, TestCollector, running
from tests.agent.helpers import AgentProcess, Clock, Lines, agent, command, eventually, idle_scout


def test_readings_arrive_with_everything_that_makes_them_understood(collector: TestCollector, state: Path) -> None:
    with agent(state) as process:
        eventually(lambda: len(collector.rows()) >= 3)
        rows = collector.rows()
        assert [row.seq for row in rows[:3]] == [2, 3, 4]  # hello is 1
        values = rows[-1].values
        assert values["node_load1"] >= 0
        assert values["node_memory_MemTotal_bytes"] > 1e6
        assert values['watchdesk_probe_success{probe="cpu"}'] == 1
        assert abs(values["watchdesk_clock_offset_seconds"]) < 5
        assert values["watchdesk_spool_bytes"] == 0
        assert values["watchdesk_agent_resident_memory_bytes"] > 1e6
        assert process.stop() == 0
    (hello,) = collector.said(wire.Kind.HELLO)
    assert hello["reason"] == "start"
    assert hello["interval"] == 1
    assert hello["os"] == "linux"
    assert float(str(hello["boot"])) < float(str(hello["started"])) <= rows[0].time
    assert collector.said(wire.Kind.GOODBYE) == [{"reason": "stop", "ttl": 300.0}]
    assert not collector.taken.twice


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_says_goodbye_with_the_configured_time(
    collector: TestCollector, state: Path, number: signal.Signals
) -> None:
    with agent(state, config="interval = 1\ngoodbye_ttl = 42\n") as process:
        eventually(lambda: collector.rows())
        os.kill(process.pid, number)
        assert process.wait() == 0
    assert collector.said(wire.Kind.GOODBYE) == [{"reason": "stop", "ttl": 42.0}]


def test_it_knows_how_it_ended_last_time(collector: TestCollector, state: Path) -> None:
    def reason() -> object:
        known = len(collector.said(wire.Kind.HELLO))
        with agent(state) as process:
            eventually(lambda: len(collector.said(wire.Kind.HELLO)) > known)
            process.stop()
        return collector.said(wire.Kind.HELLO)[-1]["reason"]

    assert reason() == "start"
    assert reason() == "start"
    with agent(state) as process:
        eventually(lambda: len(collector.said(wire.Kind.HELLO)) == 3)
        process.kill()
    assert reason() == "crash"
    last = State(str(state)).read("last") or ""
    State(str(state)).write("last", last.replace("version = ", "version = 0."))
    assert reason() == "update"
    State(str(state)).write("last", "state = running\nboot = another\nversion = 0\n")
    assert reason() == "boot"


def test_an_outage_loses_nothing_over_a_restart(collector: TestCollector, state: Path) -> None:
    with agent(state) as process:
        eventually(lambda: collector.rows())
        collector.stop()
        spool = state / "spool"
        eventually(lambda: sum(file.stat().st_size for file in spool.glob("*.wds")) > 0)
        time.sleep(2)
        assert process.stop() == 0
    with agent(state):
        time.sleep(1.5)
        collector.start()
        eventually(lambda: len(collector.said(wire.Kind.HELLO)) == 2 and not list(spool.glob("*.wds")))
    rows = collector.rows()
    assert [row.seq for row in rows] == sorted(row.seq for row in rows)  # a clean stop: one epoch
    assert {row.epoch for row in rows} == {rows[0].epoch}
    taken = [key[1] for key in collector.taken.order]
    assert taken == list(range(1, len(taken) + 1))
    assert [goodbye["reason"] for goodbye in collector.said(wire.Kind.GOODBYE)] == ["stop"]


def test_kill_9_loses_no_more_than_the_batch_of_the_moment(collector: TestCollector, state: Path) -> None:
    """Reliability row 1, a tenth of it: what the spool had synced is taken once, and numbers never come again."""
    seed = int(os.environ.get("WATCHDESK_SEED", "5"))
    rng = random.Random(seed)
    on_disk: set[tuple[int, int]] = set()
    for number in range(20):
        away = number % 3 != 2
        if away:
            collector.stop()
        with agent(state, config="interval = 1\nlog_level = debug\n") as process:
            time.sleep(rng.uniform(0.05, 1.6))
            process.kill()
        on_disk |= _on_disk(state)
        if away:
            collector.start()
    with agent(state):
        eventually(lambda: not list((state / "spool").glob("*.wds")) and len(collector.rows()) > 0)
    taken = set(collector.taken.frames)
    assert on_disk <= taken, f"seed {seed}"
    assert not collector.taken.changed, f"seed {seed}"
    epochs = [epoch for epoch, _ in collector.taken.order]
    assert epochs == sorted(epochs), f"seed {seed}"


def _on_disk(state: Path) -> set[tuple[int, int]]:
    found = set()
    for file in (state / "spool").glob("*.wds"):
        frames = wire.salvage(file.read_bytes())
        found |= {(frame.epoch, frame.seq) for frame in frames if not isinstance(frame, int) and frame.seq}
    return found


@pytest.mark.soak
def test_kill_9_two_hundred_times(collector: TestCollector, state: Path) -> None:
    for number in range(200):
        with agent(state, config="interval = 1\n") as process:
            started = time.monotonic()
            known = len(collector.rows())
            eventually(lambda known=known: len(collector.rows()) > known)  # type: ignore[misc]
            assert time.monotonic() - started < 5, number
            time.sleep(random.uniform(0, 0.3))
            process.kill()
    assert not collector.taken.changed


def test_a_collector_that_hangs_does_not_delay_the_readings(collector: TestCollector, state: Path) -> None:
    let_go = threading.Event()

    def hangs(_handler: object, _push: object) -> bool:
        return let_go.wait(60) and False

    collector.behave = hangs
    with agent(state, config="interval = 1\ntimeout = 30\n"):
        eventually(lambda: len(_on_disk(state)) >= 4)
        let_go.set()
        eventually(lambda: len(collector.rows()) >= 4)
    times = [row.time for row in collector.rows()]
    assert all(after - before < 10 for before, after in pairwise(times)), times  # one waits 30 s for an answer


def test_another_ca_gets_nothing(state: Path, collector: TestCollector) -> None:
    collector.stop()
    with running(Authority()) as impostor:
        enrolment = (state / "enrolment").read_text()
        (state / "enrolment").write_text(enrolment.replace(str(collector.port), str(impostor.port)))
        with agent(state) as process:
            eventually(lambda: "is not trusted" in process.log())
            process.stop()
        assert impostor.pushes == []
        assert impostor.connections > 0
    assert _on_disk(state)


def test_the_log_holds_no_secret(collector: TestCollector, state: Path) -> None:
    with agent(state, config="interval = 1\nlog_level = debug\n") as process:
        eventually(lambda: collector.rows())
        collector.token = "another"
        eventually(lambda: "enrol again" in process.log())
        process.stop()
        assert TOKEN not in process.log()
        assert SECRET not in process.log()
        assert all(line.startswith("ts=") for line in process.log().splitlines())


def test_one_agent_at_a_time(collector: TestCollector, state: Path) -> None:
    with agent(state):
        eventually(lambda: collector.rows())
        second = command("run", state=state)
        assert second.returncode == 1
        assert "an agent is running" in second.stderr


def test_a_wrong_configuration_is_told_with_its_line(state: Path) -> None:
    (state / "agent.conf").write_text("interval = 5\nprobe.cup = off\n")
    done = command("run", state=state)
    assert done.returncode == 1
    assert f"{state}/agent.conf, line 2: no probe cup" in done.stderr
    assert done.stderr.count("\n") == 1


def test_probes_can_be_switched_off(collector: TestCollector, state: Path) -> None:
    with agent(state, config="interval = 1\nprobe.load = off\nprobe.cpu = on\n"):
        eventually(lambda: collector.rows())
    values = collector.rows()[0].values
    assert "node_load1" not in values
    assert "node_context_switches_total" in values


def test_it_steps_back(collector: TestCollector, state: Path) -> None:
    with agent(state, config="interval = 1\nnice = 7\n") as process:
        eventually(lambda: collector.rows())
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == max(7, os.nice(0))
        assert Path(f"/proc/{process.pid}/oom_score_adj").read_text().strip() == "500"
        mode = next(line for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if "Umask" in line)
        assert mode.split()[1] == "0077"


def inside(collector: TestCollector, folder: Path, probe: Probe, clock: Clock) -> Agent:
    """An agent in this process, with a clock that is set by hand."""
    assert collector.authority is not None
    log = Lines()
    connection = Connection(endpoint(collector.url), context(collector.authority.pem))
    spool = Spool(str(folder / "spool"), log, clock, limit_bytes=1 << 30, limit_age=7 * 86_400)
    timing = Timing(first_retry=0.05, last_retry=0.1, pace=0.0)
    sender = Sender(connection, TOKEN, spool, log, timing=timing, clock=clock, random=lambda: 0.5)
    config = Config()
    config.max_memory = 1 << 40  # it is the test's own process
    config.interval = 0.05
    runner = Runner([probe], Host(clock=clock), log)
    return Agent(
        config, State(str(folder)), runner, sender, log, scout=idle_scout(), interval=1.0, boot=1.0, clock=clock
    )


def test_a_clock_that_jumps_changes_times_and_nothing_else(collector: TestCollector, tmp_path: Path) -> None:
    clock = Clock(time.time())
    probe = Probe("now", lambda host: [("node_now", host.clock())], blocks=False)
    made = inside(collector, tmp_path, probe, clock)
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        for jump in (3_600.0, -86_400.0, 86_400.0, -3_600.0):
            known = len(collector.rows())
            eventually(lambda known=known: len(collector.rows()) >= known + 3)  # type: ignore[misc]
            clock.now += jump
        known = len(collector.rows())
        eventually(lambda: len(collector.rows()) >= known + 3)
    finally:
        made.stop("restart", 9.0)
        thread.join(10)
    assert collector.said(wire.Kind.GOODBYE) == [{"reason": "restart", "ttl": 9.0}]
    seqs = [key[1] for key in collector.taken.order]
    assert seqs == list(range(1, len(seqs) + 1))
    told = [row.values["watchdesk_clock_offset_seconds"] for row in collector.rows()]
    offsets = {round(offset / 3_600) for offset in told if not math.isnan(offset)}  # none before the first answer
    assert {0, 1, -23} <= offsets


def test_a_reading_that_is_no_number_has_no_value(collector: TestCollector, tmp_path: Path) -> None:
    values = iter([1.0, float("nan"), float("inf")] + [2.0] * 1_000)
    probe = Probe("odd", lambda _host: [("node_odd", next(values))], blocks=False)
    made = inside(collector, tmp_path, probe, Clock(time.time()))
    thread = threading.Thread(target=made.run)
    thread.start()
    eventually(lambda: len(collector.rows()) > 3)
    made.stop()
    thread.join(10)
    found = [row.values["node_odd"] for row in collector.rows()][:4]
    assert struct.pack("<4d", *found) == struct.pack("<4d", 1.0, float("nan"), float("inf"), 2.0)


@pytest.mark.soak
def test_an_hour_without_growth(collector: TestCollector, state: Path) -> None:
    """3,600 readings, each sent, with an outage of a minute in every ten."""

    def resident() -> int:
        return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * 4

    with agent(state, config="interval = 1\n") as process:
        time.sleep(300)
        before = resident()
        for _ in range(6):
            time.sleep(540)
            collector.stop()
            time.sleep(60)
            collector.start()
        assert resident() - before < 512


def test_a_changed_configuration_is_taken_without_a_new_process(collector: TestCollector, state: Path) -> None:
    with agent(state, config="interval = 1\n") as process:
        eventually(collector.rows)
        (state / "agent.conf").write_text("interval = 2\nprobe.load = off\n")
        os.kill(process.pid, signal.SIGHUP)
        eventually(lambda: collector.said(wire.Kind.GOODBYE))
        assert collector.said(wire.Kind.GOODBYE)[0]["reason"] == "restart"
        eventually(lambda: collector.rows()[-1].values.get("node_load1") is None)
        assert process.alive
        assert collector.said(wire.Kind.HELLO)[-1]["interval"] == 2.0
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == 5


def test_a_wrong_configuration_changes_nothing_and_is_told(collector: TestCollector, state: Path) -> None:
    with agent(state, config="interval = 1\n") as process:
        eventually(collector.rows)
        (state / "agent.conf").write_text("interval = 1\nintervall = 2\n")
        os.kill(process.pid, signal.SIGHUP)
        eventually(lambda: "line 2" in process.log())
        eventually(lambda: collector.latest("watchdesk_agent_config_last_reload_successful") == 0.0)
        assert "line 2" in command("status", state=state).stdout
        process.kill()
        process = AgentProcess(state, config="interval = nonsense\n")  # it starts with the last one that was good
        try:
            before = len(collector.rows())
            eventually(lambda: len(collector.rows()) > before)
            assert "line 1" in process.log()
            (state / "agent.conf").write_text("interval = 1\n")
            os.kill(process.pid, signal.SIGHUP)
            eventually(lambda: collector.latest("watchdesk_agent_config_last_reload_successful") == 1.0)
        finally:
            process.close()


def test_before_the_machine_sleeps_it_says_goodbye_and_goes_on(collector: TestCollector, state: Path) -> None:
    with agent(state) as process:
        eventually(collector.rows)
        os.kill(process.pid, signal.SIGUSR2)
        eventually(lambda: collector.said(wire.Kind.GOODBYE))
        assert collector.said(wire.Kind.GOODBYE)[0]["reason"] == "sleep"
        before = len(collector.rows())
        eventually(lambda: len(collector.rows()) > before)
        assert process.stop() == 0
