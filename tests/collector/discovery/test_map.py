"""The map: tables are read as devices give them, and what hangs on what follows from them."""

from pathlib import Path

import pytest

from collector.collector import Collector
from collector.config import Agents, Config, Map, Reach, Snmp, Web
from collector.discovery import tables
from collector.discovery.candidates import Candidates
from collector.discovery.tables import Neighbour, Tables
from collector.discovery.tree import Node, kinds, parents
from collector.register import book
from collector.snmp import oid
from tests.collector.snmp.agent import device, value
from tests.collector.snmp.helpers import run
from tests.collector.snmp.test_service import current, until
from ticketing.errors import Refused
from ticketing.scope import EVERYTHING, Scope

MOVED = 'watchdesk_events_total{type="hotplug",source="map",level="info"'
STRANGER = 'watchdesk_events_total{type="security",source="map",level="warning"'
LLDP = "1.0.8802.1.1.2.1"


def octets(mac: str) -> bytes:
    return value("4x", mac.replace(":", ""))


def mac(number: int) -> str:
    return f"02:00:00:00:00:{number:02x}"


def switch(own: int, ports: int, links: dict[int, tuple[int, str, str]], learned: dict[int, int]) -> dict[str, bytes]:
    """Return a switch: links are port → (chassis, name, its port); learned are MAC → port."""
    objects = {f"{LLDP}.3.2.0": octets(mac(own)), "1.3.6.1.2.1.1.3.0": value("67", "100")}
    objects |= {"1.3.6.1.2.1.1.2.0": value("6", "1.3.6.1.4.1.99999.1"), "1.3.6.1.2.1.1.1.0": value("4", "a switch")}
    for port in range(1, ports + 1):
        objects[f"1.3.6.1.2.1.2.2.1.2.{100 + port}"] = value("4", f"Gi0/{port}")
        objects[f"1.3.6.1.2.1.2.2.1.7.{100 + port}"] = value("2", "1")
        objects[f"1.3.6.1.2.1.2.2.1.8.{100 + port}"] = value("2", "1")
        objects[f"1.3.6.1.2.1.31.1.1.1.1.{100 + port}"] = value("4", f"Gi0/{port}")
        objects[f"1.3.6.1.2.1.17.1.4.1.2.{port}"] = value("2", str(100 + port))
        objects[f"{LLDP}.3.7.1.3.{port}"] = value("4", f"Gi0/{port}")
    for port, (chassis, name, remote) in links.items():
        objects[f"{LLDP}.4.1.1.5.77.{port}.1"] = octets(mac(chassis))
        objects[f"{LLDP}.4.1.1.7.77.{port}.1"] = value("4", remote)
        objects[f"{LLDP}.4.1.1.9.77.{port}.1"] = value("4", name)
    for hardware, port in learned.items():
        index = ".".join(str(byte) for byte in bytes.fromhex(mac(hardware).replace(":", "")))
        objects[f"1.3.6.1.2.1.17.7.1.2.2.1.2.10.{index}"] = value("2", str(port))
    return objects


CORE = switch(1, 4, {1: (2, "access-1.example.net", "Gi0/4")}, {50: 1, 51: 1, 52: 3})
ACCESS = switch(2, 4, {4: (1, "core", "Gi0/1")}, {50: 2, 51: 3, 52: 4})


def read(objects: dict[str, bytes]) -> Tables:
    from collector.snmp.pdu import decode_binds

    ordered = sorted(objects, key=oid.parse)
    names, values = [], []
    for name in ordered:
        body = b"\x06" + bytes((len(oid.encode(name)),)) + oid.encode(name) + objects[name]
        whole = b"\x30" + bytes((len(body),)) + body
        found, content = decode_binds(whole, 0, len(whole))
        names += found
        values += content
    scalars = dict(zip(names, values, strict=True))
    return tables.read(scalars, names, values)


def test_tables_are_read() -> None:
    found = read(ACCESS)
    assert found.macs == {mac(2)}
    assert found.ports[104] == "Gi0/4"
    assert found.neighbours == (Neighbour("Gi0/4", "lldp", mac(1), "core", "", "Gi0/1"),)
    assert found.learned == {mac(50): "Gi0/2", mac(51): "Gi0/3", mac(52): "Gi0/4"}


def test_rows_out_of_order_are_left_out() -> None:
    broken = {f"{LLDP}.4.1.1.5.1": octets(mac(9)), "1.3.6.1.2.1.17.1.4.1.2.1.1": value("2", "1")}
    broken |= {"1.3.6.1.2.1.4.22.1.2.1.10.0.0": octets(mac(9)), f"{LLDP}.4.1.1.9.1.2.3": value("4x", "ff00fe")}
    assert read(broken) == Tables()


def site() -> dict[int, Node]:
    core = read(CORE)
    arp = {"10.0.0.50": mac(50), "10.0.0.51": mac(51), "10.0.0.52": mac(52)}
    gateway = Tables(core.macs, core.ports, core.neighbours, core.learned, arp)
    return {
        1: Node(1, "core", "10.0.0.1", "network", "core", gateway),
        2: Node(2, "access-1", "10.0.0.2", "network", "", read(ACCESS)),
        3: Node(3, "fs01", "10.0.0.50", "server", ""),
        4: Node(4, "pc", "10.0.0.51", "desktop", ""),
        5: Node(5, "ups", "10.0.0.52", "ups", ""),
        6: Node(6, "elsewhere", "", "server", ""),
    }


def test_what_hangs_on_what() -> None:
    found = parents(site())
    assert {number: (link.parent, link.port, link.how) for number, link in found.items()} == {
        2: (1, "Gi0/1", "lldp"),
        3: (2, "Gi0/2", "mac"),
        4: (2, "Gi0/3", "mac"),
        5: (1, "Gi0/3", "mac"),
    }
    assert found[3].evidence == f"access-1 learned {mac(50)} (10.0.0.50) on Gi0/2"
    assert kinds(site(), found) == {
        1: {"Gi0/1": "uplink", "Gi0/3": "desktop"},
        2: {"Gi0/2": "server", "Gi0/3": "desktop", "Gi0/4": "uplink"},
    }


def test_a_ring_and_two_of_one_name_make_no_circle() -> None:
    ring = {
        number: Node(number, f"s{number}", "", "network", "", read(switch(number, 2, links, {})))
        for number, links in {
            1: {1: (2, "s2", "Gi0/2"), 2: (3, "s3", "Gi0/1")},
            2: {1: (3, "s3", "Gi0/2"), 2: (1, "s1", "Gi0/1")},
            3: {1: (1, "s1", "Gi0/2"), 2: (2, "s2", "Gi0/1")},
        }.items()
    }
    assert {number: link.parent for number, link in parents(ring).items()} == {2: 1, 3: 1}
    twins = {number: Node(number, "printer", "", "printer", "") for number in (7, 8)}
    talk = Tables(neighbours=(Neighbour("Gi0/1", "cdp", name="printer"),))
    assert parents({**twins, 9: Node(9, "sw", "", "network", "", talk)}) == {}


@pytest.mark.parametrize("moved", [False, True], ids=["stays", "moves"])
def test_the_register_learns_it(tmp_path: Path, moved: bool) -> None:
    config = Config(
        agents=Agents(listen="127.0.0.1:0", tls=False),
        web=Web(listen="127.0.0.1:0"),
        snmp=Snmp(interval=1.0),
        reach=Reach(icmp=False),
        map=Map(interval=0),
    )

    async def work() -> None:
        made = Collector(tmp_path, config)
        core = CORE | {"1.3.6.1.2.1.4.22.1.2.1.127.0.0.9": octets(mac(50))}
        core |= {f"1.3.6.1.2.1.4.22.1.2.1.{ip}": octets(mac(77)) for ip in ("127.0.0.77", "10.9.9.9")}
        async with device(core) as one, device(ACCESS, host="127.0.0.2") as other:
            await made.start()
            try:
                made.snmp.vault.add("c", "acme", "", "2c", b"public", now=1.0)
                text = "sites: {hq.acme: {networks: [127.0.0.0/24]}}\ndevices:\n"
                for name, peer, role in (("core", one, "core"), ("access-1", other, "")):
                    host, port = peer.address
                    where = f"address: {host}, polling: {{port: {port}}}"
                    text += f"  {name}.hq.acme: {{class: network, role: '{role}', {where}}}\n"
                text += "  fs01.hq.acme: {class: server, address: 127.0.0.9, polling: {snmp: false, icmp: false}}\n"
                made.register.take_over(book.load(text, "test"), 1.0)
                for name in ("core.hq.acme", "access-1.hq.acme"):
                    await until(lambda name=name: current(made, name).get("up") == 1)  # type: ignore[misc]
                await made.map.refresh()
                await made.map.refresh()
                await until(lambda: bool(Candidates(made.engine).all()))
                (one_only,) = Candidates(made.engine).all()
                assert (one_only.address, one_only.mac, one_only.state) == ("127.0.0.77", mac(77), "new")
                await until(lambda: current(made, "core.hq.acme").get(STRANGER) == 1)
                if moved:
                    other.change(switch(2, 4, {4: (1, "core", "Gi0/1")}, {50: 1, 52: 4}))
                    await made.map.refresh()
                found = made.register.device_by_instance("fs01.hq.acme")
                assert found is not None
                parent = made.register.parent(found.id)
                assert parent is not None
                sources = made.web.sources
                link = sources.links(EVERYTHING)[found.id]
                assert (link.port, link.how, link.address) == (parent.port, "mac", "127.0.0.9")
                assert sources.links(Scope("other")) == {}
                with pytest.raises(Refused, match="no such device"):
                    sources.hang(Scope("other"), found.id, None, "")
                with pytest.raises(Refused, match="no such machine"):
                    sources.decide(Scope("other"), one_only.id, "denied")
                with pytest.raises(Refused, match="no class"):
                    sources.decide(EVERYTHING, one_only.id, "approved", "till", "toaster")
                sources.decide(EVERYTHING, one_only.id, "approved", "Till 7", "desktop")
                assert made.register.device_by_instance("till-7.hq.acme") is not None
                where_to = "Gi0/1" if moved else "Gi0/2"
                assert (parent.parent, parent.port, parent.how) == ("access-1.hq.acme", where_to, "mac")
                await until(lambda: current(made, "fs01.hq.acme").get(MOVED) == (1 if moved else None))
                name = 'watchdesk_port_info{ifIndex="104",ifName="Gi0/4",kind="uplink"'
                await until(lambda: current(made, "access-1.hq.acme").get(name) == 1)
            finally:
                await made.stop()

    run(work())
