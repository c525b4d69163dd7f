"""The map and the machines that nobody listed: drawn for whose they are, decided by the staff alone."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator

import pytest

from tests.ticketing.web.test_hostile import HOSTILE, Reader
from tests.ticketing.web.world import World
from ticketing.web.sources import DeviceView, LinkView, StrangerView
from ticketing.web.treeplan import HEIGHT, ROW, WIDTH, draw


@pytest.fixture
def linked(world: World) -> Iterator[World]:
    fleet = world.fleet
    before = list(fleet.known)
    fleet.known = [one for one in fleet.known if one.id < 5]
    fleet.known.append(DeviceView(5, "acme", "suzhou", "acme-sw1", "network", alive=True))
    fleet.linked = {
        1: LinkView(5, "Gi0/3", "mac", "acme-sw1 learned 02:00:00:00:00:01", time.time(), "10.1.0.2"),
        3: LinkView(5, "Gi0/4", "lldp", "says so"),
        2: LinkView(4, "Gi0/1", "mac", "berlin"),
    }
    fleet.unknown = [
        StrangerView(
            7, "acme", "suzhou", "10.1.0.50", "02:00:00:00:00:50", "Cisco", HOSTILE[0], list(HOSTILE), [22], "new", 1, 2
        )
    ]
    fleet.decided = []
    yield world
    fleet.known, fleet.linked, fleet.unknown = before, {}, []


def test_everybody_sees_their_own_map(linked: World) -> None:
    alice, nora = linked.person("alice"), linked.person("nora")
    page = alice.get("/map").text
    assert ("acme-sw1" in page, "Gi0/3" in page, "globex" in page, "Correct" in page) == (True, True, False, False)
    assert page.count("<rect") == 3
    assert len(re.findall(r'<path class="[^"]*" d="M', page)) == 2
    assert alice.get("/map?site=berlin.globex").status_code == 404
    assert "globex-mail" in nora.get("/map?site=berlin.globex").text
    told = alice.get("/api/map").json()["devices"]
    assert {one["device"] for one in told} == {"acme-fs01.suzhou.acme", "acme-pc7.suzhou.acme", "acme-sw1.suzhou.acme"}
    (server,) = (one for one in told if one["device"].startswith("acme-fs01"))
    assert (server["parent"], server["port"], server["how"]) == ("acme-sw1.suzhou.acme", "Gi0/3", "mac")
    assert linked.visitor().get("/map").status_code == 303
    assert "地图" in alice.get("/map", Accept_Language="zh-CN").text
    assert "No device" in linked.person("charlie").get("/map").text


def test_the_staff_corrects_the_map(linked: World) -> None:
    nora, alice = linked.person("nora"), linked.person("alice")
    assert nora.post("/map/1", page="/map?site=suzhou.acme", parent="3", port="2").status_code == 303
    assert linked.fleet.linked[1] == LinkView(3, "2", "manual")
    refused = nora.post("/map/1", page="/map?site=suzhou.acme", parent="1")
    assert (refused.status_code, "circle" in refused.text) == (400, True)
    assert nora.post("/map/1", page="/map?site=suzhou.acme", parent="x").status_code == 400
    assert nora.post("/map/1", page="/map?site=suzhou.acme", parent="").status_code == 303
    assert 1 not in linked.fleet.linked
    assert nora.post("/map/999", page="/map?site=suzhou.acme").status_code == 404
    assert alice.post("/map/1", page="/map", parent="5").status_code == 404


def test_machines_that_nobody_listed_are_decided_about(linked: World) -> None:
    nora, alice = linked.person("nora"), linked.person("alice")
    page = Reader(nora.get("/unlisted").text)
    assert "10.1.0.50" in page.text
    assert page.acts == []
    assert nora.post("/unlisted/7/approved", page="/unlisted", name="till", **{"class": "desktop"}).status_code == 303
    assert nora.post("/unlisted/7/denied", page="/unlisted").status_code == 303
    assert linked.fleet.decided == [(7, "approved", "till", "desktop"), (7, "denied", "", "")]
    refused = nora.post("/unlisted/7/approved", page="/unlisted", name="taken")
    assert (refused.status_code, "taken is there already" in refused.text) == (400, True)
    assert nora.post("/unlisted/7/explode", page="/unlisted").status_code == 400
    assert alice.get("/unlisted").status_code == 404
    assert alice.post("/unlisted/7/denied").status_code == 404
    assert "/unlisted" not in alice.get("/").text


def test_two_hundred_devices_do_not_cover_each_other() -> None:
    devices = [DeviceView(number, "acme", "hq", f"device-{number}", "network") for number in range(1, 201)]
    links = {number: LinkView(max(1, number // 12), f"Gi0/{number}") for number in range(2, 201)}
    drawing = draw(devices, links)
    assert len(drawing.boxes) == 200
    assert len(drawing.lines) == 199
    for column in {box.x for box in drawing.boxes}:
        rows = sorted(box.y for box in drawing.boxes if box.x == column)
        assert all(below - above >= ROW for above, below in itertools.pairwise(rows))
    assert all(box.x + WIDTH <= drawing.width and box.y + HEIGHT <= drawing.height for box in drawing.boxes)


def test_circles_and_parents_elsewhere_are_drawn_all_the_same() -> None:
    devices = [DeviceView(number, "acme", "hq", "x" * 60, "server") for number in (1, 2, 3)]
    drawing = draw(devices, {1: LinkView(2), 2: LinkView(1), 3: LinkView(99, "p" * 40)})
    assert (len(drawing.boxes), drawing.lines) == (3, [])
    assert all(len(box.text) == 24 for box in drawing.boxes)
    assert draw([], {}).boxes == []


def test_a_ports_ticket_says_what_hangs_on_it(linked: World) -> None:
    number = linked.alert("acme-sw1", name="PortDown", ifName="Gi0/3", mountpoint="")
    page = linked.person("alice").get(f"/incidents/{number}").text
    assert "acme-fs01 (10.1.0.2)" in page
    assert "acme-pc7" not in page
    told = linked.person("alice").get(f"/api/incidents/{number}").json()
    assert told["evidence"]["attached"] == ["acme-fs01 (10.1.0.2)"]
