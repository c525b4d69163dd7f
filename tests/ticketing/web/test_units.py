"""Values and durations as people read them."""

import math

import pytest
from babel import Locale

from ticketing.web.units import duration, quantity

ENGLISH, CHINESE = Locale.parse("en"), Locale.parse("zh_CN")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (96.14, "%", "96.1%"),
        (100, "%", "100%"),
        (8.923, "%", "8.9%"),
        (0.961, "ratio", "96.1%"),
        (38.4e9, "B", "38.4 GB"),
        (999, "B", "999 B"),
        (999.7, "B", "1 kB"),
        (1e21, "B", "1,000,000 PB"),
        (-2e6, "B/s", "-2 MB/s"),
        (44, "°C", "44 °C"),
        (12, "", "12"),
        (1234567, "", "1.23 M"),
        (0, "B", "0 B"),
        (math.nan, "%", "–"),
        (math.inf, "B", "–"),
    ],
)
def test_quantities(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit, ENGLISH) == text


@pytest.mark.parametrize(
    ("seconds", "english", "chinese"),
    [
        (0, "0 sec", "0秒"),
        (0.034, "0.034 sec", "0.034秒"),
        (3.5, "3.5 sec", "3.5秒"),
        (59.9, "59 sec", "59秒"),
        (60, "1 min", "1分钟"),
        (7199, "119 min", "119分钟"),
        (7200, "2 hr", "2小时"),
        (86400 * 2 - 1, "47 hr", "47小时"),
        (86400 * 41, "41 days", "41天"),
    ],
)
def test_durations(seconds: float, english: str, chinese: str) -> None:
    assert duration(seconds, ENGLISH) == english
    assert duration(seconds, CHINESE) == chinese
