"""The fleet: devices, layouts, rows, limits, exposition."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rules.errors import EvaluationError
from rules.fleet import Fleet
from rules.layouts import Layout
from rules.promql import Query, Vector
from rules.sweeping import compact

NOW = 1_700_000_000.0
SCHEMA = [("cpu", {"mode": "idle"}), ("cpu", {"mode": "user"}), ("up", {})]


def device(fleet: Fleet, number: int = 1, **labels: str) -> Layout:
    """Add a device, and return its layout of SCHEMA."""
    fleet.add_device(number, {"instance": f"h{number}", "customer": "acme", **labels})
    return fleet.layout(number, 1, SCHEMA)


def send(fleet: Fleet, layout: Layout, at: float, *values: float) -> None:
    fleet.append(layout, np.array([at]), np.array([values], np.float64))


def ask(fleet: Fleet, expr: str, at: float = NOW) -> dict[str, float]:
    """Return values by the labels, as they are written."""
    answer = Query(fleet, expr).at(at)
    assert isinstance(answer, Vector)
    return {repr(labels): value for labels, value in answer}


def test_a_row_is_the_state_of_its_device() -> None:
    fleet = Fleet()
    layout = device(fleet)
    send(fleet, layout, NOW, 0.9, 0.1, 1)
    send(fleet, layout, NOW + 10, 0.8, 0.2, 1)
    assert ask(fleet, "cpu", NOW + 10) == {
        'cpu{customer="acme", instance="h1", mode="idle"}': 0.8,
        'cpu{customer="acme", instance="h1", mode="user"}': 0.2,
    }
    assert (fleet.series, len(fleet.devices)) == (3, 1)


def test_layouts_are_the_same_for_the_same_schema() -> None:
    fleet = Fleet()
    layout = device(fleet)
    assert fleet.layout(1, 1, SCHEMA) is layout
    assert fleet.layout(1, 2, SCHEMA[:1]) is not layout
    assert layout.device == 1


def test_a_schema_number_that_means_other_series_to_another_device() -> None:
    fleet = Fleet()
    send(fleet, device(fleet), NOW, 1, 2, 3)
    fleet.add_device(2, {"instance": "h2", "customer": "acme"})
    send(fleet, fleet.layout(2, 1, [("x", {}), ("y", {}), ("z", {})]), NOW, 4, 5, 6)
    assert ask(fleet, "z") == {'z{customer="acme", instance="h2"}': 6.0}


def test_several_rows_leave_the_last() -> None:
    fleet = Fleet()
    fleet.append(device(fleet), np.array([NOW, NOW + 1, NOW + 2]), np.arange(9, dtype=np.float64).reshape(3, 3))
    assert list(ask(fleet, "up", NOW + 2).values()) == [8.0]


def test_rows_that_come_late_are_dropped_and_counted() -> None:
    fleet = Fleet()
    layout = device(fleet)
    send(fleet, layout, NOW, 1, 2, 3)
    send(fleet, layout, NOW - 5, 7, 7, 7)
    send(fleet, layout, NOW, 8, 8, 8)
    fleet.append(layout, np.array([NOW + 2, NOW - 1, NOW + 1]), np.array([[5.0] * 3, [6.0] * 3, [4.0] * 3]))
    assert list(ask(fleet, "up", NOW + 2).values()) == [5.0]
    assert fleet.late == 3


def test_nan_is_no_value_at_once() -> None:
    fleet = Fleet()
    layout = device(fleet)
    send(fleet, layout, NOW, 1, 2, 3)
    send(fleet, layout, NOW + 1, math.nan, 2, math.nan)
    assert len(ask(fleet, "cpu", NOW + 1)) == 1
    assert ask(fleet, "up", NOW + 1) == {}
    send(fleet, layout, NOW + 2, 1, math.inf, 1)
    assert sorted(ask(fleet, "cpu", NOW + 2).values()) == [1.0, math.inf]


def test_a_value_is_current_for_less_than_five_minutes() -> None:
    fleet = Fleet()
    send(fleet, device(fleet), NOW + 0.123, 1, 2, 3)
    assert len(ask(fleet, "up", NOW + 300.122)) == 1
    assert ask(fleet, "up", NOW + 300.123) == {}


def test_a_series_that_the_new_layout_lacks_is_gone() -> None:
    fleet = Fleet()
    send(fleet, device(fleet), NOW, 1, 2, 3)
    send(fleet, fleet.layout(1, 2, [("up", {}), ("new", {})]), NOW + 1, 4, 5)
    assert ask(fleet, "cpu", NOW + 1) == {}
    assert list(ask(fleet, "up", NOW + 1).values()) == [4.0]
    assert fleet.series == 2
    send(fleet, fleet.layout(1, 1, SCHEMA), NOW + 2, 6, 7, 8)
    assert list(ask(fleet, "cpu", NOW + 2).values()) == [6.0, 7.0]
    assert ask(fleet, "new", NOW + 2) == {}


def test_sources_of_one_device_do_not_replace_each_other() -> None:
    fleet = Fleet()
    send(fleet, device(fleet), NOW, 1, 2, 3)
    send(fleet, fleet.layout(1, 9, [("ping", {})], source="collector"), NOW, 1)
    assert len(ask(fleet, "cpu")) == 2
    assert len(ask(fleet, "ping")) == 1


def test_labels_that_clash_with_target_labels_are_renamed() -> None:
    fleet = Fleet()
    fleet.add_device(1, {"instance": "h1", "job": "agent", "exported_job": "x"})
    send(fleet, fleet.layout(1, 1, [("m", {"instance": "own", "job": "mine", "empty": ""})]), NOW, 1)
    assert list(ask(fleet, "m")) == [
        'm{exported_exported_job="mine", exported_instance="own", exported_job="x", instance="h1", job="agent"}'
    ]


def test_target_labels_may_change() -> None:
    fleet = Fleet()
    query = Query(fleet, "sum by (site) (up)")
    layout = device(fleet, site="here")
    send(fleet, layout, NOW, 1, 2, 3)
    assert repr(query.at(NOW)) == 'Vector({site="here"} 3.0)'
    fleet.add_device(1, {"instance": "h1", "customer": "other", "mode": "x"})
    assert repr(query.at(NOW)) == "Vector({} 3.0)"
    assert 'cpu{customer="other", exported_mode="idle", instance="h1", mode="x"}' in ask(fleet, "cpu")
    send(fleet, layout, NOW + 1, 4, 5, 6)
    assert repr(query.at(NOW + 1)) == "Vector({} 6.0)"
    assert fleet.customers == {"acme": 0, "other": 3}


def test_a_device_that_leaves_is_gone_and_its_slots_are_used_again() -> None:
    fleet = Fleet()
    query = Query(fleet, "cpu")
    layout = device(fleet)
    send(fleet, layout, NOW, 1, 2, 3)
    assert len(query.at(NOW)) == 2  # type: ignore[arg-type]
    size = fleet.array.size
    fleet.remove_device(1)
    fleet.remove_device(1)
    assert len(query.at(NOW)) == 0  # type: ignore[arg-type]
    assert (fleet.series, len(fleet.devices)) == (0, 0)
    send(fleet, layout, NOW + 1, 1, 2, 3)  # a batch that was under way
    assert fleet.late == 1
    send(fleet, device(fleet, 2), NOW + 1, 4, 5, 6)
    assert fleet.array.size == size
    answer = query.at(NOW + 1)
    assert isinstance(answer, Vector)
    assert [labels["instance"] for labels in answer.labels] == ["h2", "h2"]


def test_an_unknown_device_has_no_layout() -> None:
    with pytest.raises(KeyError):
        Fleet().layout(1, 1, SCHEMA)


def test_a_device_has_no_more_series_than_it_may() -> None:
    fleet = Fleet(device_limit=2)
    send(fleet, device(fleet), NOW, 1, 2, 3)
    assert fleet.series == 2
    assert fleet.refused == {1: 1}
    assert ask(fleet, "up") == {}
    send(fleet, fleet.layout(1, 2, [("up", {})]), NOW + 1, 9)
    assert list(ask(fleet, "up", NOW + 1).values()) == [9], "the series that went made room"


def test_room_that_another_series_leaves_can_be_taken() -> None:
    fleet = Fleet(device_limit=2)
    send(fleet, device(fleet), NOW, 1, 2, 3)
    send(fleet, fleet.layout(1, 2, [("cpu", {"mode": "idle"})]), NOW + 1, 9)
    send(fleet, fleet.layout(1, 3, [("cpu", {"mode": "idle"}), ("up", {})]), NOW + 2, 9, 1)
    assert list(ask(fleet, "up", NOW + 2).values()) == [1.0]


def test_a_customer_has_no_more_series_than_it_may() -> None:
    fleet = Fleet(customer_limit=4)
    for number in (1, 2):
        send(fleet, device(fleet, number), NOW, 1, 2, 3)
    send(fleet, device(fleet, 3, customer="other"), NOW, 1, 2, 3)
    assert fleet.refused == {2: 2}
    assert fleet.customers == {"acme": 4, "other": 3}
    fleet.remove_device(1)
    send(fleet, device(fleet, 4), NOW, 1, 2, 3)
    assert fleet.customers["acme"] == 4


def test_exposition_is_prometheus_text_grouped_by_metric() -> None:
    fleet = Fleet()
    send(fleet, device(fleet, 1), NOW, 0.5, math.inf, 1)
    send(fleet, device(fleet, 2, customer='a"\\\n%d'), NOW, -math.inf, math.nan, 1e300)
    text = b"".join(fleet.exposition()).decode()
    assert text.splitlines() == [
        'cpu{mode="idle",instance="h1",customer="acme"} 0.5',
        'cpu{mode="user",instance="h1",customer="acme"} +Inf',
        'cpu{mode="idle",instance="h2",customer="a\\"\\\\\\n%d"} -Inf',
        'up{instance="h1",customer="acme"} 1.0',
        'up{instance="h2",customer="a\\"\\\\\\n%d"} 1e+300',
    ]
    assert b"".join(fleet.exposition({"customer": "acme"})).count(b"\n") == 3
    assert b"".join(fleet.exposition({"customer": "nobody"})) == b""


def test_nan_is_a_value_where_the_fleet_is_told_so() -> None:
    fleet = Fleet(keep_nan=True)
    send(fleet, device(fleet), NOW, math.nan, 1, 2)
    assert len(ask(fleet, "cpu")) == 2
    assert b"NaN" in b"".join(fleet.exposition())


def test_series_that_come_and_go_leave_no_labels_behind() -> None:
    fleet = Fleet()
    query = Query(fleet, 'sum by (instance) (work{pid=~".+"})')
    fleet.add_device(1, {"instance": "h1"})
    for turn in range(30):
        series = [("work", {"pid": str(1000 * turn + k)}) for k in range(1000)]
        fleet.append(fleet.layout(1, turn, series), np.array([NOW + turn]), np.ones((1, 1000)))
        fleet.devices[1].sources["agent"].layouts.clear()
        assert repr(query.at(NOW + turn)) == 'Vector({instance="h1"} 1000.0)'
    assert len(fleet.series_table.rows) == 30_000
    compact(fleet)
    assert len(fleet.series_table.rows) == 1000
    assert len(fleet.strings.texts) < 1010
    assert repr(query.at(NOW + 40)) == 'Vector({instance="h1"} 1000.0)'


def test_label_tables_are_compacted_as_time_goes_on() -> None:
    fleet = Fleet()
    fleet.add_device(1, {"instance": "h1"})
    query = Query(fleet, "count(work)")
    for turn in range(30):
        series = [("work", {"pid": str(1000 * turn + k)}) for k in range(1000)]
        fleet.append(fleet.layout(1, turn, series), np.array([NOW + 61 * turn]), np.ones((1, 1000)))
        fleet.devices[1].sources["agent"].layouts.clear()
        assert repr(query.at(NOW + 61 * turn)) == "Vector({} 1000.0)"
    assert len(fleet.series_table.rows) < 15_000


def test_an_error_of_one_expression_leaves_the_others() -> None:
    fleet = Fleet()
    send(fleet, device(fleet), NOW, 1, 2, 3)
    with pytest.raises(EvaluationError, match="many-to-many"):
        ask(fleet, "up * on(instance) cpu")
    assert len(ask(fleet, "cpu")) == 2
