"""A network that refuses, hangs, cuts off and swallows answers: nothing is lost, nothing is taken twice, and those who
come back do not come all at once.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from pathlib import Path

import pytest

from agent.transport import Sender as AgentSender
from agent.transport import Timing
from tests.e2e.desk import Desk
from tests.e2e.desk import desk as run_desk
from tests.faults.checking import judge, prepare, token
from tests.faults.proxy import network
from tests.faults.seeds import new_seed
from tests.faults.sender import Sender

FAILED_BEFORE: tuple[int, ...] = ()  # seeds that once failed stay here
MODES = ("refuse", "silent", "no-reply", "cut", "slow")


def run(desk: Desk, seed: int, heals: int) -> None:
    """Break the network and mend it, again and again, under load."""
    chance = random.Random(seed)
    prepare(desk)
    secret = token(desk)
    desk.serve()
    with network(desk.port + 1, chance) as between:
        sender = Sender(between.port, secret, chance, timeout=0.5)
        for mode in itertools.islice(itertools.cycle(chance.sample(MODES, len(MODES))), heals):
            for between.mode in ("pass", mode):
                for _ in range(chance.randrange(2, 5)):
                    sender.read()
                    sender.push()
            between.cut()
        between.mode = "pass"
        sender.drain()
    judge(desk, sender, f"seed {seed}")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("failed", [None, *FAILED_BEFORE])
def test_five_heals(tmp_path: Path, failed: int | None) -> None:
    with run_desk(tmp_path) as desk:
        run(desk, failed or new_seed(), heals=5)


@pytest.mark.soak
def test_fifty_heals(tmp_path: Path) -> None:
    seed = new_seed()
    for part in range(5):
        (tmp_path / str(part)).mkdir()
        with run_desk(tmp_path / str(part)) as desk:
            run(desk, seed + part, heals=10)


class Alone:
    """The one way to the collector there is: nowhere to fail over to."""

    def fail_over(self) -> bool:
        return False


class Nothing:
    def release(self) -> None:
        pass


class Waiting(AgentSender):
    """The agent's waits after failures, without its connection and its spool."""

    __slots__ = ()

    def __init__(self, interval: float, chance: random.Random) -> None:
        self.timing = Timing(last_retry=min(120.0, max(5.0, 3 * interval)))  # as agent/start.py has it
        self._random, self._failures, self._retry_after = chance.random, 0, 0.0
        self._connection, self.spool = Alone(), Nothing()  # type: ignore[assignment]

    def keep(self) -> None:
        pass

    def failed(self) -> float:
        return self._failed()


@pytest.mark.parametrize("outage", [20.0, 120.0, 3600.0])
def test_those_who_come_back_come_spread_out(outage: float) -> None:
    """At most twice as many a second as usual, whatever they have waited for."""
    seed, interval, agents = new_seed(), 10.0, 3000
    chance = random.Random(seed)
    come: Counter[int] = Counter()
    for _ in range(agents):
        sender, now = Waiting(interval, chance), chance.uniform(0, interval)
        while now < outage:
            now += sender.failed()
        come[int(now - outage)] += 1
    steady = agents / interval
    assert max(come.values()) <= 2 * steady, f"seed {seed}: {come.most_common(3)}, usually {steady}"
