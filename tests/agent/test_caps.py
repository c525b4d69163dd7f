"""What the agent allows itself: it slows down, starts over, and says so."""

from pathlib import Path

import pytest

from agent.caps import CPU, MEMORY, PATIENCE, WINDOW, Caps, on_battery
from agent.config import parse
from agent.errors import ConfigError
from tests.agent.collector import TestCollector
from tests.agent.helpers import agent, eventually

MAINS = 'node_power_supply_online{power_supply="AC"}'
BATTERY = 'node_power_supply_info{power_supply="BAT0",status="%s",technology="Li-ion"}'


def caps() -> Caps:
    return Caps(max_memory=100, max_cpu=0.1, slow_on_battery=True)


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        ({}, False),
        ({MAINS: 1.0, BATTERY % "Discharging": 1.0}, False),  # a weak charger
        ({MAINS: 0.0, BATTERY % "Discharging": 1.0}, True),
        ({BATTERY % "Discharging": 1.0}, True),
        ({BATTERY % "Full": 1.0}, False),
        ({MAINS: 0.0}, False),  # a server whose second power supply is unplugged
    ],
    ids=["none", "weak charger", "unplugged", "no mains told", "full", "no battery"],
)
def test_when_a_machine_runs_on_its_battery(readings: dict[str, float], expected: bool) -> None:
    assert on_battery(readings) is expected
    judged = caps()
    judged.see(readings, 0.0)
    assert judged.factor == (2.0 if expected else 1.0)


def test_the_battery_makes_no_difference_if_that_is_wished() -> None:
    judged = Caps(max_memory=100, max_cpu=0.1, slow_on_battery=False)
    judged.see({BATTERY % "Discharging": 1.0}, 0.0)
    assert judged.on_battery
    assert judged.factor == 1.0


def test_its_share_of_the_processor_is_counted_over_a_minute() -> None:
    judged = caps()
    judged.see({CPU: 50.0}, 0.0)  # what it took before is none of this
    judged.see({CPU: 59.0}, WINDOW / 2)
    assert judged.factor == 1.0
    judged.see({CPU: 50.0 + WINDOW * 0.2}, WINDOW)
    assert judged.share == pytest.approx(0.2)
    assert judged.factor == 2.0
    judged.see({CPU: 50.0 + WINDOW * 0.25}, 2 * WINDOW)
    assert judged.factor == 1.0


def test_memory_is_lost_only_when_it_stays() -> None:
    judged = caps()
    for _ in range(PATIENCE - 1):
        judged.see({MEMORY: 101.0}, 0.0)
    judged.see({MEMORY: 99.0}, 0.0)
    for _ in range(PATIENCE):
        assert not judged.exhausted
        judged.see({MEMORY: 101.0}, 0.0)
    assert judged.exhausted


def test_an_agent_over_its_memory_starts_over_and_says_so(collector: TestCollector, state: Path) -> None:
    with agent(state, config="interval = 1\nmax_memory = 1M\n") as process:
        eventually(lambda: len(collector.said(1)) > 1)
        assert process.alive
        events = [event for event in collector.said(4) if event["type"] == "agent"]
        assert "1 allowed" in str(events[0]["text"])
        assert collector.said(5)[0]["reason"] == "restart"
        assert collector.latest("watchdesk_agent_slowed") == 0.0


@pytest.mark.parametrize(
    "line", ["max_cpu = 0", "max_cpu = 200%", "max_cpu = much", "max_memory = 1", "on_battery = off"]
)
def test_bounds_of_the_bounds(line: str) -> None:
    with pytest.raises(ConfigError, match="line 1"):
        parse(line, "agent.conf", ())


def test_percents_and_sizes() -> None:
    config = parse("max_cpu = 2.5%\nmax_memory = 32M\nmax_bandwidth = 64K\non_battery = same\n", "agent.conf", ())
    assert (config.max_cpu, config.max_memory, config.max_bandwidth) == (0.025, 32 << 20, 64 << 10)
