"""Rows keep their columns as long as possible, and never outgrow what a collector takes."""

import math

from agent import wire
from agent.batch import KEEP_ABSENT, MAX_COLUMNS, MAX_TEXT, Layout
from tests.agent.helpers import NOW


def names(layout: Layout) -> list[str]:
    return layout.payload.decode().split("\n")


def row(layout: Layout, readings: dict[str, float], now: float = NOW) -> dict[str, float]:
    values = layout.row(readings, now)
    return dict(zip(names(layout), values, strict=True))


def test_the_schema_stays_while_the_series_stay() -> None:
    layout = Layout()
    assert row(layout, {"a": 1.0, "b": 2.0}) == {"a": 1.0, "b": 2.0}
    first = layout.schema
    assert layout.row({"b": 4.0, "a": 3.0}, NOW) == [3.0, 4.0]
    assert layout.schema == first == wire.schema_id(layout.payload)


def test_a_series_that_is_absent_has_no_value_and_keeps_its_column() -> None:
    layout = Layout()
    row(layout, {"a": 1.0, "b": 2.0, "c": 3.0})
    first = layout.schema
    found = row(layout, {"a": 1.0, "c": 3.0})
    assert math.isnan(found["b"])
    assert row(layout, {"a": 1.0, "b": 5.0, "c": 3.0})["b"] == 5.0
    assert layout.schema == first


def test_a_new_series_gets_a_column_and_the_old_ones_stay() -> None:
    layout = Layout()
    row(layout, {"a": 1.0, "b": 2.0, "c": 3.0})
    row(layout, {"a": 1.0, "c": 3.0})
    found = row(layout, {"a": 1.0, "c": 3.0, "d": 4.0})
    assert list(found) == ["a", "b", "c", "d"]
    assert math.isnan(found["b"])


def test_a_series_that_stays_away_loses_its_column_at_the_next_change() -> None:
    layout = Layout()
    row(layout, {"a": 1.0, "b": 2.0, "c": 3.0})
    row(layout, {"a": 1.0, "c": 3.0}, NOW + 1)
    found = row(layout, {"a": 1.0, "c": 3.0, "d": 4.0}, NOW + 2 + KEEP_ABSENT)
    assert list(found) == ["a", "c", "d"]


def test_when_most_have_gone_the_columns_are_laid_anew() -> None:
    layout = Layout()
    row(layout, {f"s{number}": 1.0 for number in range(100)})
    assert list(row(layout, {"s3": 1.0, "s4": 1.0})) == ["s3", "s4"]


def test_too_many_series_are_cut_and_counted() -> None:
    layout = Layout()
    readings = {f"s{number}": 1.0 for number in range(MAX_COLUMNS + 50)}
    assert len(row(layout, readings)) == layout.columns == MAX_COLUMNS
    assert layout.dropped == 50
    first = layout.schema
    row(layout, readings)
    assert layout.schema == first


def test_long_names_are_cut_by_their_bytes() -> None:
    layout = Layout()
    row(layout, {f'a{{b="{"é" * 1000}{number}"}}': 1.0 for number in range(1_000)})
    assert len(layout.payload) <= MAX_TEXT
    assert layout.dropped == 1_000 - layout.columns
    wire.read_schema(layout.payload)
