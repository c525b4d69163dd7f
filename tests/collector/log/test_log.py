"""The log: what was appended is read again, whatever happened to the files meanwhile."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import wire
from collector.errors import LogError
from collector.log import Log, Reader, Record, RecordKind
from collector.log.record import encode
from collector.log.segments import segments
from tests import disks
from tests.faults.seeds import new_seed


def record(number: int, size: int = 20) -> bytes:
    """A record that can be told from every other."""
    return encode(RecordKind.FRAME, number % 7, 1000.0 + number, 0.5, f"{number}:".encode().ljust(size, b"."))


def fill(log: Log, groups: int, each: int = 3, start: int = 1) -> int:
    """Append groups of records, and return the number after the last."""
    number = start
    for _ in range(groups):
        assert log.append([record(number + offset) for offset in range(each)]) == number
        number += each
    return number


def read_all(directory: Path, until: int, position: int = 1) -> tuple[list[Record], Reader]:
    reader = Reader(directory, position)
    found: list[Record] = []
    while batch := reader.read(until):
        found += batch
    return found, reader


def is_genuine(found: Record) -> bool:
    """Whether a record says of itself what its number says."""
    return found.body.startswith(f"{found.number}:".encode()) and found.received == 1000.0 + found.number


def test_what_was_appended_is_read_in_order(tmp_path: Path) -> None:
    log = Log(tmp_path)
    head = fill(log, 50)
    found, reader = read_all(tmp_path, head)
    assert [item.number for item in found] == list(range(1, head))
    assert all(map(is_genuine, found))
    assert found[3] == Record(4, RecordKind.FRAME, 4, 1004.0, 0.5, b"4:".ljust(20, b"."))
    assert (reader.lost_bytes, reader.lost_records) == (0, 0)


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 4096])
def test_bodies_of_every_length_come_back(tmp_path: Path, size: int) -> None:
    log = Log(tmp_path)
    log.append([encode(RecordKind.TICK, 0, 1.0, 0.0, b"x" * size), encode(RecordKind.TICK, 0, 2.0, 0.0, b"")])
    assert [len(item.body) for item in read_all(tmp_path, 3)[0]] == [size, 0]


def test_a_reader_follows_while_the_log_grows_and_changes_files(tmp_path: Path) -> None:
    log = Log(tmp_path, segment_bytes=500)
    reader = Reader(tmp_path)
    seen: list[int] = []
    for step in range(30):
        head = fill(log, 1, each=4, start=1 + 4 * step)
        while batch := reader.read(head):
            seen += [item.number for item in batch]
    assert seen == list(range(1, 121))
    assert len(segments(tmp_path)) > 5


def test_a_reader_may_begin_inside_a_group(tmp_path: Path) -> None:
    head = fill(Log(tmp_path, segment_bytes=400), 20)
    found, _ = read_all(tmp_path, head, position=17)
    assert [item.number for item in found] == list(range(17, head))


def test_records_from_the_head_on_are_not_shown(tmp_path: Path) -> None:
    fill(Log(tmp_path), 4)
    assert [item.number for item in read_all(tmp_path, 7)[0]] == [1, 2, 3, 4, 5, 6]


def test_a_group_larger_than_the_readers_buffer(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.append([record(1, 9_000_000), record(2, 100)])
    log.append([record(3)])
    found, reader = read_all(tmp_path, 4)
    assert [len(item.body) for item in found] == [9_000_000, 100, 20]
    assert reader.lost_bytes == 0


def test_a_restart_goes_on_with_the_numbers(tmp_path: Path) -> None:
    head = fill(Log(tmp_path), 5)
    log = Log(tmp_path)
    assert log.head == head
    fill(log, 5, start=head)
    assert [item.number for item in read_all(tmp_path, log.head)[0]] == list(range(1, log.head))


def test_a_number_that_a_consumer_has_seen_is_never_given_again(tmp_path: Path) -> None:
    fill(Log(tmp_path), 2)
    assert Log(tmp_path, floor=100).head == 100


@pytest.mark.parametrize("cut", [1, 31, 40, 90])
def test_a_torn_tail_is_cut_and_counted(tmp_path: Path, cut: int) -> None:
    log = Log(tmp_path)
    head = fill(log, 3)
    [only] = segments(tmp_path)
    os.truncate(only.path, only.path.stat().st_size - cut)
    log = Log(tmp_path)
    assert log.head == head - 3
    fill(log, 1, start=log.head)
    found, reader = read_all(tmp_path, log.head)
    assert [item.number for item in found] == list(range(1, log.head))
    assert all(map(is_genuine, found))
    assert reader.lost_bytes > 0


def damaged(chance: random.Random, whole: bytes) -> bytes:
    """The content of a file, of which a bit, some bytes or all that follows is not what it was."""
    content = bytearray(whole)
    at = chance.randrange(len(content))
    size = chance.choice([1, 8, 100])
    match chance.randrange(5):
        case 0:
            content[at] ^= 1 << chance.randrange(8)
        case 1:
            content[at : at + size] = bytes(len(content[at : at + size]))
        case 2:
            del content[at : at + size]
        case 3:
            content[at:at] = chance.randbytes(size)
        case _:
            content[at : at + size], content[-size:] = content[-size:], content[at : at + size]
    return bytes(content)


@pytest.mark.parametrize("cases", [1_000, pytest.param(10_000, marks=pytest.mark.soak)])
def test_damage_never_yields_what_was_not_written_and_costs_only_its_groups(tmp_path: Path, cases: int) -> None:
    seed = new_seed()
    chance = random.Random(seed)
    log = Log(tmp_path, segment_bytes=2000)
    head = fill(log, 40)
    for case in range(cases):
        told = f"seed {seed}, case {case}"
        target = chance.choice(segments(tmp_path)).path
        whole = target.read_bytes()
        target.write_bytes(damaged(chance, whole))
        found, reader = read_all(tmp_path, head)
        numbers = [item.number for item in found]
        assert all(map(is_genuine, found)), told
        assert numbers == sorted(set(numbers)), told
        assert len(numbers) >= head - 1 - 18, (told, len(numbers))
        if len(numbers) < head - 1:  # told, or, at the very end, waited for
            assert reader.lost_bytes > 0 or reader.position < head, told
        target.write_bytes(whole)


def test_swapped_groups_are_not_read_twice_or_backwards(tmp_path: Path) -> None:
    log = Log(tmp_path)
    fill(log, 4)
    [only] = segments(tmp_path)
    content = only.path.read_bytes()
    size = len(content) // 4
    only.path.write_bytes(content[size : 2 * size] + content[:size] + content[2 * size :])
    numbers = [item.number for item in read_all(tmp_path, 13)[0]]
    assert numbers == sorted(set(numbers))
    assert set(range(7, 13)) <= set(numbers)


def test_a_devices_own_bytes_cannot_become_a_group(tmp_path: Path) -> None:
    """A device that puts a group of the log into its data gains nothing when the group around it is damaged."""
    forged = wire.encode(wire.Kind.GROUP, 12345, 2, b"\1" + bytes(7) + record(2))
    log = Log(tmp_path)
    log.append([encode(RecordKind.FRAME, 1, 1001.0, 0.0, forged)])
    log.append([record(2)])
    [only] = segments(tmp_path)
    content = bytearray(only.path.read_bytes())
    content[40] ^= 255
    only.path.write_bytes(content)
    found, _ = read_all(tmp_path, 3)
    assert [(item.number, item.device) for item in found] == [(2, 2)]


def test_old_segments_go_when_all_have_read_them(tmp_path: Path) -> None:
    log = Log(tmp_path, segment_bytes=400)
    head = fill(log, 30)
    kept = segments(tmp_path)
    assert log.drop(before=1, keep_bytes=0) == 0
    assert log.drop(before=kept[5].first, keep_bytes=0) == 5
    assert log.drop(before=head, keep_bytes=1 << 30) == 0
    found, _ = read_all(tmp_path, head)
    assert found[0].number == kept[5].first
    assert log.size == sum(segment.path.stat().st_size for segment in segments(tmp_path))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KB."""
    with disks.small_disk(tmp_path / "disk", "256k") as folder:
        yield folder


def test_segments_that_are_old_go_however_small_the_log_is(tmp_path: Path) -> None:
    log = Log(tmp_path, segment_bytes=400)
    head = fill(log, 30)
    kept = segments(tmp_path)
    for age, segment in enumerate(reversed(kept)):
        os.utime(segment.path, (1000 - age, 1000 - age))
    assert log.drop(before=head, keep_bytes=1 << 30, written_before=0) == 0
    assert log.drop(before=head, keep_bytes=1 << 30, written_before=1000 - 4) == len(kept) - 5
    assert log.drop(before=kept[-3].first, keep_bytes=1 << 30, written_before=2000) == 2
    assert log.drop(before=head, keep_bytes=1 << 30, written_before=2000) == 2
    assert segments(tmp_path) == kept[-1:]
    assert log.size == kept[-1].path.stat().st_size


def test_a_full_disk_takes_nothing_half_and_recovers_by_itself(small_disk: Path) -> None:
    log = Log(small_disk / "log")
    acknowledged: list[int] = []
    full = ""
    while not full:
        try:
            acknowledged.append(log.append([record(log.head, 5000)]))
        except LogError as error:
            full = str(error)
    assert "takes no records: No space left" in full
    assert len(acknowledged) > 10
    with pytest.raises(LogError):
        log.append([record(log.head, 5000)])
    assert [item.number for item in read_all(log.directory, log.head)[0]] == acknowledged
    os.truncate(segments(log.directory)[0].path, 100_000)  # room, at the cost of some records
    assert log.append([record(log.head, 5000)]) == len(acknowledged) + 1
    assert read_all(log.directory, log.head)[0][-1].number == len(acknowledged) + 1
    log.close()


def test_the_sync_comes_before_append_returns(tmp_path: Path) -> None:
    """What strace sees: write, fdatasync, and only then the answer."""
    script = (
        "import os, pathlib, sys\n"
        "from collector.log import Log\n"
        "from collector.log.record import encode\n"
        "log = Log(pathlib.Path(sys.argv[1]))\n"
        "log.append([encode(2, 0, 1.0, 0.0, b'')])\n"
        "os.write(1, b'ANSWER')\n"
    )
    trace = tmp_path / "trace"
    tracing = ["strace", "-f", "-e", "trace=write,fdatasync", "-o", str(trace)]
    subprocess.run(
        [*tracing, sys.executable, "-c", script, str(tmp_path / "log")],
        check=True,
        capture_output=True,
    )
    calls = [line.split(maxsplit=1)[1] for line in trace.read_text().splitlines()]
    wrote = next(i for i, call in enumerate(calls) if call.startswith("write") and "WDF1" in call)
    synced = next(i for i, call in enumerate(calls) if call.startswith("fdatasync") and i > wrote)
    answered = next(i for i, call in enumerate(calls) if "ANSWER" in call)
    assert wrote < synced < answered
