"""`kill -9` of the collector at any moment: what was acknowledged is evaluated once, each cause has one ticket."""

import itertools
import random
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.desk import Desk, eventually
from tests.e2e.desk import desk as run_desk
from tests.faults.checking import judge, prepare, token
from tests.faults.seeds import new_seed
from tests.faults.sender import Sender

FAILED_BEFORE: tuple[int, ...] = ()  # seeds that once failed stay here


def run(desk: Desk, seed: int, cycles: int) -> None:
    """Push, kill, start again; then hold what is left against the model."""
    chance = random.Random(seed)
    prepare(desk)
    sender = Sender(desk.port + 1, token(desk), chance)
    collector = desk.serve()
    for _ in range(cycles):
        end = time.monotonic() + chance.uniform(0.0, 0.8)
        while time.monotonic() < end:
            sender.read()
            sender.push()
            time.sleep(chance.choice([0.0, 0.01, 0.1]))
        collector.signal(signal.SIGKILL)
        collector.end()
        sender.read()
        assert sender.push() == 0
        collector = desk.serve()
    judge(desk, sender, f"seed {seed}")


@pytest.fixture
def seed() -> int:
    return new_seed()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("failed", [None, *FAILED_BEFORE])
def test_kill_of_the_collector(tmp_path: Path, seed: int, failed: int | None) -> None:
    with run_desk(tmp_path) as desk:
        run(desk, failed or seed, cycles=6)


@pytest.mark.soak
def test_three_hundred_kills(tmp_path: Path, seed: int) -> None:
    for part in itertools.count():
        (tmp_path / str(part)).mkdir()
        with run_desk(tmp_path / str(part)) as desk:
            run(desk, seed + part, cycles=30)
        if part == 9:
            return


def test_a_stopped_collector_declares_nobody_silent_when_it_goes_on(tmp_path: Path) -> None:
    with run_desk(tmp_path) as desk:
        (desk.data / "rules").mkdir(parents=True)
        silent = "{alert: Silent, expr: 'up{instance=~\"pc1.*\"} == 0', labels: {severity: critical}}"
        (desk.data / "rules" / "own.yml").write_text(f"groups: [{{name: own, rules: [{silent}]}}]\n")
        collector = desk.serve()
        desk.agent("pc1").start()
        eventually(lambda: "node_load1{" in desk.scrape("/metrics/fleet"))
        collector.signal(signal.SIGSTOP)
        time.sleep(7)  # longer than the silence after which an agent of one second is not up
        collector.signal(signal.SIGCONT)
        eventually(lambda: "pc1" in desk.scrape("/metrics/fleet"))
        time.sleep(3)
        assert desk.incidents(alertname="Silent") == []
