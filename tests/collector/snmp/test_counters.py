"""Counters: whatever a device does to them, a total never goes back and never leaps."""

import math
import random
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from collector.snmp import oid
from collector.snmp.compiled import compiled
from collector.snmp.pdu import Value
from collector.snmp.profile import Profiles
from collector.snmp.shapes import Memory, Shapes

PROFILES = Profiles.load()
IF, IFX = "1.3.6.1.2.1.2.2.1", "1.3.6.1.2.1.31.1.1.1"
Port = dict[str, Value]


class Switch:
    """A switch whose ports are told by name, polled without a network."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.shapes = Shapes()
        self.ready = compiled(PROFILES.get("interfaces32"))
        self.at = 1_000_000.0

    def poll(self, ports: dict[int, Port], uptime: float | None, seconds: float = 10.0) -> dict[str, float]:
        """Return the series after another poll, `seconds` after the one before."""
        self.at += seconds
        objects: dict[str, Value] = {}
        for index, port in ports.items():
            for name, column in COLUMNS.items():
                if name in port:
                    objects[f"{column}.{index}"] = port[name]
        ordered = sorted(objects, key=oid.parse)
        names, values = [oid.encode(name) for name in ordered], [objects[name] for name in ordered]
        readings = self.shapes.readings(self.memory, self.ready, names, values)
        numbers = readings.values(values)
        breaks = readings.breaks(values) if readings.breaks else ()
        self.memory.totals.take(readings, numbers, self.at, uptime, breaks)
        return dict(zip(readings.series, numbers.tolist(), strict=True))


COLUMNS = {
    "name": f"{IFX}.1",
    "alias": f"{IFX}.18",
    "admin": f"{IF}.7",
    "oper": f"{IF}.8",
    "in": f"{IFX}.6",
    "in32": f"{IF}.10",
    "errors": f"{IF}.14",
    "speed": f"{IFX}.15",
    "break": f"{IFX}.19",
}


def port(name: str = "Gi1", /, **more: Value) -> Port:
    return {"name": name.encode(), "admin": 1, "oper": 1, "speed": 1000, **more}


def only(series: dict[str, float], metric: str) -> float:
    found = [value for name, value in series.items() if name.startswith(metric + "{")]
    assert len(found) == 1, series
    return found[0]


def gains(metric: str, key: str, values: list[int], uptimes: Sequence[float | None], **more: Value) -> list[float]:
    switch = Switch()
    totals = [
        only(switch.poll({1: port(**{key: value}, **more)}, uptime), metric)
        for value, uptime in zip(values, uptimes, strict=True)
    ]
    return [after - before for before, after in pairwise(totals)]


UP = [100.0, 110.0, 120.0]


def test_a_counter_counts() -> None:
    assert gains("ifHCInOctets", "in", [5, 1005, 3005], UP) == [1000, 2000]


def test_a_32_bit_counter_wraps() -> None:
    assert gains("ifInOctets", "in32", [2**32 - 100, 400, 900], UP) == [500, 500]


def test_a_64_bit_counter_never_wraps_by_jumping_back() -> None:
    assert gains("ifHCInOctets", "in", [2**40, 2**40 - 1000, 2**40], UP) == [0, 1000]


def test_a_counter_that_was_cleared_begins_anew() -> None:
    assert gains("ifInErrors", "errors", [2**31 - 5, 3, 4], UP) == [0, 1]


def test_a_restart_counts_what_was_since() -> None:
    assert gains("ifHCInOctets", "in", [10**12, 5000, 6000], [1000.0, 4.0, 14.0]) == [5000, 1000]


def test_a_restart_after_which_the_counter_stands_anywhere_counts_nothing() -> None:
    assert gains("ifHCInOctets", "in", [10**12, 10**15, 10**15 + 7], [1000.0, 4.0, 14.0]) == [0, 7]


def test_the_time_since_start_wraps_after_497_days() -> None:
    last = 2**32 / 100
    assert gains("ifHCInOctets", "in", [1000, 2000, 3000], [last - 5, 5.0, 15.0]) == [1000, 1000]


@pytest.mark.parametrize("leap", [10**12, 10**14, 10**15])
def test_more_than_the_port_can_carry_is_not_believed(leap: int) -> None:
    assert gains("ifHCInOctets", "in", [1000, leap, leap + 10], UP) == [0, 10]


def test_a_discontinuity_counts_nothing() -> None:
    switch = Switch()
    rows: list[Port] = [
        port(**{"in": 10**6, "break": 7}),
        port(**{"in": 10**7, "break": 9}),
        port(**{"in": 10**7 + 5, "break": 9}),
    ]
    totals = [only(switch.poll({1: row}, uptime), "ifHCInOctets") for row, uptime in zip(rows, UP, strict=True)]
    assert [after - before for before, after in pairwise(totals)] == [0, 5]


def test_renumbered_ports_stay_with_their_names() -> None:
    switch = Switch()
    before = switch.poll({1: port("Gi1", **{"in": 100}), 2: port("Gi2", **{"in": 900})}, 1000.0)
    after = switch.poll({2: port("Gi1", **{"in": 10}), 7: port("Gi2", **{"in": 20}), 1: port("Gi9", **{"in": 30})}, 5.0)
    assert set(before) < set(after)
    assert after['ifHCInOctets{ifIndex="1",ifName="Gi1",ifAlias=""}'] == 110
    assert after['ifHCInOctets{ifIndex="2",ifName="Gi2",ifAlias=""}'] == 920
    new = [name for name in after if "Gi9" in name and "ifHCInOctets" in name]
    assert new == ['ifHCInOctets{ifIndex="8",ifName="Gi9",ifAlias=""}']


def test_a_name_given_to_a_port_keeps_its_total() -> None:
    switch = Switch()
    switch.poll({1: port(in32=2**32 - 100)}, 100.0)
    assert only(switch.poll({1: port(in32=50)}, 110.0), "ifInOctets") == 2**32 + 50
    assert only(switch.poll({1: port(alias=b"uplink", in32=60)}, 120.0), "ifInOctets") >= 60


def test_the_memory_survives_a_restart_of_the_collector() -> None:
    switch = Switch()
    switch.poll({1: port(in32=2**32 - 100)}, 100.0)
    switch.poll({1: port(in32=50)}, 110.0)
    saved = switch.memory.totals.save()
    assert saved is not None
    other = Switch()
    other.at = switch.at
    other.memory.totals.restore(saved)
    assert only(other.poll({1: port(in32=80)}, 120.0), "ifInOctets") == 2**32 + 80


def test_ports_that_are_switched_off_keep_their_states_alone() -> None:
    switch = Switch()
    series = switch.poll({1: port(**{"in": 1}), 2: {**port("Gi2", **{"in": 1}), "admin": 2}}, 100.0)
    assert [name.partition("{")[0] for name in series if "Gi2" in name] == ["ifAdminStatus", "ifOperStatus"]
    assert len([name for name in series if "Gi1" in name]) > 3


def test_fuzz_no_counter_goes_back_or_leaps() -> None:
    dice = random.Random(11)
    for _ in range(200):
        switch = Switch()
        uptime, value, last = 1000.0, dice.getrandbits(32), math.nan
        for _ in range(20):
            seconds = dice.choice([1.0, 10.0, 60.0])
            uptime += seconds
            match dice.randrange(5):
                case 0:
                    uptime, value = dice.uniform(0, seconds), dice.choice([0, 100, dice.getrandbits(32)])
                case 1:
                    value = dice.getrandbits(dice.choice([8, 32]))
                case _:
                    value = (value + dice.randrange(10**8)) % 2**32
            total = only(switch.poll({1: port(in32=value)}, uptime, seconds), "ifInOctets")
            if not math.isnan(last):
                assert 0 <= total - last <= 2.5e8 * seconds
            last = total


def test_no_number_is_no_value() -> None:
    switch = Switch()
    switch.poll({1: port(**{"in": 5})}, 100.0)
    series = switch.poll({1: port(**{"in": b"text"})}, 110.0)
    assert not [name for name, value in series.items() if name.startswith("ifHCInOctets") and not np.isnan(value)]
