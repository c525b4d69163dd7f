"""The spool: what was synced comes back, in order, whatever happened to the files or the disk."""

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import wire
from agent.segment import Item
from agent.spool import SEGMENT_BYTES, Spool
from tests import disks
from tests.agent.helpers import NOW, Clock, Lines

SCHEMA = wire.encode_schema(["node_load1", "node_load5"])
ID = wire.schema_id(SCHEMA)


def make(folder: Path, clock: Clock | None = None, *, limit: int = 1 << 30, age: float = 1e9) -> Spool:
    spool = Spool(str(folder), Lines(), clock or Clock(), limit_bytes=limit, limit_age=age)
    spool.open()
    return spool


def batch(spool: Spool, columns: int = 2) -> Item:
    seq = spool.number()
    schema = SCHEMA if columns == 2 else wire.encode_schema([f"s{number}" for number in range(columns)])
    payload = wire.encode_rows(wire.schema_id(schema), [NOW + seq], [[float(seq)] * columns])
    return Item(seq, wire.encode(wire.Kind.ROWS, spool.epoch, seq, payload), wire.schema_id(schema))


def fill(spool: Spool, count: int) -> list[int]:
    items = [batch(spool) for _ in range(count)]
    for item in items:
        assert spool.append([item], {ID: SCHEMA})
    return [item.seq for item in items]


def drain(spool: Spool) -> list[int]:
    """Take everything, and check that each segment can be understood on its own."""
    found = []
    while (segment := spool.oldest()) is not None:
        assert {item.schema for item in segment.items if item.schema} <= set(segment.schemas)
        found += [item.seq for item in segment.items]
        spool.done(segment)
    return found


def reopen(folder: Path) -> Spool:
    """Open what a killed process left: its file is simply not closed."""
    return make(folder, Clock(NOW + 60))


def test_what_goes_in_comes_out_in_order(tmp_path: Path) -> None:
    spool = make(tmp_path)
    assert not spool
    seqs = fill(spool, 20)
    assert spool
    assert drain(spool) == seqs == list(range(1, 21))
    assert spool.size == 0
    assert [file.name for file in tmp_path.iterdir()] == ["head"]


def test_a_killed_process_loses_nothing_that_was_appended(tmp_path: Path) -> None:
    spool = make(tmp_path)
    seqs = fill(spool, 7)
    after = reopen(tmp_path)
    assert drain(after) == seqs
    assert (after.dropped, after.damaged) == (0, 0)


def test_numbers_are_never_used_twice_after_a_kill(tmp_path: Path) -> None:
    spool = make(tmp_path)
    used = {(spool.epoch, spool.number()) for _ in range(5)}  # sent, and never on this disk
    for _ in range(3):
        after = make(tmp_path, Clock(NOW - 3600))  # and the clock was set back meanwhile
        fresh = {(after.epoch, after.number()) for _ in range(5)}
        assert not used & fresh
        used |= fresh


def test_a_clean_stop_goes_on_counting(tmp_path: Path) -> None:
    spool = make(tmp_path)
    epoch = spool.epoch
    fill(spool, 3)
    spool.close()
    after = make(tmp_path, Clock(NOW + 60))
    assert (after.epoch, after.number()) == (epoch, 4)


@pytest.mark.parametrize("head", [b"", b"\0" * 32, b"1 2", b"x y closed\n", b"0 1 closed\n", b"\xff\xfe", b"5" * 90])
def test_a_broken_head_makes_a_new_epoch(tmp_path: Path, head: bytes) -> None:
    first = make(tmp_path)
    seqs = fill(first, 2)
    first.close()
    (tmp_path / "head").write_bytes(head)
    after = make(tmp_path, Clock(NOW - 1e6))
    assert after.epoch > first.epoch
    assert drain(after) == seqs


def test_each_segment_begins_with_the_schemas_that_it_uses(tmp_path: Path) -> None:
    spool = make(tmp_path)
    wide = 2_000
    schema = wire.encode_schema([f"s{number}" for number in range(wide)])
    seqs = []
    while len(spool._sizes) < 3:
        item = batch(spool, wide)
        seqs.append(item.seq)
        assert spool.append([item], {wire.schema_id(schema): schema})
    for name, size in list(spool._sizes.items())[:-1]:
        first = wire.read_frame((tmp_path / name).read_bytes())
        assert first is not None
        assert first.kind == wire.Kind.SCHEMA
        assert SEGMENT_BYTES <= size < SEGMENT_BYTES + 40_000
    assert drain(spool) == seqs


def test_what_was_acknowledged_meanwhile_is_not_sent_again(tmp_path: Path) -> None:
    spool = make(tmp_path)
    fill(spool, 5)
    spool.acknowledge(3)
    assert drain(spool) == [4, 5]


def test_nothing_is_appended_to_a_segment_on_its_way(tmp_path: Path) -> None:
    spool = make(tmp_path)
    fill(spool, 2)
    segment = spool.oldest()
    assert segment is not None
    fill(spool, 2)
    assert [item.seq for item in segment.items] == [1, 2]
    spool.done(segment)
    assert drain(spool) == [3, 4]


def test_a_cap_on_size_drops_the_oldest_and_counts_them(tmp_path: Path) -> None:
    spool = make(tmp_path, limit=4_000)
    seqs = []
    for _ in range(60):
        seqs += fill(spool, 1)
        spool._close_file()  # so that each is a segment of its own
        assert spool.size <= 4_000 + 200
    left = drain(spool)
    assert left == seqs[-len(left) :]
    assert 0 < len(left) < 60
    assert spool.dropped == 60 - len(left)


def test_a_cap_on_age_drops_the_oldest_and_counts_them(tmp_path: Path) -> None:
    clock = Clock()
    spool = make(tmp_path, clock, age=100)
    fill(spool, 2)
    os.utime(tmp_path / next(iter(spool._sizes)), (NOW, NOW))
    spool._close_file()
    clock.now += 101
    seqs = fill(spool, 1)
    assert spool.dropped == 2
    assert drain(spool) == seqs


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.wds"))


def test_a_torn_tail_is_counted_once_and_the_rest_kept(tmp_path: Path) -> None:
    spool = make(tmp_path)
    seqs = fill(spool, 5)
    (file,) = segments(tmp_path)
    os.truncate(file, file.stat().st_size - 10)
    after = reopen(tmp_path)
    first = after.oldest()
    again = after.oldest()  # the collector was away: it is read again
    assert first is not None
    assert again is not None
    assert [item.seq for item in again.items] == seqs[:-1]
    assert (after.damaged, after.dropped) == (1, 0)


def test_damage_in_the_middle_costs_what_it_hit_and_is_counted(tmp_path: Path) -> None:
    spool = make(tmp_path)
    seqs = fill(spool, 10)
    (file,) = segments(tmp_path)
    data = bytearray(file.read_bytes())
    frames = [found for found in wire.salvage(bytes(data)) if not isinstance(found, int)]
    data[frames[4].start + 3] ^= 0xFF  # the schema is frame 0: this is the fourth batch
    file.write_bytes(data)
    after = reopen(tmp_path)
    assert drain(after) == [seq for seq in seqs if seq != 4]
    assert (after.damaged, after.dropped) == (1, 1)


def test_frames_that_are_cut_out_whole_are_missed_by_their_numbers(tmp_path: Path) -> None:
    spool = make(tmp_path)
    fill(spool, 10)
    (file,) = segments(tmp_path)
    data = file.read_bytes()
    frames = [found for found in wire.salvage(data) if not isinstance(found, int)]
    file.write_bytes(data[: frames[3].end] + data[frames[6].end :])
    after = reopen(tmp_path)
    assert drain(after) == [1, 2, 3, 7, 8, 9, 10]
    assert (after.damaged, after.dropped) == (0, 3)


def test_numbers_that_were_given_up_before_are_not_missed_in_the_spool(tmp_path: Path) -> None:
    spool = make(tmp_path)
    seqs = fill(spool, 2)
    spool.number()  # dropped from memory, and counted there
    seqs += fill(spool, 2)
    assert drain(reopen(tmp_path)) == seqs == [1, 2, 4, 5]
    assert reopen(tmp_path).dropped == 0


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Return the bytes after one accident of a disk."""
    at = rng.randrange(len(data))
    length = rng.randrange(1, 200)
    other = rng.randrange(len(data))
    choice = rng.randrange(6)
    if choice == 0:
        return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
    if choice == 1:
        return data[:at]
    if choice == 2:
        return data[:at] + bytes(min(length, len(data) - at)) + data[at + length :]
    if choice == 3:
        return data[:at] + data[at + length :]
    if choice == 4:
        first, second = sorted((at, other))
        return data[:first] + data[second : second + length] + data[first:]
    return data[:at] + rng.randbytes(length) + data[at:]


@pytest.mark.parametrize("seed", range(20))
def test_fuzz_damage_never_invents_and_never_crashes(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    spool = make(tmp_path / "original")
    seqs = fill(spool, 12)
    (file,) = segments(tmp_path / "original")
    data = file.read_bytes()
    written = {item.seq: item.frame for item in _items(spool)}
    rounds = 500 if os.environ.get("WATCHDESK_FUZZ") else 10
    for number in range(rounds):
        folder = tmp_path / str(number)
        folder.mkdir()
        changed = damaged(data, rng)
        (folder / file.name).write_bytes(changed)
        after = make(folder)
        found = {item.seq: item.frame for item in _items(after)}
        assert found.items() <= written.items(), (seed, number)
        if max(found, default=0) == seqs[-1] or changed != data[: len(changed)]:  # more than a clean cut at the end
            assert len(found) == len(seqs) or after.damaged + after.dropped, (seed, number)


def _items(spool: Spool) -> list[Item]:
    items = []
    while (segment := spool.oldest()) is not None:
        items += segment.items
        spool.done(segment)
    return items


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 256 KB, where this user may mount one."""
    with disks.small_disk(tmp_path / "disk", "256k") as folder:
        yield folder


class Pending:
    """Batches as the sender holds them: what the disk did not take is tried again with the next."""

    def __init__(self, spool: Spool, columns: int = 2) -> None:
        self.spool = spool
        self.columns = columns
        names = ["node_load1", "node_load5"] if columns == 2 else [f"s{number}" for number in range(columns)]
        schema = wire.encode_schema(names)
        self.schemas = {wire.schema_id(schema): schema}
        self.items: list[Item] = []
        self.taken: list[int] = []

    def offer(self) -> bool:
        """Take a batch and try to write all that waits."""
        self.items.append(batch(self.spool, self.columns))
        if not self.spool.append(self.items, self.schemas):
            return False
        self.taken += [item.seq for item in self.items]
        self.items = []
        return True


def test_a_full_disk_drops_the_oldest_and_recovers(small_disk: Path) -> None:
    spool = make(small_disk / "spool")
    pending = Pending(spool, 1_500)
    results = [pending.offer() for _ in range(60)]
    was_full = spool.full
    assert was_full
    assert 0 < sum(results) < 60
    subprocess.run(["mount", "-o", "remount,size=4m", small_disk], check=True)
    assert pending.offer()
    assert not spool.full
    assert pending.taken == list(range(1, 62))
    found = drain(spool)
    assert found == pending.taken[-len(found) :]
    assert len(found) + spool.dropped == len(pending.taken)
    assert spool.damaged == 0


def test_a_disk_filled_by_others_leaves_no_half_batch(small_disk: Path) -> None:
    spool = make(small_disk / "spool")
    pending = Pending(spool)
    assert all(pending.offer() for _ in range(3))
    filler = small_disk / "filler"
    filler.write_bytes(bytes(os.statvfs(small_disk).f_bavail * 4_096))
    results = [pending.offer() for _ in range(100)]  # the last page of the segment has room for some
    assert not all(results)
    filler.unlink()
    assert pending.offer()
    assert drain(spool) == pending.taken == list(range(1, 105))
    assert (spool.damaged, spool.dropped) == (0, 0)


def test_when_the_disk_is_full_the_oldest_make_room(small_disk: Path) -> None:
    spool = make(small_disk / "spool")
    pending = Pending(spool)
    for _ in range(4):
        for _ in range(20):
            assert pending.offer()
        spool._close_file()
    (small_disk / "filler").write_bytes(bytes(os.statvfs(small_disk).f_bavail * 4_096))
    assert all(pending.offer() for _ in range(20))  # each page that a segment gives is one for the new ones
    found = drain(spool)
    assert found == list(range(21, 101))
    assert spool.dropped == 20


def test_a_folder_that_has_gone_does_not_stop_the_agent(tmp_path: Path) -> None:
    spool = make(tmp_path / "spool")
    fill(spool, 1)
    spool._close_file()
    (tmp_path / "spool").rename(tmp_path / "elsewhere")
    assert not spool.append([batch(spool)], {ID: SCHEMA})
    assert spool.oldest() is None
    spool.close()
