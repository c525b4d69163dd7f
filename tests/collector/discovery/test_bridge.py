"""A real bridge: what its forwarding table holds, as BRIDGE-MIB tells it, leads from MAC to port to device."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from collector.cli import watchdesk
from collector.database import open_database
from collector.discovery.tree import Node, parents
from collector.register import Register, book
from tests.collector.discovery.lan import Host, bridge, hosts, inside
from tests.collector.discovery.test_map import octets, read
from tests.collector.snmp.agent import value

SPEAK = 'import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"", ("10.9.0.1", 9))'


def shown(*command: str) -> list[dict[str, str]]:
    told = subprocess.run([*command], check=True, capture_output=True, text=True).stdout
    return [one for one in json.loads(told) if isinstance(one, dict)]


def as_mib() -> dict[str, bytes]:
    """Return ports, forwarding table and neighbours of this namespace's bridge, as a switch would tell them."""
    members = shown("ip", "-json", "link", "show", "master", "br0")
    ports = {one["ifname"]: number for number, one in enumerate(members, 1)}
    objects: dict[str, bytes] = {}
    for name, number in ports.items():
        objects[f"1.3.6.1.2.1.31.1.1.1.1.{100 + number}"] = value("4", name)
        objects[f"1.3.6.1.2.1.17.1.4.1.2.{number}"] = value("2", str(100 + number))
    for entry in shown("bridge", "-json", "fdb", "show", "br", "br0"):
        if entry["ifname"] in ports and "permanent" not in str(entry.get("state", "")):
            index = ".".join(str(byte) for byte in bytes.fromhex(entry["mac"].replace(":", "")))
            objects[f"1.3.6.1.2.1.17.4.3.1.2.{index}"] = value("2", str(ports[entry["ifname"]]))
    for entry in shown("ip", "-json", "neigh", "show", "dev", "br0"):
        if "lladdr" in entry and "." in entry["dst"]:
            objects[f"1.3.6.1.2.1.4.22.1.2.1.{entry['dst']}"] = octets(entry["lladdr"])
    return objects


def test_hosts_are_found_on_their_ports_and_follow_their_cables() -> None:
    def map_of() -> dict[str, tuple[int, str, str]]:
        nodes = {number: Node(number, f"pc{number}", f"10.9.0.{number}", "desktop", "") for number in (2, 3)}
        nodes[1] = Node(1, "br0", "10.9.0.1", "network", "", read(as_mib()))
        return {nodes[child].name: (link.parent, link.port, link.how) for child, link in parents(nodes).items()}

    def work() -> None:
        with (
            bridge("br0", "10.9.0.1/24"),
            hosts(lambda: Host("v2", "10.9.0.2/24"), lambda: Host("v3", "10.9.0.3/24")) as (first, second),
        ):
            first.python(SPEAK)
            second.python(SPEAK)
            assert map_of() == {"pc2": (1, "v2", "mac"), "pc3": (1, "v3", "mac")}
            subprocess.run(["ip", "link", "set", "v2", "down"], check=True)  # its cable is pulled …
            mac = first.mac
            first.run("ip link set eth0 down")
            second.run(f"ip link set eth0 down; ip link set eth0 address {mac}; ip addr flush dev eth0")
            second.run("ip link set eth0 up; ip addr add 10.9.0.2/24 dev eth0")  # … and the machine is on another port
            second.python(SPEAK)
            assert map_of()["pc2"] == (1, "v3", "mac")

    inside(work)


@pytest.mark.parametrize("site", ["hq.acme", "hq.nobody"])
def test_the_plan_is_told_and_nothing_is_sent(tmp_path: Path, site: str) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'watchdesk.db'}")
    Register(engine).take_over(book.load("sites: {hq.acme: {networks: [10.0.0.0/8]}}", "test"), 1.0)
    engine.dispose()
    told = CliRunner().invoke(watchdesk, ["--data", str(tmp_path), "discover", site, "--plan"])
    if site == "hq.acme":
        assert "10.0.0.0/8: nothing is sent: 16777214 addresses" in told.output
        assert "at most 0 packets" in told.output
        assert "TCP ports 22, 23" in told.output
    else:
        assert "No network is named" in str(told.exception)
