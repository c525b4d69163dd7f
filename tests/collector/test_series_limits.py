"""Series beyond a limit: counted, told by customer, and a ticket's worth of attention by a rule that ships."""

from __future__ import annotations

import numpy as np

from rules.fleet import Fleet


def send(fleet: Fleet, device: int, schema: int, count: int) -> None:
    columns = [("a", {"n": f"{schema}-{n}"}) for n in range(count)]
    fleet.append(fleet.layout(device, schema, columns), np.array([1000.0 + schema]), np.ones((1, count)))


def test_what_a_device_sends_too_much_is_missing_until_it_sends_less() -> None:
    fleet = Fleet(device_limit=3, customer_limit=5)
    fleet.add_device(1, {"customer": "acme"})
    fleet.add_device(2, {"customer": "acme"})
    send(fleet, 1, 1, 10)
    send(fleet, 2, 1, 3)
    assert [fleet.devices[n].missing() for n in (1, 2)] == [7, 1]
    assert fleet.series == 5
    send(fleet, 1, 2, 2)
    assert fleet.devices[1].missing() == 0
    assert fleet.refused == {1: 7, 2: 1}, "what was refused stays counted"


def test_series_that_appear_and_vanish_by_the_thousand_leave_nothing() -> None:
    fleet = Fleet(device_limit=100)
    fleet.add_device(1, {"customer": "acme"})
    for schema in range(300):
        send(fleet, 1, schema, 100)
        fleet.devices[1].sources["agent"].layouts.clear()
    assert fleet.series == 100
    assert fleet.devices[1].count == fleet.customers["acme"] == 100
    assert not fleet.refused
