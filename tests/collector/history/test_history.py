"""The history: what the log gave is what is read, at any moment and after any restart."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.history import History, HistoryError, metric
from tests.collector.history.logs import (
    SCHEMAS,
    START,
    Record,
    Reference,
    consume,
    fleet,
    record,
    reopen,
    sent_rows,
    stored_rows,
    take,
)

HOUR = [number * 10.0 for number in range(360)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "history"


@pytest.fixture
def history(folder: Path) -> Iterator[History]:
    history = History(folder)
    yield history
    history.close()


def test_a_new_history_is_empty(history: History) -> None:
    assert history.position() == 0
    assert history.read(1, ["up"], 0, np.inf) == {}


def test_open_rows_are_read(history: History) -> None:
    log = [record(1, 1, [0, 10, 20])]
    take(history, log, 0, 1)
    Reference().add(log).check(history)


def test_rows_are_read_while_they_pass_from_memory_to_disk(history: History) -> None:
    log, reference = fleet(3, 150), Reference()
    for number, entry in enumerate(log):
        take(history, log, number, number + 1)
        reference.add([entry])
        if number % 40 == 39:
            reference.check(history)
            history.flush(number + 1, START + number * 3)
            reference.check(history)
    history.flush(len(log), START + 9e3, everything=True)
    reference.check(history)
    assert history.position() == len(log)
    assert history.held_bytes == 0


def test_a_stretch_of_time_is_read_with_both_its_ends(history: History) -> None:
    log = [record(1, 1, HOUR)]
    reference = Reference().add(log)
    take(history, log, 0, 1)
    for everything in (False, True):
        history.flush(1, START, everything=everything)
        for start, end in [(0, 0), (600, 600), (595, 1205), (-100, 3600), (3591, 9999), (605, 606)]:
            reference.check(history, START + start, START + end)


def test_only_the_wanted_series_are_read(history: History) -> None:
    take(history, [record(1, 2, HOUR)], 0, 1)
    assert set(history.read(1, ["load", "not there"], 0, np.inf)) == {"load"}
    assert set(history.read(1, metric("disk"), 0, np.inf)) == {'disk{name="a"}', 'disk{name="b"}'}
    assert set(history.read(1, metric("disk", name="b"), 0, np.inf)) == {'disk{name="b"}'}
    assert set(history.read(1, lambda name, labels: not labels, 0, np.inf)) == {"up", "load"}
    assert history.read(2, ["load"], 0, np.inf) == {}


def test_late_and_unordered_rows_are_read_in_order(history: History) -> None:
    random = np.random.default_rng(5)
    log = [record(1, 1, [time], seed=number) for number, time in enumerate(random.permutation(HOUR).tolist())]
    log += [record(1, 1, [-86_400.0, 3 * 86_400.0])]  # a clock that was wrong for a moment
    consume(history, log, each=50)
    Reference().add(log).check(history)
    history.flush(len(log), START, everything=True)
    Reference().add(log).check(history)


def test_a_backlog_is_cut_into_chunks_of_their_time(history: History, folder: Path) -> None:
    log = [record(1, 1, np.arange(0, 86_400, 100.0).tolist())]
    consume(history, log)
    history.flush(1, START, everything=True)
    Reference().add(log).check(history, START + 40_000, START + 41_000)
    assert history._chunks == pytest.approx(144, abs=2)


def test_a_jumping_clock_does_not_make_a_chunk_of_each_row(history: History) -> None:
    log = [record(1, 1, [0.0 if number % 2 else 5e6], seed=number) for number in range(400)]
    consume(history, log)
    history.flush(len(log), START, everything=True)
    Reference().add(log).check(history)
    assert history._chunks <= 2 * 400 / 8


def test_a_time_that_is_no_number_is_left_out(history: History) -> None:
    log = [record(1, 1, [0, np.nan, 10, np.inf, 20])]
    consume(history, log)
    history.flush(1, START, everything=True)
    times, _ = history.read(1, ["up"], 0, np.inf)["up"]
    assert times.tolist() == [START, START + 10, START + 20]


def test_silent_devices_are_written_in_the_end(history: History, folder: Path) -> None:
    log = [record(1, 1, [0, 10])]
    consume(history, log)
    history.flush(1, START + 300)
    assert history.position() == 0
    history.flush(1, START + 900)
    assert history.position() == 1


def test_memory_of_many_open_rows_is_packed(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.history.history._RAW_BYTES", 20_000)
    log = fleet(20, 55)
    take(history, log, 0, len(log))
    assert history.held_bytes < 20_000 + 20 * 8 * 4 * 8
    Reference().add(log).check(history)
    history.flush(len(log), START, everything=True)
    Reference().add(log).check(history)
    assert history.held_bytes == 0


def test_a_graph_gets_its_steps(history: History) -> None:
    values = np.array([[1.0], [3.0], [np.nan], [2.0], [8.0]])
    ref = history.schema(7, ["m"])
    history.append(1, ref, START + np.array([0.0, 5, 9, 60, 69]), values)
    steps = history.read_resolution(1, ["m"], START, START + 100, 10)["m"]
    assert steps.times.tolist() == [START, START + 60]
    assert steps.minimum.tolist() == [1, 2]
    assert steps.maximum.tolist() == [3, 8]
    assert steps.mean.tolist() == [2, 5]
    assert steps.last.tolist() == [3, 8]


def test_what_was_not_flushed_comes_again_from_the_log(history: History, folder: Path) -> None:
    log = fleet(3, 200)
    consume(history, log[:500], now=START)
    again = reopen(history, folder)
    assert again.position() < 500
    consume(again, log)
    Reference().add(log).check(again)
    again.flush(len(log), START + 1, everything=True)
    assert stored_rows(folder) == sent_rows(log)
    again.close()


def test_a_clean_stop_leaves_nothing_to_replay(history: History, folder: Path) -> None:
    log = fleet(3, 100)
    consume(history, log)
    history.flush(len(log), START, everything=True)
    again = reopen(history, folder)
    assert again.position() == len(log)
    Reference().add(log).check(again)
    again.close()


def test_the_position_moves_on_in_ordinary_running(history: History) -> None:
    log = fleet(5, 400)
    for number in range(400):
        take(history, log, 5 * number, 5 * number + 5)
        history.flush(5 * number + 5, START + number * 10)
    behind = (len(log) - history.position()) / 5 * 10
    assert 0 < behind <= 600 * 1.4


def test_a_log_that_lost_its_beginning(history: History, folder: Path) -> None:
    log = fleet(3, 100)
    consume(history, log)
    history.flush(len(log), START, everything=True)
    again = reopen(history, folder)
    again.rebase(5)
    assert again.position() == 5
    more = [record(1, 1, [5000.0 + number], seed=number) for number in range(9)]
    take(again, more, 0, 5)
    again.flush(10, START)  # nothing is full yet, and then a crash
    last = reopen(again, folder)
    assert last.position() == 5
    consume(last, [*log[:5], *more])
    last.flush(5 + len(more), START, everything=True)
    Reference().add(log).add(more).check(last)
    assert stored_rows(folder) == sent_rows(log) + len(more)
    assert last.position() == 5 + len(more)
    last.close()


records = st.builds(
    record,
    st.integers(1, 3),
    st.sampled_from(sorted(SCHEMAS)),
    st.lists(st.integers(0, 4_000).map(float), min_size=1, max_size=5),
    st.integers(0, 1000),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(records, max_size=40), st.data())
def test_any_crashes_and_flushes_give_the_same_content(
    tmp_path_factory: pytest.TempPathFactory, log: list[Record], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("crashes")
    history, position, furthest, now = History(folder, chunk_seconds=100), 0, 0, START
    for _ in range(data.draw(st.integers(0, 12))):
        action = data.draw(st.sampled_from(["read", "flush", "wait", "everything", "crash"]))
        if action == "read":
            until = data.draw(st.integers(position, len(log)))
            take(history, log, position, until)
            position = until
        elif action == "crash":
            history.close()
            history = History(folder, chunk_seconds=100)
            position = history.position()
        else:
            now += 200 if action == "wait" else 1
            history.flush(position, now, everything=action == "everything")
        furthest = max(furthest, position)
        if position == furthest:  # less far, there are chunks of what the replay has yet to come to
            Reference().add(log[:position]).check(history)
    take(history, log, position, len(log))
    history.flush(len(log), now + 1, everything=True)
    Reference().add(log).check(history)
    assert history.position() == len(log)
    assert stored_rows(folder) == sent_rows(log)
    history.close()


def test_old_days_are_deleted_as_files(history: History, folder: Path) -> None:
    log = fleet(2, 30)
    for day in range(12):
        moved = [Record(r.device, r.schema, r.times + day * 86_400, r.values) for r in log]
        take(history, moved, 0, len(moved))
        history.flush(day + 1, START + day * 86_400, everything=True)
    assert len(list(folder.glob("*.index"))) <= 9
    assert history.read(1, ["up"], START, START + 3 * 86_400) == {}
    times, _ = history.read(1, ["up"], START, np.inf)["up"]
    assert times[0] >= START + 3 * 86_400
    assert len(times) == 30 * len(list(folder.glob("*.index")))


def test_the_file_that_tells_the_position_is_not_deleted(history: History, folder: Path) -> None:
    consume(history, fleet(2, 30))
    history.flush(60, START, everything=True)
    history.drop(START + 1e9)
    again = reopen(history, folder)
    assert again.position() == 60
    again.drop(START + 1e9)
    assert again.position() == 60
    assert again.read(1, ["up"], 0, np.inf) != {}
    again.close()


def test_a_clock_that_jumps_by_a_year_and_back(history: History, folder: Path) -> None:
    log = fleet(2, 90)
    take(history, log, 0, 60)
    history.flush(60, START, everything=True)
    take(history, log, 60, 120)
    history.flush(120, START + 3e6, everything=True)
    take(history, log, 120, 180)
    history.flush(180, START, everything=True)
    again = reopen(history, folder)
    assert again.position() == 180
    again.close()


def test_a_device_is_deleted_for_good(history: History, folder: Path) -> None:
    log = fleet(3, 150)
    take(history, log, 0, 300)
    history.flush(300, START + 1000)
    take(history, log, 300, 450)
    history.drop_device(2)
    kept = Reference().add([entry for entry in log if entry.device != 2])
    kept.check(history)
    assert history.read(2, metric("up"), -np.inf, np.inf) == {}
    history.flush(450, START + 1001)
    again = reopen(history, folder)
    consume(again, log)
    kept.check(again)
    assert again.read(2, metric("up"), -np.inf, np.inf) == {}
    again.close()


def test_threads_read_while_one_writes(history: History) -> None:
    log, stop, seen = fleet(2, 600), threading.Event(), [0]
    failures: list[str] = []

    def watch() -> None:
        while not stop.is_set():
            times, _ = history.read(1, ["up"], 0, np.inf).get("up", (np.empty(0), np.empty(0)))
            whole = np.array_equal(times, START + 0.01 + 10.0 * np.arange(len(times)))
            if not whole or len(times) < seen[0]:
                failures.append(f"{len(times)} rows after {seen[0]}")
            seen[0] = len(times)

    reader = threading.Thread(target=watch)
    reader.start()
    for number in range(600):
        take(history, log, 2 * number, 2 * number + 2)
        history.flush(2 * number + 2, START + number * 10)
    stop.set()
    reader.join()
    assert failures == []
    assert seen[0] > 0


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HistoryError, match=r"cannot make the folder .*file/history"):
        History(tmp_path / "file" / "history")
