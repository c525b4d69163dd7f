"""Records taken many at once have the very effect that they have one after the other."""

from __future__ import annotations

import json
import random
from functools import partial
from pathlib import Path

import pytest

from agent import wire
from agent.wire import Kind
from collector.bulk import Bulk
from collector.log import Log, Reader, RecordKind
from collector.log.record import encode
from collector.state import State

START = 1_760_000_000.0
RULES = """
groups:
- name: test
  rules:
  - {alert: High, expr: load > 90, for: 5s}
  - {alert: Rising, expr: "avg_over_time(load[1m]) > 60"}
  - {alert: Gone, expr: absent(temperature)}
  - {record: "mean:load", expr: avg by (customer) (load)}
"""
SCHEMAS = [
    wire.encode_schema(["load", "temperature", f'disk{{n="{n}"}}', *[f"more{i}" for i in range(n)]]) for n in range(3)
]


class Story:
    """Makes up what a small fleet may send, good and bad."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now = START
        self.epochs = {device: 100 + device for device in range(1, 9)}
        self.seqs: dict[tuple[int, int], int] = {}
        self.schema = {device: device % 3 for device in self.epochs}

    def _frame(self, device: int, kind: int, payload: bytes) -> bytes:
        epoch = self.epochs[device]
        seq = self.seqs.get((device, epoch), 0) + 1
        if self.chance.random() < 0.05:
            seq = max(1, seq - self.chance.randrange(1, 4))  # again
        else:
            self.seqs[device, epoch] = seq
        frame = wire.encode(kind, epoch, seq, payload)
        return encode(RecordKind.FRAME, device, self.now, self.chance.choice([0.0, 0.0, 3.5, -90.0]), frame)

    def _rows(self, device: int, count: int) -> bytes:
        schema = SCHEMAS[self.schema[device]]
        late = self.chance.choice([0.0, 0.0, 0.0, 30.0, -5.0])
        times = [self.now - late - count + n for n in range(count)]
        if self.chance.random() < 0.1:
            self.chance.shuffle(times)
        columns = schema.count(b"\n") + 1
        values = [
            [self.chance.choice([float("nan"), 50.0, 95.0, self.chance.random()]) for _ in range(columns)]
            for _ in range(count)
        ]
        return self._frame(device, Kind.ROWS, wire.encode_rows(wire.schema_id(schema), times, values))

    def records(self, count: int) -> list[bytes]:
        """Return records as they may stand in a log."""
        made = [encode(RecordKind.START, 0, self.now, 0.0, b"")]
        made.append(encode(RecordKind.RULES, 0, self.now, 0.0, json.dumps({"test.yml": RULES}).encode()))
        made += [self._device(device) for device in range(1, 8)]
        for schema in SCHEMAS[:2]:
            made.append(encode(RecordKind.FRAME, 1, self.now, 0.0, wire.encode(Kind.SCHEMA, 1, 0, schema)))
        while len(made) < count:
            self.now += self.chance.choice([0.0, 0.01, 0.3])
            made.append(self._next())
        return made

    def _device(self, device: int) -> bytes:
        labels = {"instance": f"d{device}", "customer": f"c{device % 2}", "job": "agent"}
        return encode(RecordKind.DEVICE, device, self.now, 0.0, json.dumps(labels).encode())

    def _next(self) -> bytes:
        device = self.chance.randrange(1, 9)
        what = self.chance.random()
        if what < 0.85:
            return self._rows(device, 1)
        if what < 0.88:
            return self._rows(device, self.chance.randrange(2, 12))
        if what < 0.94:
            return encode(RecordKind.TICK, 0, self.now, 0.0, b"")
        if what < 0.95:
            self.epochs[device] += 1000
            hello = {"version": "1", "os": "linux", "reason": "boot", "interval": 2}
            return self._frame(device, Kind.HELLO, json.dumps(hello).encode())
        if what < 0.96:
            return self._frame(device, Kind.GOODBYE, b'{"reason": "stop", "ttl": 60}')
        if what < 0.97:
            self.schema[device] = self.chance.randrange(3)
            payload = SCHEMAS[self.schema[device]]
            return encode(RecordKind.FRAME, device, self.now, 0.0, wire.encode(Kind.SCHEMA, 1, 0, payload))
        if what < 0.98:
            return self._device(device)
        if what < 0.985:
            return encode(RecordKind.DEVICE, device, self.now, 0.0, b"null")
        rules = RULES.replace("load", self.chance.choice(["load", "temperature"]))
        return encode(RecordKind.RULES, 0, self.now, 0.0, json.dumps({"test.yml": rules}).encode())


def write(directory: Path, records: list[bytes], chance: random.Random) -> int:
    log = Log(directory, segment_bytes=200_000)
    while records:
        size = chance.choice([1, 3, 40, 300])
        log.append(records[:size])
        records = records[size:]
    return log.head


@pytest.mark.parametrize("seed", range(12))
def test_many_at_once_is_the_same_as_one_after_the_other(tmp_path: Path, seed: int) -> None:
    head = write(tmp_path, Story(seed).records(1500), random.Random(seed))
    single, told = State(), []
    reader = Reader(tmp_path)
    while records := reader.read(head):
        for record in records:
            told += single.apply(record)
    chance = random.Random(seed + 1)
    for until in ([head], sorted({*chance.sample(range(2, head), 30), head})):
        many, heard = State(), []
        reader = Reader(tmp_path)
        for end in until:
            while (block := reader.read_block(end)) is not None:
                heard += Bulk(block).apply(many, 0, len(block))
        assert many.position == single.position == head - 1
        assert heard == told, seed
        assert many.marks == single.marks, seed
        assert many.dump() == single.dump(), seed


@pytest.mark.parametrize("seed", range(6))
def test_put_down_and_taken_up_anywhere_it_is_the_same_to_the_bit(tmp_path: Path, seed: int) -> None:
    head = write(tmp_path, Story(seed).records(2500), random.Random(seed))
    reader = Reader(tmp_path)
    records = [record for some in iter(partial(reader.read, head), []) for record in some]
    chance = random.Random(seed + 1)
    places = {chance.randrange(head) for _ in range(5)}
    straight, restarted = State(), State()
    for record in records:
        straight.apply(record)
        restarted.apply(record)
        if record.number in places:
            data = restarted.dump()
            restarted = State()
            restarted.restore(data)
            assert restarted.dump() == data, (seed, record.number)
            assert restarted.digest() == straight.digest(), (seed, record.number)
    assert restarted.digest() == straight.digest(), (seed, places)
