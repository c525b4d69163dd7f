"""Partitions of the log: one order for all consumers, now and later, whichever process a device came to."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from agent import wire
from agent.wire import Kind
from collector.log import Log, MergedReader, RecordKind
from collector.log.partitions import Range, drop, encode_ranges, folder, partitions
from collector.log.record import encode
from collector.log.segments import segments

Seen = list[tuple[int, int, int]]  # device, seq, number of the spine


def frame(device: int, seq: int, kind: int = Kind.ROWS) -> bytes:
    return encode(RecordKind.FRAME, device, float(seq), 0.0, wire.encode(kind, 7, seq, b"payload " * 3))


def tick(ranges: list[Range]) -> bytes:
    return encode(RecordKind.TICK, 0, 1.0, 0.0, encode_ranges(ranges))


class Written:
    """A spine and some partitions, filled as processes would: a device's next frame comes to any of them."""

    def __init__(self, directory: Path, seed: int, ticks: int = 12) -> None:
        chance = random.Random(seed)
        self.directory = directory
        spine = Log(directory)
        logs = [Log(folder(directory, number), segment_bytes=3000) for number in range(3)]
        merged = [1, 1, 1]
        self.expected: Seen = []
        seqs = dict.fromkeys(range(1, 6), 0)
        for _ in range(ticks):
            pushed: dict[int, list[int]] = {}
            for _ in range(chance.randrange(40)):
                device = chance.randrange(1, 6)
                seqs[device] += 1
                pushed.setdefault(device, []).append(seqs[device])
                chance.choice(logs).append([frame(device, seqs[device])])
            if chance.random() < 0.5:
                spine.append([encode(RecordKind.DEVICE, 9, 1.0, 0.0, b"{}")])
            ranges = [Range(n, merged[n], log.head) for n, log in enumerate(logs) if log.head > merged[n]]
            number = spine.append([tick(ranges)])
            merged = [log.head for log in logs]
            self.expected += [(device, seq, number) for device in sorted(pushed) for seq in pushed[device]]
        self.head = spine.head

    def read(self, position: int = 1, step: int = 1 << 30) -> Seen:
        reader = MergedReader(self.directory, position)
        found: Seen = []
        until = position
        while until < self.head:
            until = min(self.head, until + step)
            while (block := reader.read_block(until)) is not None:
                for record in block.records():
                    if record.kind == RecordKind.FRAME:
                        seq = wire.HEADER.unpack_from(record.body)[5]
                        found.append((record.device, int(seq), record.number))
        return found


@pytest.mark.parametrize("seed", range(6))
def test_each_devices_frames_come_in_their_order_whatever_partition_they_are_in(tmp_path: Path, seed: int) -> None:
    written = Written(tmp_path, seed)
    assert written.read() == written.expected
    assert written.read(step=1) == written.expected
    assert partitions(tmp_path) == [0, 1, 2]


def test_a_reader_may_begin_at_any_tick(tmp_path: Path) -> None:
    written = Written(tmp_path, 3)
    for position in range(1, written.head):
        assert written.read(position) == [seen for seen in written.expected if seen[2] >= position]


def test_a_schema_comes_before_the_rows_of_all_who_use_it(tmp_path: Path) -> None:
    spine, log = Log(tmp_path), Log(folder(tmp_path, 0))
    log.append([frame(2, 0, Kind.SCHEMA), frame(1, 1)])
    spine.append([tick([Range(0, 1, 3)])])
    block = MergedReader(tmp_path).read_block(2)
    assert block is not None
    assert block.devices.tolist() == [2, 1, 0]


def test_what_is_damaged_in_a_partition_costs_its_group_alone(tmp_path: Path) -> None:
    written = Written(tmp_path, 4)
    [*_, segment] = segments(folder(tmp_path, 1))
    content = bytearray(segment.path.read_bytes())
    content[60] ^= 1
    segment.path.write_bytes(content)
    found = written.read()
    assert len(found) == len(written.expected) - 1
    assert set(found) < set(written.expected)


def test_segments_of_partitions_go_when_all_have_read_them(tmp_path: Path) -> None:
    written = Written(tmp_path, 5, ticks=30)
    before = len(segments(folder(tmp_path, 0)))
    assert drop(tmp_path, {0: 1}, 0) == 0
    assert drop(tmp_path, {0: 1 << 40}, 0) == before - 1
    assert drop(tmp_path, {0: 1 << 40}, 1 << 30) == 0
    assert written.read()[-1] == written.expected[-1]
