"""Counting rows so that a replay repeats none and loses none."""

from hypothesis import given
from hypothesis import strategies as st

from collector.history.progress import Mark, Progress


def test_nothing_was_read_at_first() -> None:
    progress = Progress()
    assert progress.base == Mark(0, {})
    assert progress.take(1, 5) == 0


def test_the_base_waits_for_the_slowest_device() -> None:
    progress = Progress()
    progress.take(1, 3)
    progress.take(2, 4)
    progress.mark(10)
    progress.wrote(1, 3)
    assert not progress.advance()
    progress.wrote(2, 4)
    progress.wrote(2, 1)
    assert progress.advance()
    assert progress.base == Mark(10, {1: 3, 2: 4})


def test_rows_in_chunks_are_taken_for_what_they_are() -> None:
    progress = Progress(Mark(10, {1: 3}), {1: 8, 2: 2})
    assert progress.take(1, 4) == 4  # rows 3 to 7 of device 1
    assert progress.take(1, 4) == 1
    assert progress.take(1, 4) == 0
    assert progress.take(2, 2) == 2
    assert progress.take(3, 1) == 0


RECORDS = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4)), max_size=30)


@given(RECORDS, st.data())
def test_after_any_crash_each_row_is_written_once(records: list[tuple[int, int]], data: st.DataObject) -> None:
    """Devices write all that they saw, at moments of their own; the marks are made at others; then a crash."""
    kept: dict[int, list[tuple[int, int]]] = {}
    progress, saved = Progress(), (Mark(0, {}), dict[int, int]())
    position = 0
    waiting: dict[int, list[tuple[int, int]]] = {}
    while position < len(records) or any(waiting.values()):
        action = data.draw(st.sampled_from(["read", "write", "mark", "crash", "end"]))
        if action == "read" and position < len(records):
            device, rows = records[position]
            skipped = progress.take(device, rows)
            waiting.setdefault(device, []).extend((position, row) for row in range(skipped, rows))
            position += 1
        elif action == "write" or position == len(records):
            for device in list(waiting) if action == "end" or position == len(records) else list(waiting)[:1]:
                kept.setdefault(device, []).extend(waiting.pop(device))
                progress.wrote(device, progress.seen[device])
            progress.advance()
            saved = (progress.base, dict(progress.written))
        elif action == "mark":
            progress.mark(position)
        elif action == "crash":
            progress, waiting = Progress(*saved), {}
            position = progress.base.position
    for device in {device for device, _ in records}:
        sent = [(number, row) for number, (by, rows) in enumerate(records) if by == device for row in range(rows)]
        assert kept.get(device, []) == sent
