"""`kill -9` of the collector at any moment: what was acknowledged is evaluated once, each cause has one ticket."""

import itertools
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.log import MergedReader, Record
from tests.e2e.desk import Desk, eventually
from tests.e2e.desk import desk as run_desk
from tests.faults.model import SERIES, Model
from tests.faults.sender import Sender

RULE = "groups: [{name: fault, rules: [{alert: High, expr: fault_level > 50, labels: {severity: warning}}]}]\n"
FAILED_BEFORE: tuple[int, ...] = ()  # seeds that once failed stay here


def records(desk: Desk) -> Iterator[Record]:
    reader = MergedReader(desk.data / "log")
    while (block := reader.read_block(1 << 62)) is not None:
        yield from block.records()


def prepare(desk: Desk) -> None:
    (desk.data / "rules").mkdir(parents=True)
    (desk.data / "rules" / "fault.yml").write_text(RULE)
    desk.configure("agents: {tls: false}\nrules: {packs: [], snapshot_seconds: 1}\n")


def opened(desk: Desk) -> Counter[str]:
    """How many tickets each phase has."""
    found = desk.incidents(alertname="High")
    return Counter(SERIES % int(one["labels"]["phase"]) for one in found)


def run(desk: Desk, seed: int, cycles: int) -> None:
    """Push, kill, start again; then hold what is left against the model."""
    chance = random.Random(seed)
    prepare(desk)
    collector = desk.serve()
    token = (desk.agent("pc1").state / "token").read_text().strip()
    sender = Sender(desk.port + 1, token, chance)
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
    sender.drain()
    last = sender.acknowledged
    time.sleep(1.5)  # for a tick behind the last frame
    collector.stop()
    model = Model().run(records(desk))
    device = next(iter(model.frames))[0]
    taken = {seq for (_, epoch, seq), _ in model.frames.items() if epoch == sender.epoch}
    told = f"seed {seed}"
    assert last == set(range(1, sender.sent + 1)), told
    assert last <= taken, f"{told}: acknowledged and not in the log: {sorted(last - taken)[:9]}"
    assert max(model.frames.values()) == 1, f"{told}: taken twice: {model.frames.most_common(3)} of {device}"
    assert model.fired, told
    assert opened(desk) == Counter(model.fired), told
    report = json.loads(desk.command("replay", "--json", check=False).stdout)
    assert report["same"], f"{told}: {report}"


@pytest.fixture
def seed() -> int:
    return int(os.environ.get("WATCHDESK_SEED", random.SystemRandom().randrange(1 << 32)))


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
