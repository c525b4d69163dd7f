"""Thresholds: the most specific line wins, and rules read them as series."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest

from rules.errors import TableError
from rules.fleet import Fleet
from rules.promql import Query, Vector
from rules.thresholds import Thresholds, counts, parse

TABLE = """
    thresholds:
      disk_used_percent:
        - {severity: warning, value: 85, customer: acme}
        - {severity: warning, value: 70, customer: acme, class: server}
        - {severity: warning, value: 75, class: server}
        - {severity: warning, value: 60, site: hq, customer: acme}
        - {severity: warning, value: 65, role: database}
        - {severity: warning, value: 95, device: archive.hq.acme}
        - {severity: critical, value: 99, device: archive.hq.acme}
      cpu_used_percent:
        - {value: 50}
    """


def device(instance: str, **labels: str) -> dict[str, str]:
    return {"instance": instance, **labels}


@pytest.mark.parametrize(
    ("labels", "warning"),
    [
        (device("a.b.other"), None),
        (device("a.b.other", **{"class": "server"}), 75),
        (device("a.b.acme", customer="acme"), 85),
        (device("a.b.acme", customer="acme", **{"class": "server"}), 70),
        (device("a.hq.acme", customer="acme", site="hq", **{"class": "server"}), 60),
        (device("a.hq.acme", customer="acme", site="hq", role="database"), 65),
        (device("archive.hq.acme", customer="acme", site="hq", role="database"), 95),
    ],
)
def test_the_most_specific_line_holds(labels: dict[str, str], warning: float | None) -> None:
    values = parse(textwrap.dedent(TABLE), "t.yml").of(labels)
    assert values.get(("disk_used_percent", "warning")) == warning
    assert values["cpu_used_percent", ""] == 50


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("thresholds: [", 2, "not YAML"),
        ("threshold: {}", 1, "unknown key 'threshold'"),
        ("thresholds: []", 1, "thresholds must be a mapping of names to lists"),
        ("thresholds:\n  a-b: []", 2, "invalid name of a threshold: 'a-b'"),
        ("thresholds:\n  a: 5", 2, "a must be a list"),
        ("thresholds:\n  a:\n  - {value: 5, host: x}", 3, "unknown key 'host'"),
        ("thresholds:\n  a:\n  - {customer: x}", 3, "a line of a must have a value"),
        ("thresholds:\n  a:\n  - {value: much}", 3, "value must be a number"),
        ("thresholds:\n  a:\n  - {value: .nan}", 3, "value must not be NaN"),
        ("thresholds:\n  a:\n  - {value: 1, customer: ''}", 3, "customer must not be empty"),
        ("thresholds:\n  a:\n  - {value: 1, site: x}\n  - {site: x, value: 2}", 4, "already at line 3"),
    ],
)
def test_faults_have_their_line(text: str, line: int, message: str) -> None:
    with pytest.raises(TableError) as caught:
        parse(text, "t.yml")
    assert message in caught.value.message
    assert (caught.value.file, caught.value.line) == ("t.yml", line)


class World:
    """Two devices with disks, and a rule that joins the thresholds."""

    RULE = 'disk > on (instance) group_left () watchdesk_threshold{name="disk_used_percent",severity="warning"}'

    def __init__(self) -> None:
        self.fleet = Fleet()
        self.thresholds = Thresholds(self.fleet)
        self.query = Query(self.fleet, self.RULE)
        for number, name in enumerate(("a", "b"), 1):
            self.fleet.add_device(number, device(f"{name}.hq.acme", customer="acme"))

    def tick(self, now: float, disk: float = 80.0) -> list[str]:
        """The devices that are above their threshold."""
        for number in (1, 2):
            if number in self.fleet.devices:
                layout = self.fleet.layout(number, 1, [("disk", {})])
                self.fleet.append(layout, np.array([now]), np.array([[disk]]))
        self.thresholds.tick(now)
        answer = self.query.at(now)
        assert isinstance(answer, Vector)
        return sorted(labels["instance"] for labels in answer.labels)


LOW = "thresholds: {disk_used_percent: [{severity: warning, value: 70, device: a.hq.acme}]}"
ALL = "thresholds: {disk_used_percent: [{severity: warning, value: 70, customer: acme}]}"


def test_rules_read_them_as_series() -> None:
    world = World()
    assert world.tick(1) == []
    world.thresholds.load(LOW, "t.yml")
    assert world.tick(2) == ["a.hq.acme"]


def test_a_change_of_the_table_holds_at_the_next_tick() -> None:
    world = World()
    world.thresholds.load(LOW, "t.yml")
    assert world.tick(1) == ["a.hq.acme"]
    world.thresholds.load(ALL, "t.yml")
    assert world.tick(2) == ["a.hq.acme", "b.hq.acme"]
    world.thresholds.load(LOW.replace("70", "90"), "t.yml")
    assert world.tick(3) == []
    world.thresholds.load("", "t.yml")
    assert world.tick(4) == []
    assert b"watchdesk_threshold" not in b"".join(world.fleet.exposition())


def test_a_bad_table_changes_nothing() -> None:
    world = World()
    world.thresholds.load(LOW, "t.yml")
    with pytest.raises(TableError):
        world.thresholds.load("thresholds: 1", "t.yml")
    assert world.tick(1) == ["a.hq.acme"]


def test_they_stay_current_and_follow_their_devices() -> None:
    world = World()
    world.thresholds.load(ALL, "t.yml")
    for now in range(1, 2000, 20):
        assert world.tick(float(now)) == ["a.hq.acme", "b.hq.acme"]
    world.fleet.add_device(2, device("b.hq.acme", customer="other"))
    world.thresholds.device(2)
    assert world.tick(2001.0) == ["a.hq.acme"]
    world.fleet.remove_device(1)
    assert world.tick(2002.0) == []


def test_how_many_devices_have_one() -> None:
    devices = {name: device(name, customer=name[-1]) for name in ("xa", "ya", "xb")}
    table = parse("thresholds: {disk: [{value: 1, customer: a}], cpu: [{value: 1}]}", "t.yml")
    assert counts(table, devices) == {"disk": 2, "cpu": 3}
