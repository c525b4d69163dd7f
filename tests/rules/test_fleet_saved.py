"""A fleet as bytes and back: every answer the same to the bit, then and afterwards."""

from __future__ import annotations

import numpy as np
import pytest

from rules.errors import StateError
from rules.fleet import Fleet
from rules.layouts import Layout
from rules.promql import Query, Vector

NOW = 1_700_000_000.0
SCHEMA = [("a", {"x": str(k)}) for k in range(5)] + [("b", {}), ("c", {"instance": "own"})]
EXPRESSIONS = (
    "a",
    "rate(b[1m])",
    "sum(a)",
    "a offset 30s",
    "max_over_time(a[2m:20s])",
    "a * on(instance) group_left b",
)


def fill(fleet: Fleet, turns: range) -> None:
    rng = np.random.default_rng(turns.start)
    for turn in turns:
        for number in range(10):
            if number not in fleet.devices:
                fleet.add_device(number, {"instance": f"h{number}", "customer": "c"})
            schema = SCHEMA if (turn + number) % 7 else SCHEMA[2:]
            values = rng.random((1, len(schema)))
            values[rng.random(values.shape) < 0.1] = np.nan
            fleet.append(fleet.layout(number, len(schema), schema), np.array([NOW + 10 * turn + number / 7]), values)


def answers(queries: list[Query], at: float) -> list[list[tuple[str, bytes]]]:
    found = []
    for query in queries:
        answer = query.at(at)
        assert isinstance(answer, Vector)
        found.append(sorted((repr(labels), np.float64(value).tobytes()) for labels, value in answer))
    return found


@pytest.mark.parametrize("compiled_first", [True, False])
def test_a_restored_fleet_goes_on_as_the_first(compiled_first: bool) -> None:
    first, second = Fleet(), Fleet()
    mine = [Query(first, expr) for expr in EXPRESSIONS]
    fill(first, range(40))
    before = answers(mine, NOW + 400)
    theirs = [Query(second, expr) for expr in EXPRESSIONS] if compiled_first else []
    if compiled_first:
        fill(second, range(100, 103))
        answers(theirs, NOW + 1030)
    second.restore(first.dump())
    theirs = theirs or [Query(second, expr) for expr in EXPRESSIONS]
    assert answers(theirs, NOW + 400) == before
    for fleet in (first, second):
        fill(fleet, range(40, 60))
    assert answers(mine, NOW + 600) == answers(theirs, NOW + 600)
    assert b"".join(first.exposition()) == b"".join(second.exposition())
    assert (first.series, first.late, first.customers) == (second.series, second.late, second.customers)


def test_a_dump_of_what_was_restored_is_the_same() -> None:
    first, second, third = Fleet(), Fleet(), Fleet()
    queries = [Query(fleet, "rate(b[1m])") for fleet in (first, second, third)]
    fill(first, range(20))
    second.restore(first.dump())
    third.restore(second.dump())
    assert third.dump() == second.dump()
    assert len(queries) == 3


def test_layouts_from_before_a_restore_write_nothing() -> None:
    fleet = Fleet()
    fleet.add_device(1, {"instance": "h1"})
    layout: Layout = fleet.layout(1, 1, SCHEMA)
    fleet.append(layout, np.array([NOW]), np.ones((1, 7)))
    fleet.restore(fleet.dump())
    fleet.append(layout, np.array([NOW + 1]), np.full((1, 7), 5.0))
    assert fleet.late == 1
    fleet.append(fleet.layout(1, 1, SCHEMA), np.array([NOW + 1]), np.full((1, 7), 6.0))
    assert answers([Query(fleet, "b")], NOW + 1)[0][0][1] == np.float64(6).tobytes()


def test_an_empty_fleet_can_be_restored() -> None:
    fleet = Fleet()
    fill(fleet, range(3))
    fleet.restore(Fleet().dump())
    assert (fleet.series, fleet.devices) == (0, {})


def test_a_damaged_dump_changes_nothing() -> None:
    fleet = Fleet()
    fill(fleet, range(3))
    before = fleet.dump()
    other = Fleet()
    fill(other, range(5))
    dump = other.dump()
    broken = [b"", b"x", dump[:-1], dump[: len(dump) // 2], b"WDFLEET9" + dump[8:], dump + b"x"]
    flipped = bytearray(dump)
    flipped[len(dump) // 3] ^= 1
    for bad in (*broken, bytes(flipped)):
        with pytest.raises(StateError):
            fleet.restore(bad)
    assert fleet.dump() == before
