"""What was seen is judged: strangers once, machines of the register never, whatever tells that they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collector.database import open_database
from collector.discovery.candidates import MOST, Candidates, Place, Sight
from collector.discovery.finds import Finds, Reporter
from collector.discovery.listed import Listed, Own, of_inventory
from collector.discovery.said import Looked
from collector.errors import RegisterError
from collector.events.store import EventStore, Inventory
from collector.register import Register, book
from tests.collector.snmp.helpers import run

ACME, OTHER = ("acme", "hq"), ("other", "hq")
SITES = """\
sites: {hq.acme: {networks: [10.1.0.0/24]}, hq.other: {networks: [10.1.0.0/24]}}
devices:
  fs01.hq.acme: {class: server, address: 10.1.0.2}
  pc1.hq.acme: {class: desktop}
  sw1.hq.acme: {class: network, address: sw1.example.net}
  pc1.hq.other: {class: desktop, address: 10.1.0.7}
"""


class Ears:
    """Takes events as (device, level, text)."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, str, str]] = []

    def event(self, device: int, kind: str, source: str, level: str, text: str, attributes: dict[str, Any]) -> None:
        assert (source, kind in ("security", "config"), "\n" in text) == ("map", True, False)
        self.heard.append((device, level, text))


class World:
    """A register, and what is told of it; `now` is set by hand."""

    def __init__(self, folder: Path) -> None:
        self.engine = open_database(f"sqlite:///{folder / 'watchdesk.db'}")
        self.register = Register(self.engine)
        self.register.take_over(book.load(SITES, "test"), 1.0)
        self.ids = {one.instance: one.id for one in self.register.devices()}
        self.events = EventStore(self.engine)
        self.ears = Ears()
        self.now = 1000.0
        self.peers: dict[int, str] = {}
        self.gear: dict[int, Own] = {}
        self.looked: list[str] = []
        self.begin()

    def begin(self) -> None:
        """Start anew, as after a restart."""
        listed = Listed(
            self.register,
            self.events,
            resolved=lambda: {self.ids["sw1.hq.acme"]: "10.1.0.3"},
            peers=lambda: self.peers,
            gear=lambda: self.gear,
        )
        report: Callable[[Place, str, str], Reporter] = lambda _place, _mac, where: Reporter(99, where)  # noqa: E731
        self.finds = Finds(
            Candidates(self.engine),
            listed,
            self.ears,  # type: ignore[arg-type]
            reporter=report,
            look=self.look,
            clock=lambda: self.now,
        )

    async def look(self, place: Place, address: str) -> Looked | None:
        self.looked.append(address)
        return Looked(address, [22], ["till.example.net"]) if place == ACME else None

    def saw(self, address: str, mac: str, place: Place = ACME, *names: str, after: float = 100.0) -> list[str]:
        """See a machine some time later; the texts that it brought."""
        self.now += after
        before = len(self.ears.heard)

        async def work() -> None:
            self.finds.saw(place, mac, address, "sw1 Gi0/1", names)
            await self.finds.judge()
            await asyncio.gather(*self.finds._looks)

        run(work())
        return [text for _, _, text in self.ears.heard[before:]]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def mac(number: int) -> str:
    return f"02:00:00:00:00:{number:02x}"


def test_a_stranger_once_and_after_a_restart_still_once(world: World) -> None:
    said = world.saw("10.1.0.50", "00:00:0c:00:00:50", ACME, "till")
    assert said[0].startswith("10.1.0.50 (00:00:0c:00:00:50, C")
    assert said[0].endswith("till, till.example.net) on sw1 Gi0/1 is not in the register")
    assert world.ears.heard[0][:2] == (99, "warning")
    assert world.saw("10.1.0.50", "00:00:0c:00:00:50") == []
    world.begin()
    assert world.saw("10.1.0.50", "00:00:0c:00:00:50") == []
    (found,) = world.finds.candidates.all()
    assert (found.names, found.ports, found.state) == (("till", "till.example.net"), (22,), "new")
    assert world.finds.candidates.waiting(world.now) == {("hq.acme", "new"): 1}
    assert world.saw("10.1.0.50", "00:00:0c:00:00:50", OTHER) != []  # another customer's network is another


def test_what_is_in_the_register_is_no_stranger(world: World) -> None:
    pc1 = world.ids["pc1.hq.acme"]
    parts = {"addresses": [{"interface": "eth0", "mac": mac(11), "addresses": ["10.1.0.11/24", "fe80::1/64"]}]}
    world.events.write([], [(pc1, Inventory(1.0, parts))], 1)
    world.peers = {world.ids["fs01.hq.acme"]: "10.1.0.22"}
    world.gear = {world.ids["sw1.hq.acme"]: Own(frozenset({"10.1.0.4"}), frozenset({mac(33)}))}
    for address, hardware in (
        ("10.1.0.2", mac(1)),  # its address
        ("10.1.0.3", mac(2)),  # the address of its host name
        ("10.1.0.11", mac(3)),  # an address that its agent tells
        ("fd01::1", mac(11)),  # a MAC address that its agent tells
        ("10.1.0.22", mac(4)),  # where its agent comes from
        ("10.1.0.4", mac(5)),  # an address of a switch
        ("10.1.0.40", mac(33)),  # a port of a switch
        ("fd01::2", mac(1)),  # the MAC address that had its address
    ):
        world.saw(address, hardware)
    assert world.finds.candidates.all() == []
    assert world.looked == []
    world.peers = dict.fromkeys(world.ids.values(), "10.1.0.60")  # of all: a router that hides them
    assert world.saw("10.1.0.60", mac(60)) != []
    assert of_inventory({"addresses": [{"MACAddress": "02-00-00-00-00-0B", "IPAddress": ["10.1.0.11", "x"]}]}) == Own(
        frozenset({"10.1.0.11"}), frozenset({mac(11)})
    )


def test_moved_and_replaced_machines_are_told_once(world: World) -> None:
    fs01 = world.ids["fs01.hq.acme"]
    assert world.saw("10.1.0.2", mac(1)) == []
    assert world.saw("10.1.0.9", mac(1)) == ["has the address 10.1.0.9 now, and had 10.1.0.2"]
    assert world.saw("10.1.0.2", mac(1)) == world.saw("10.1.0.9", mac(1)) == []
    assert world.saw("10.1.0.2", mac(1)) == []
    assert world.saw("10.1.0.2", mac(8)) == [f"10.1.0.2 is another machine now: {mac(8)}, which was {mac(1)}"]
    world.begin()
    assert world.saw("10.1.0.2", mac(1)) == world.saw("10.1.0.2", mac(8)) == []
    assert {device for device, _, _ in world.ears.heard} == {fs01}
    for last in range(100, 120):  # it answers for others: a router
        world.saw(f"10.1.0.{last}", mac(1))
    assert len(world.ears.heard) < 10


def test_denied_ignored_and_approved(world: World) -> None:
    candidates = world.finds.candidates
    world.saw("10.1.0.50", mac(50))
    (found,) = candidates.all()
    candidates.decide(found.id, "denied")
    assert world.saw("10.1.0.50", mac(50)) == []
    assert candidates.waiting(world.now) == {("hq.acme", "denied"): 1}
    assert candidates.waiting(world.now + 1000) == {}
    (back,) = world.saw("10.1.0.51", mac(50), after=4000)
    assert back.endswith("was denied, and is there again")
    candidates.decide(found.id, "ignored")
    assert world.saw("10.1.0.50", mac(50), after=9000) == []
    world.register.take_over(book.load("devices: {new.hq.acme: {address: 10.1.0.50}}", "test"), 1.0)
    assert world.saw("10.1.0.50", mac(50)) == []
    assert candidates.all() == []
    device = world.register.device_by_instance("new.hq.acme")
    assert device is not None
    world.register.retire(device.id, 2.0)
    assert world.saw("10.1.0.50", mac(50)) != []  # it is a stranger again
    with pytest.raises(RegisterError, match="no candidate 999"):
        candidates.decide(999, "denied")


def test_a_flood_of_made_up_machines_is_bounded(world: World) -> None:
    flood = [Sight(ACME, f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}", f"10.1.0.{n % 250}", "") for n in range(MOST + 10)]
    noted = world.finds.candidates.note(flood, 1.0)
    assert (noted.count(None), len(world.finds.candidates.all())) == (10, MOST)
    assert world.finds.candidates.note([Sight(("nobody", "hq"), mac(1), "10.1.0.1", "")], 1.0) == [None]
