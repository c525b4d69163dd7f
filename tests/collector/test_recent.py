"""The rate of the last minute."""

from __future__ import annotations

from collector.recent import RecentRate


def test_the_rate_is_that_of_the_last_minute() -> None:
    recent = RecentRate()
    assert recent.rate() == 0
    recent.note(0.0, 0.0)
    assert recent.rate() == 0
    recent.note(10.0, 1000.0)
    recent.note(12.0, 1000.0)  # agents report in bursts: nothing in two seconds is not nothing
    assert recent.rate() == 1000 / 12
    for second in range(14, 200, 2):
        recent.note(float(second), 1000.0 + 5 * (second - 12))
    assert recent.rate() == 5


def test_a_clock_that_is_put_back_begins_anew() -> None:
    recent = RecentRate()
    recent.note(100.0, 0.0)
    recent.note(50.0, 10.0)
    assert recent.rate() == 0
    recent.note(60.0, 30.0)
    assert recent.rate() == 2
