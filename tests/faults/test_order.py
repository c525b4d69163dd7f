"""Batches that come twice, late or out of order, against the same ones in their order: the same incidents in the end.

Each seed is a device of a customer of its own, so that one state machine and one database serve them all.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, field

import pytest

from agent import wire
from agent.wire import Kind
from collector import alerts
from collector.log import Record, RecordKind
from collector.state import State
from tests.faults.seeds import new_seed
from ticketing.database import connect
from ticketing.incident import State as IncidentState
from ticketing.models import Base
from ticketing.scope import Scope
from ticketing.store import Filter, Store

START = 1_760_000_000.0
SCHEMA = wire.encode_schema(["level"])
RULE = "groups: [{name: g, rules: [{alert: High, expr: level > 50, labels: {severity: warning}}]}]"
SECONDS = 30
FAILED_BEFORE: tuple[int, ...] = ()  # seeds that once failed stay here
Sent = tuple[int, int, float, float]  # epoch, seq, seconds after the start, level


@dataclass(slots=True)
class Delivery:
    """What came of a device: at which second which frames."""

    frames: list[tuple[int, Sent]] = field(default_factory=list)

    def opened(self) -> tuple[Counter[bool], bool]:
        """The reference: how often the level rose above the limit and fell again at a tick, and how it is now."""
        taken: set[tuple[int, int]] = set()
        newest, level, high = -1.0, 0.0, False
        changes: Counter[bool] = Counter()
        for second in range(SECONDS + 1):
            for epoch, seq, at, value in (sent for due, sent in self.frames if due == second):
                if (epoch, seq) in taken:
                    continue
                taken.add((epoch, seq))
                if at > newest:
                    newest, level = at, value
            if (level > 50) != high:
                high = not high
                changes[high] += 1
        return changes, high


def sent_by(chance: random.Random) -> list[Sent]:
    """What a device measured: a level for each of some seconds, in two or three epochs."""
    found, epoch, seq = [], 1, 0
    for second in range(SECONDS - 10):
        if chance.random() < 0.5:
            seq += 1
            found.append((epoch, seq, float(second), chance.choice([10.0, 90.0])))
        if chance.random() < 0.06:
            epoch, seq = epoch + 1, 0
    return found


def orderly(sent: list[Sent]) -> Delivery:
    return Delivery([(int(one[2]), one) for one in sent])


def disorderly(sent: list[Sent], chance: random.Random) -> Delivery:
    """As agents and networks do it: each epoch in its order, some of them late, anything once more at any time."""
    late = {epoch: chance.choice([0, 0, 3, 9]) for epoch, *_ in sent}
    frames = [(int(one[2]) + late[one[0]], one) for one in sent]
    again = [(due + chance.randrange(SECONDS - due), one) for due, one in frames if chance.random() < 0.4]
    rows = frames + again
    order = list(range(len(rows)))
    chance.shuffle(order)
    moved = sorted(order, key=lambda index: (rows[index][0], index < len(frames) and rows[index][1][1]))
    return Delivery([rows[index] for index in moved])


class World:
    """A state machine and a database that take the deliveries of many devices."""

    def __init__(self, deliveries: list[Delivery]) -> None:
        self.state = State()
        self.number = 0
        engine = connect("sqlite://")
        Base.metadata.create_all(engine)
        self.store = Store(engine)
        self.changes: dict[str, Counter[bool]] = {}
        self._add(RecordKind.RULES, 0.0, json.dumps({"g.yml": RULE}).encode())
        for device in range(1, len(deliveries) + 1):
            labels = {"instance": f"pc.hq.c{device}", "customer": f"c{device}", "site": "hq", "class": "server"}
            self._add(RecordKind.DEVICE, 0.0, json.dumps(labels).encode(), device)
            self._add(RecordKind.FRAME, 0.0, wire.encode(Kind.SCHEMA, 1, 0, SCHEMA), device)
        for second in range(SECONDS + 1):
            for device, delivery in enumerate(deliveries, 1):
                for due, sent in delivery.frames:
                    if due == second:
                        self._frame(device, second, sent)
            self._add(RecordKind.TICK, second + 0.9)
        for minutes in (10, 40, 41, 80):  # until nothing flaps any more
            self.store.apply([], consumer="test", position=self.number + minutes, now=START + 60 * minutes)

    def _frame(self, device: int, second: int, sent: Sent) -> None:
        epoch, seq, at, value = sent
        payload = wire.encode_rows(wire.schema_id(SCHEMA), [START + at], [[value]])
        self._add(RecordKind.FRAME, second + 0.1, wire.encode(Kind.ROWS, epoch, seq, payload), device)

    def _add(self, kind: RecordKind, at: float, body: bytes = b"", device: int = 0) -> None:
        self.number += 1
        now = START + at
        transitions = self.state.apply(Record(self.number, kind, device, now, 0.0, body))
        for change in transitions:
            if change.state in ("firing", "resolved"):
                self.changes.setdefault(change.labels["customer"], Counter())[change.state == "firing"] += 1
        if transitions:
            told = alerts.from_transitions(transitions)
            self.store.apply(told, consumer="test", position=self.number, now=now)

    def incidents(self, device: int) -> list[tuple[str, bool]]:
        """The key of each incident of a device's customer, and whether it has recovered."""
        wanted = Filter(states=frozenset(IncidentState))
        found = self.store.incidents(Scope(f"c{device}"), wanted).incidents
        return [(one.key, one.recovered_at is not None) for one in found]


def hold(seed: int, count: int) -> None:
    """Compare a number of seeds, from this one on."""
    seeds = range(seed, seed + count)
    sent = [sent_by(random.Random(one)) for one in seeds]
    messy = [disorderly(what, random.Random(~one)) for one, what in zip(seeds, sent, strict=True)]
    out_of_order = World(messy)
    for device, (one, delivery) in enumerate(zip(seeds, messy, strict=True), 1):
        changes, high = delivery.opened()
        told = f"seed {one}"
        assert out_of_order.changes.get(f"c{device}", Counter()) == changes, told
        found = out_of_order.incidents(device)
        assert len(found) == bool(changes), told
        assert high == any(not recovered for _, recovered in found), told
        assert high == orderly(sent[device - 1]).opened()[1], told
    assert out_of_order.state.fleet.late > 0


def test_a_hundred_orders() -> None:
    hold(new_seed(), 100)
    for seed in FAILED_BEFORE:
        hold(seed, 1)


@pytest.mark.soak
def test_a_thousand_orders() -> None:
    hold(new_seed(), 1000)
