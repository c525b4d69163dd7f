"""The history on a bad disk: full, damaged, read by another process, killed."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from collector.history import History, HistoryError, HistoryFullError, Reader
from tests import disks
from tests.collector.history.logs import START, Record, Reference, consume, fleet, reopen, sent_rows, stored_rows, take

ROOT = Path(__file__).parents[3]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of three MiB."""
    with disks.small_disk(tmp_path / "disk", "3m") as folder:
        yield folder


def filled(folder: Path) -> Path:
    """Fill the file system of a folder to its last byte; return the file that did."""
    file = folder / "ballast"
    with file.open("wb", buffering=0) as ballast:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while ballast.write(b"x" * size) == size:
                    pass
            except OSError:
                continue
    return file


def test_a_full_disk_loses_nothing_and_recovers_by_itself(small_disk: Path) -> None:
    history, log = History(small_disk / "history"), fleet(10, 500)
    take(history, log, 0, 2000)
    history.flush(2000, START, everything=True)
    chunks = index_of(small_disk / "history").with_suffix(".chunks")
    size = chunks.stat().st_size
    ballast = filled(small_disk)
    take(history, log, 2000, 5000)
    for attempt in range(3):
        with pytest.raises(HistoryFullError, match="no room"):
            history.flush(5000, START + attempt, everything=True)
        assert chunks.stat().st_size == size
        assert history.position() == 2000
    Reference().add(log).check(history)
    ballast.unlink()
    history.flush(5000, START + 9, everything=True)
    assert history.position() == 5000
    again = reopen(history, small_disk / "history")
    Reference().add(log).check(again)
    again.close()


def test_a_disk_that_is_full_from_the_start(small_disk: Path) -> None:
    history, log = History(small_disk / "history"), fleet(3, 100)
    ballast = filled(small_disk)
    take(history, log, 0, 300)
    with pytest.raises(HistoryFullError):
        history.flush(300, START, everything=True)
    ballast.unlink()
    history.flush(300, START, everything=True)
    Reference().add(log).check(history)
    history.close()


def test_a_crash_on_a_full_disk_replays(small_disk: Path) -> None:
    history, log = History(small_disk / "history"), fleet(10, 400)
    take(history, log, 0, 2000)
    history.flush(2000, START, everything=True)
    ballast = filled(small_disk)
    take(history, log, 2000, 4000)
    with pytest.raises(HistoryFullError):
        history.flush(4000, START, everything=True)
    again = reopen(history, small_disk / "history")
    ballast.unlink()
    consume(again, log, each=1000)
    Reference().add(log).check(again)
    again.close()


def test_what_waits_for_room_is_bounded(small_disk: Path) -> None:
    history, log = History(small_disk / "history", hold=20_000), fleet(10, 600)
    history.flush(0, START)
    ballast = filled(small_disk)
    taken = 0
    while history.held_bytes < 20_000:
        take(history, log, taken, taken + 100)
        taken += 100
        with pytest.raises(HistoryFullError):
            history.flush(taken, START + taken, everything=True)
    with pytest.raises(HistoryFullError, match="wait for room"):
        take(history, log, taken, taken + 1)
    ballast.unlink()
    history.flush(taken, START + 1e4, everything=True)
    take(history, log, taken, len(log))  # what was refused is given again
    Reference().add(log).check(history)
    history.close()


def test_days_are_deleted_on_a_full_disk(small_disk: Path) -> None:
    history, log = History(small_disk / "history"), fleet(10, 400)
    take(history, log, 0, 3000)
    history.flush(3000, START, everything=True)
    take(history, log, 3000, 3100)
    history.flush(3100, START + 86_400, everything=True)
    filled(small_disk)
    take(history, log, 3100, 4000)
    with pytest.raises(HistoryFullError):
        history.flush(4000, START + 86_400 + 1, everything=True)
    history.drop(START + 86_400)
    history.flush(4000, START + 86_400 + 2, everything=True)
    Reference().add(log[3000:]).check(history)
    history.close()


def index_of(folder: Path) -> Path:
    """Return the index of the only day."""
    (file,) = folder.glob("*.index")
    return file


def overwrite(file: Path, start: int, data: bytes) -> None:
    """Change bytes of a file where they are."""
    with file.open("r+b") as disk:
        disk.seek(start)
        disk.write(data)


def test_a_damaged_chunk_costs_itself_alone(tmp_path: Path) -> None:
    history, log = History(tmp_path), fleet(1, 360)
    consume(history, log)
    history.flush(len(log), START, everything=True)
    with sqlite3.connect(index_of(tmp_path)) as connection:
        first, last, start = connection.execute("SELECT first, last, start FROM chunk WHERE id = 3").fetchone()
    connection.close()
    overwrite(index_of(tmp_path).with_suffix(".chunks"), start + 100, b"?")
    times, _ = history.read(1, ["up"], 0, np.inf)["up"]
    whole = START + 0.01 + 10.0 * np.arange(360)
    assert times.tolist() == whole[(whole < first) | (whole > last)].tolist()
    assert len(times) < 360
    assert history.corrupt == 1
    history.close()


def test_chunks_that_were_cut_off_cost_themselves_alone(tmp_path: Path) -> None:
    history, log = History(tmp_path), fleet(3, 360)
    consume(history, log)
    history.flush(len(log), START, everything=True)
    file = index_of(tmp_path).with_suffix(".chunks")
    os.truncate(file, file.stat().st_size // 2)
    left = sum(len(history.read(device, ["up"], 0, np.inf)["up"][0]) for device in (1, 2, 3))
    assert 400 < left < 700
    assert history.corrupt > 0
    history.close()


def written(folder: Path) -> tuple[Path, list[Record]]:
    """Write 120 rows of 40 devices of a log that goes on; return the index and the log."""
    history, log = History(folder), fleet(40, 150)
    consume(history, log[: 40 * 120], each=400)
    history.flush(40 * 120, START, everything=True)
    history.close()
    return index_of(folder), log


def rows_after(folder: Path, log: list[Record]) -> int:
    """Return how many of the 4,800 rows are read yet; fail unless damage is noticed, and the rest of the log taken."""
    history = History(folder)
    rows = sum(len(history.read(device, ["up"], 0, np.inf).get("up", [[]])[0]) for device in range(1, 41))
    assert history.corrupt + history.set_aside > 0
    position = history.position()
    take(history, log, position, len(log))
    history.flush(len(log), START + 10, everything=True)
    newest = [len(history.read(device, ["up"], START + 1200, np.inf)["up"][0]) for device in range(1, 41)]
    assert newest == [30] * 40
    if position == 0:
        Reference().add(log).check(history)  # the log was read again, and what was there yet is not there twice
    history.close()
    return rows


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4, 0.6, 0.8, 0.99])
def test_a_bad_sector_among_the_chunks_costs_those_on_it(tmp_path: Path, share: float) -> None:
    index, log = written(tmp_path)
    chunks = index.with_suffix(".chunks")
    overwrite(chunks, int(chunks.stat().st_size * share) // 4096 * 4096, b"\xa5" * 4096)
    assert 4_800 - 4_096 < rows_after(tmp_path, log) < 4_800


@pytest.mark.parametrize("table", ["chunk", "schema", "written", "state"])
def test_a_bad_sector_of_the_index_costs_a_day_at_most(tmp_path: Path, table: str) -> None:
    index, log = written(tmp_path)
    with sqlite3.connect(index) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", [table]).fetchone()
    connection.close()
    overwrite(index, (page - 1) * 4096, b"\xa5" * 4096)
    assert rows_after(tmp_path, log) == 0 or table in ("written", "state")


def test_damaged_series_are_written_again(tmp_path: Path) -> None:
    history, log = History(tmp_path), fleet(1, 200)
    consume(history, log[:100])
    history.flush(100, START, everything=True)
    history.close()
    with sqlite3.connect(index_of(tmp_path)) as connection:
        connection.execute("UPDATE schema SET series = substr(series, 2)")
    connection.close()
    again = History(tmp_path)
    assert again.read(1, ["up"], 0, np.inf) == {}
    assert again.corrupt > 0
    consume(again, log)
    again.flush(200, START, everything=True)
    Reference().add(log).check(again)
    again.close()


def test_a_file_that_is_none_is_left_alone(tmp_path: Path) -> None:
    history, log = History(tmp_path), fleet(2, 100)
    consume(history, log)
    history.flush(len(log), START, everything=True)
    history.close()
    file = index_of(tmp_path)
    file.write_bytes(b"not a database " * 5000)
    again = History(tmp_path)
    assert again.set_aside == 1
    assert again.position() == 0
    consume(again, log)
    again.flush(len(log), START, everything=True)
    Reference().add(log).check(again)
    assert file.read_bytes().startswith(b"not a database")
    assert len(list(tmp_path.glob("*.index"))) == 2
    again.close()


def test_a_file_that_was_just_made_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / f"{int(START // 86_400)}-0.index").touch()
    history, log = History(tmp_path), fleet(2, 100)
    consume(history, log)
    assert history.read(1, ["nothing"], 0, np.inf) == {}
    history.flush(len(log), START, everything=True)
    Reference().add(log).check(history)
    assert (history.corrupt, history.set_aside) == (0, 0)
    history.close()


def test_a_folder_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    history, log = History(tmp_path / "history"), fleet(2, 100)
    (tmp_path / "history").rmdir()
    take(history, log, 0, 200)
    with pytest.raises(HistoryError, match=r"cannot write|no room"):
        history.flush(200, START, everything=True)
    (tmp_path / "history").mkdir()
    history.flush(200, START, everything=True)
    Reference().add(log).check(history)
    history.close()


READ = """
import sys
from pathlib import Path
from collector.history import Reader
reader = Reader(Path(sys.argv[1]))
for line in sys.stdin:
    times, _ = reader.read(1, ["up"], 0, float("inf")).get("up", ([], []))
    print(len(times), flush=True)
"""


def test_another_process_reads_what_was_flushed(tmp_path: Path) -> None:
    history, log = History(tmp_path), fleet(1, 300)
    command = [sys.executable, "-c", READ, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None

        def seen() -> int:
            reader.stdin.write("\n")  # type: ignore[union-attr]
            reader.stdin.flush()  # type: ignore[union-attr]
            return int(reader.stdout.readline())  # type: ignore[union-attr]

        assert seen() == 0
        for count in (100, 200, 300):
            take(history, log, count - 100, count)
            before = seen()
            history.flush(count, START + 864 * count, everything=True)  # each in the files of another day
            kept, _ = history.read(1, ["up"], 0, np.inf)["up"]
            assert before < seen() == len(kept)
        reader.stdin.close()
    history.close()


def test_a_reader_sees_what_a_writer_left(tmp_path: Path) -> None:
    history, log = History(tmp_path), fleet(3, 100)
    consume(history, log)
    history.flush(len(log), START, everything=True)
    reader = Reader(tmp_path)
    one, other = reader.read(2, ["load"], 0, np.inf)["load"], history.read(2, ["load"], 0, np.inf)["load"]
    assert np.array_equal(one[1], other[1], equal_nan=True)
    assert reader.read_resolution(2, ["load"], START, START + 500, 100)["load"].times.tolist() == [
        START + 100 * number for number in range(5)
    ]
    reader.close()
    history.close()


WRITE = """
import sys
from pathlib import Path
from collector.history import History
from tests.collector.history.logs import START, fleet, take
history, log = History(Path(sys.argv[1])), fleet(5, 2000)
for at in range(history.position(), len(log), 5):
    take(history, log, at, at + 5)
    history.flush(at + 5, START + 2 * at)
    print(at, flush=True)
history.flush(len(log), START + 2 * len(log), everything=True)
print("end", flush=True)
"""


def test_kill_9_at_any_moment_loses_and_repeats_nothing(tmp_path: Path) -> None:
    random, kills = np.random.default_rng(11), 0
    while True:
        command = [sys.executable, "-c", WRITE, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as writer:
            assert writer.stdout is not None
            lines = iter(writer.stdout.readline, "")
            limit = int(random.integers(200, 900))
            if not any(line == "end\n" or number >= limit for number, line in enumerate(lines)):
                pytest.fail("the writer ended by itself")
            finished = kills >= 5
            if not finished:
                os.kill(writer.pid, signal.SIGKILL)
                kills += 1
            else:
                assert list(lines)[-1:] in ([], ["end\n"])
        if finished:
            break
    history, log = History(tmp_path), fleet(5, 2000)
    assert history.position() == len(log)
    assert stored_rows(tmp_path) == sent_rows(log)
    Reference().add(log).check(history)
    history.close()
