"""How often time enters the log."""

from __future__ import annotations

import pytest

from collector.ingest.spine import TICK_AT_LEAST, TICK_AT_MOST, pause


@pytest.mark.parametrize(
    ("cost", "wanted"),
    [(0.0, TICK_AT_MOST), (0.005, TICK_AT_MOST), (0.05, 0.4), (1.0, TICK_AT_LEAST)],
    ids=["nothing", "cheap", "dear", "too dear"],
)
def test_dear_ticks_come_less_often_yet_always_within_a_second(cost: float, wanted: float) -> None:
    assert pause(cost) == pytest.approx(wanted)
