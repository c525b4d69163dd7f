"""Remote diagnosis: from the breaching sample to the finding in the ticket, and what it costs the agent."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figure import Figure
from tests.bench.path import _push
from tests.e2e.desk import Agent, Desk, eventually
from ticketing.diagnosis.asked import State
from ticketing.scope import EVERYTHING

FAULTS = 50
COUNT = "watchdesk_agent_diagnosis_cpu_seconds_total"
RULE = """groups: [{name: bench, rules: [{alert: Breach, expr: bench_value > 0, labels: {severity: warning},
  annotations: {diagnosis: memory.by_process}}]}]
"""


def run() -> Iterator[Figure]:
    """Let a series of a device with a real agent breach again and again, and wait for what the agent found."""
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        desk.configure("diagnosis: {device: 10000, customer: 10000}\n")
        (desk.data / "rules").mkdir(parents=True)
        (desk.data / "rules" / "bench.yml").write_text(RULE)
        try:
            yield from _measure(desk)
        finally:
            desk.end()


def _measure(desk: Desk) -> Iterator[Figure]:
    desk.serve()
    agent = desk.agent("bench")
    (agent.state / "policy.toml").write_text('names = "allow"\nbudget = 10000\n')
    agent.configure("interval = 1\nheavy.delay = 3600\n")  # what heavy readings bring is no part of it
    process = agent.start()
    eventually(lambda: f"{agent.name}.hq.acme" in desk.scrape("/metrics/fleet"))
    time.sleep(8)  # until the collector has advised it to hold a call
    before = _memory(process.pid)
    token = (agent.state / "token").read_text().strip()
    values = [0.0] * FAULTS
    seconds: list[float] = []
    for number in range(FAULTS):
        _push(desk, token, values)
        time.sleep(0.2)
        values[number] = 1.0
        began = time.perf_counter()
        _push(desk, token, values)
        eventually(lambda: _done(desk) > len(seconds), seconds=60)
        seconds.append(time.perf_counter() - began)
    cuts = statistics.quantiles(seconds, n=100)
    yield Figure("diagnosis.alert_to_finding_p50_ms", cuts[49] * 1000, "ms", n=FAULTS)
    yield Figure("diagnosis.alert_to_finding_p99_ms", cuts[98] * 1000, "ms", n=FAULTS)
    time.sleep(3)
    cpu = _counter(desk, agent)
    yield Figure("diagnosis.agent_cpu_ms", None if cpu is None else cpu * 1000 / FAULTS, "ms", n=FAULTS,
                 why=None if cpu is not None else f"no {COUNT} has arrived")  # fmt: skip
    yield Figure("diagnosis.agent_memory_kib", _memory(process.pid) - before, "KiB", n=FAULTS)


def _done(desk: Desk) -> int:
    """Return how many diagnoses have come to their end; `incidents` opens the database."""
    desk.incidents()
    assert desk._store is not None
    device = 2  # after the collector itself
    found = desk._store.diagnoses.of_device(EVERYTHING, device, 10_000)
    return sum(one.state is State.DONE for one in found)


def _counter(desk: Desk, agent: Agent) -> float | None:
    lines = desk.scrape("/metrics/fleet").splitlines()
    found = [line for line in lines if line.startswith(COUNT) and f'"{agent.name}.hq.acme"' in line]
    return float(found[0].split()[-1]) if found else None


def _memory(pid: int) -> float:
    """Return the private memory of the running agent, in KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return float(sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty")))
