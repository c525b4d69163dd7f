"""The failing machine of a drill: its readings follow the state file, and nothing else can raise a ticket."""

from itertools import pairwise
from pathlib import Path

import pytest

from agent.probes.drill import FILL_SECONDS, KINDS, drill
from agent.probes.host import Host
from tests.agent.collector import TestCollector
from tests.agent.helpers import Clock, agent, eventually

DISK = '{device="/dev/drill",fstype="ext4",mountpoint="/drill"}'


class Machine:
    """A drill with a hand on its state file and its clock."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.file = folder / "state"
        self.clock = Clock(50.0)
        self.probe = drill(kind, str(self.file), self.clock)

    def read(self, word: str, after: float = 1.0) -> dict[str, float]:
        self.file.write_text(word)
        self.clock.now += after
        return dict(self.probe.read(Host()))


def used(readings: dict[str, float]) -> float:
    size, free = readings["node_filesystem_size_bytes" + DISK], readings["node_filesystem_avail_bytes" + DISK]
    return 1 - free / size


def test_disk_full_fills_and_recovers(tmp_path: Path) -> None:
    machine = Machine("disk-full", tmp_path)
    assert used(machine.read("healthy")) == pytest.approx(0.70)
    filling = [used(machine.read("fault")) for _ in range(8)]
    assert filling == sorted(filling)
    assert filling[0] == pytest.approx(0.70)
    assert used(machine.read("fault\n", FILL_SECONDS)) == pytest.approx(0.98)
    assert used(machine.read("healthy")) == pytest.approx(0.70)


def test_cpu_is_busy_while_it_fails(tmp_path: Path) -> None:
    machine = Machine("cpu", tmp_path)

    def busy(word: str) -> float:
        before = machine.read(word, 0.0)
        after = machine.read(word, 10.0)
        idle = 'node_cpu_seconds_total{cpu="0",mode="idle"}'
        total = sum(after[series] - before[series] for series in before)
        assert total == pytest.approx(10.0)
        return 1 - (after[idle] - before[idle]) / total

    assert busy("healthy") == pytest.approx(0.05)
    assert busy("fault") == pytest.approx(0.97)
    assert busy("healthy") == pytest.approx(0.05)


def test_service_dead(tmp_path: Path) -> None:
    machine = Machine("service-dead", tmp_path)

    def states(word: str) -> set[str]:
        readings = machine.read(word)
        return {series for series, value in readings.items() if "systemd_unit_state" in series and value == 1}

    unit = 'node_systemd_unit_state{name="drill.service",state="%s",type="simple"}'
    assert states("healthy") == {unit % "active"}
    assert states("fault") == {unit % "failed"}


def test_flapping_goes_over_and_under(tmp_path: Path) -> None:
    machine = Machine("flapping", tmp_path)
    machine.read("fault", 0.0)
    levels = [round(used(machine.read("fault")), 2) for _ in range(12)]
    assert set(levels) == {0.7, 0.98}
    changes = sum(before != after for before, after in pairwise(levels))
    assert changes >= 3
    assert used(machine.read("healthy")) == pytest.approx(0.70)


def test_host_down_is_a_plain_machine(tmp_path: Path) -> None:
    readings = Machine("host-down", tmp_path).read("fault")
    assert {series.partition("{")[0] for series in readings} == {"node_cpu_seconds_total"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("word", ["", "nonsense", "FAULT", "\0\xff"])
def test_any_other_word_is_healthy(kind: str, word: str, tmp_path: Path) -> None:
    machine = Machine(kind, tmp_path)
    assert machine.read(word).keys() == machine.read("healthy").keys()
    machine.file.unlink()
    assert dict(machine.probe.read(Host())).keys() == machine.read("fault").keys()


def test_a_real_agent_follows_the_state_file(collector: TestCollector, state: Path, tmp_path: Path) -> None:
    word = tmp_path / "word"
    avail = "node_filesystem_avail_bytes" + DISK
    with agent(state, config=f"interval = 1\ndrill = disk-full\ndrill_state = {word}\n"):
        eventually(lambda: collector.latest(avail))
        healthy = collector.latest(avail)
        assert healthy is not None
        word.write_text("fault")
        eventually(lambda: (collector.latest(avail) or healthy) < healthy / 2)
        word.write_text("healthy")
        eventually(lambda: collector.latest(avail) == healthy)
    values = collector.rows()[-1].values
    mounts = {series for series in values if series.startswith("node_filesystem_size_bytes")}
    assert mounts == {"node_filesystem_size_bytes" + DISK}
    assert "node_load1" in values
