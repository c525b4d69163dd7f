"""Lines that a machine can read and nothing can forge."""

import pytest

from agent.log import Log


def lines(level: str = "debug") -> tuple[Log, list[str]]:
    kept: list[str] = []
    return Log(level, kept.append), kept


def test_one_line_with_time_level_event_and_fields() -> None:
    log, kept = lines()
    log.info("probe failed", probe="disk", seconds=0.25)
    (line,) = kept
    assert line.startswith("ts=20")
    assert line.endswith("level=info event=probe failed probe=disk seconds=0.25\n")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a b", '"a b"'),
        ('say "x"', '"say \\"x\\""'),
        ("two\nlines", '"two\\\\x0alines"'),
        ("\x1b[31mred", '"\\\\x1b[31mred"'),
        ("", '""'),
        ("a=b", '"a=b"'),
    ],
)
def test_values_cannot_break_out(value: str, written: str) -> None:
    log, kept = lines()
    log.warning("x", value=value)
    assert kept[0].endswith(f"value={written}\n")
    assert kept[0].count("\n") == 1


def test_a_very_long_value_is_cut() -> None:
    log, kept = lines()
    log.error("x", value="a" * 1_000_000)
    assert len(kept[0]) < 1_200


def test_what_is_below_the_level_is_not_written() -> None:
    log, kept = lines("warning")
    log.debug("a")
    log.info("b")
    log.warning("c")
    log.error("d")
    assert ["event=c" in kept[0], "event=d" in kept[1], len(kept)] == [True, True, 2]
