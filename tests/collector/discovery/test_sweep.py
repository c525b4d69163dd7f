"""Sweeps of real networks in namespaces: who is found, and that nothing goes where the register names no network."""

from __future__ import annotations

import asyncio
import subprocess
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from collector.collector import Collector
from collector.config import Agents, Config, Discovery, Map, Reach, Web
from collector.database import open_database
from collector.discovery.candidates import Candidate
from collector.discovery.said import Said, Seen, Swept
from collector.discovery.sweeps import helper
from collector.discovery.task import Area, Task
from collector.events.store import Wanted
from collector.register import Register, book
from tests.collector.discovery.lan import Capture, Host, bridge, hosts, inside
from tests.collector.snmp.helpers import run
from tests.collector.snmp.test_service import until
from ticketing.scope import EVERYTHING

NAMED = ["10.9.0.0/27", "fd09::/64", "10.20.0.0/30"]
WAITING = ("watchdesk_self_unlisted_machines", {"of": "hq.acme", "state": "new"}, 1.0)
# What a client broadcasts that wants an address: BOOTP's head, then its name and what it is.
DHCP = r"""
import socket, struct
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
link.bind(("eth0", 0x0800))
mac = link.getsockname()[4]
options = b"\x63\x82\x53\x63\x35\x01\x03\x0c\x08till-two\x3c\x04pos1\x32\x04" + socket.inet_aton("10.9.0.3") + b"\xff"
boot = b"\x01\x01\x06\x00" + bytes(24) + mac + bytes(202) + options
udp = struct.pack(">HHHH", 68, 67, 8 + len(boot), 0) + boot
head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes(4), b"\xff" * 4)
total = sum(struct.unpack(">10H", head))
head = head[:10] + struct.pack(">H", ~((total >> 16) + (total & 0xFFFF)) & 0xFFFF) + head[12:]
link.send(b"\xff" * 6 + mac + b"\x08\x00" + head + udp)
"""
SERVE = "import socket, time; s = socket.create_server(('', 80)); time.sleep(200)"
# Any packet to a neighbour makes the kernel ask for it, and so tell everybody its own address.
SPEAK = 'import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"", ("10.9.0.20", 9))'


async def sweep(task: Task) -> list[Said]:
    async with helper(task) as (said, _):
        return [what async for what in said]


def named(address: str) -> bool:
    """Whether an address may be asked: in a network of the register, or all nodes of a link."""
    return any(ip_address(address) in ip_network(network) for network in [*NAMED, "ff02::/16"])


@pytest.mark.parametrize("scapy", [False, True], ids=["packets", "scapy"])
def test_all_are_found_and_nobody_else_is_asked(scapy: bool) -> None:
    def work() -> None:
        with (
            bridge("br0", "10.9.0.1/24", "fd09::1/64"),
            bridge("br1", "10.77.0.1/24", "fd77::1/64"),
            hosts(
                lambda: Host("v2", "10.9.0.2/24", "fd09::2/64"),
                lambda: Host("v3", "10.9.0.30/24"),
                lambda: Host("v4", "10.9.0.99/24", "fd77::99/64"),  # of no network that is named
                lambda: Host("v5", "10.77.0.5/24", "fd77::5/64", bridge="br1"),
            ) as (first, second, *_),
        ):
            first.run("ip addr add 10.20.0.2/32 dev lo")
            subprocess.run(["ip", "route", "add", "10.20.0.0/30", "via", "10.9.0.2"], check=True)
            capture = Capture.begin("br0", "br1")
            said = run(sweep(Task([Area("hq.acme", one) for one in NAMED], rate=500, interval=0, scapy=scapy)))
            targets = capture.targets()
            macs = {one.address: one.mac for one in said if isinstance(one, Seen)}
            assert macs["10.9.0.30"] == second.mac
            assert macs["10.9.0.2"] == macs["fd09::2"] == first.mac
        assert macs["10.20.0.2"] == ""  # a router is between
        assert [one for one in macs if not named(one)] == []
        assert [one for one in targets if not named(one)] == []
        assert len(targets) > 60
        (swept,) = (one for one in said if isinstance(one, Swept))
        assert len(macs) <= swept.answered <= 5  # fd09::1 is our own
        assert swept.packets <= 2 * (29 + 2 + 2)

    inside(work)


CONFIG = Config(
    agents=Agents(listen="127.0.0.1:0", tls=False),
    web=Web(listen="127.0.0.1:0"),
    reach=Reach(icmp=False),
    map=Map(interval=0),
    discovery=Discovery(sites=["hq.acme"], rate=500, interval=3600, ports=(80, 81)),
)
SITES = """\
sites: {hq.acme: {networks: [10.9.0.0/27]}, hq.other: {networks: [10.77.0.0/24]}}
devices:
  pc2.hq.acme: {class: desktop, address: 10.9.0.2, polling: {snmp: false, icmp: false}}
  pc2.hq.other: {class: desktop, address: 10.9.0.3, polling: {snmp: false, icmp: false}}
"""


def only(made: Collector) -> Candidate:
    (found,) = made.finds.candidates.all()
    return found


def told(made: Collector, device: int) -> list[str]:
    return [one.text for one in made.event_store.events(EVERYTHING, Wanted(device=device, text="10.9.0"))]


def test_a_stranger_is_reported_once_and_a_device_that_moves_is_an_event(tmp_path: Path) -> None:
    async def work(first: Host, second: Host) -> None:
        made = Collector(tmp_path, CONFIG)
        Register(open_database(f"sqlite:///{tmp_path / 'watchdesk.db'}")).take_over(book.load(SITES, "test"), 1.0)
        await made.start()
        try:
            own = made.own_health.device
            await until(lambda: any("not in the register" in text for text in told(made, own)))
            found = only(made)
            assert (found.address, found.mac, found.ports, found.state) == ("10.9.0.3", second.mac, (80,), "new")
            second.python(DHCP)
            await until(lambda: only(made).names == ("pos1", "till-two"))
            assert WAITING in await asyncio.to_thread(made.own_health.values)
            pc2 = made.register.device_by_instance("pc2.hq.acme")
            assert pc2 is not None
            await until(lambda: pc2.id in made.finds.candidates.listed())
            first.run("ip addr flush dev eth0; ip addr add 10.9.0.9/24 dev eth0")
            first.python(SPEAK)
            await until(lambda: told(made, pc2.id) == ["has the address 10.9.0.9 now, and had 10.9.0.2"])
            first.run("ip addr flush dev eth0")
            second.run("ip addr flush dev eth0; ip addr add 10.9.0.2/24 dev eth0")
            second.python(SPEAK)
            await until(lambda: any("another machine" in text for text in told(made, pc2.id)))
            assert len(told(made, own)) == 1
        finally:
            await made.stop()

    def world() -> None:
        with (
            bridge("br0", "10.9.0.1/24"),
            hosts(lambda: Host("v2", "10.9.0.2/24"), lambda: Host("v3", "10.9.0.3/24")) as (first, second),
            subprocess.Popen(second.command("python3", "-c", SERVE)) as server,
        ):
            try:
                run(work(first, second))
            finally:
                server.kill()

    inside(world)
