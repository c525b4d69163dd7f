"""Faults of networks that are real: routes that loop, gateways that are gone, routers that drop without a word."""

from collections.abc import Iterator

import pytest

from tests.agent.diagnosis.networks import Node, needs_networks, network

pytestmark = needs_networks()

QUIET_ROUTER = "net.ipv4.icmp_ratelimit=0"


@pytest.fixture(scope="module")
def line() -> Iterator[list[Node]]:
    """here 10.1.0.1 – a – b – there 10.3.0.2; between the routers is 10.2.0.0/24, and 10.9.0.0/16 goes round."""
    with network(4) as (here, a, b, there):
        here.joins("eth0", "10.1.0.1/24", a, "in", "10.1.0.2/24")
        a.joins("out", "10.2.0.1/24", b, "in", "10.2.0.2/24")
        b.joins("out", "10.3.0.1/24", there, "eth0", "10.3.0.2/24")
        for router in (a, b):
            router.run("sysctl", "-qw", "net.ipv4.ip_forward=1", QUIET_ROUTER)
        here.ip("route add default via 10.1.0.2")
        there.ip("route add default via 10.3.0.1")
        a.ip("route add 10.3.0.0/24 via 10.2.0.2")
        b.ip("route add 10.1.0.0/24 via 10.2.0.1")
        a.ip("route add 10.9.0.0/16 via 10.2.0.2")
        b.ip("route add 10.9.0.0/16 via 10.2.0.1")
        a.ip("route add prohibit 10.8.0.0/16")
        yield [here, a, b, there]


def test_a_route_that_loops_names_the_routers(line: list[Node]) -> None:
    found = line[0].diagnose("net.traceroute", "host=10.9.1.1")
    # Each router answers with the address on the side of the one who asked.
    assert found["finding"] == "the route to 10.9.1.1 loops between 10.1.0.2 ↔ 10.2.0.2"
    assert found["finding_values"] == {"address": "10.9.1.1", "routers": "10.1.0.2 ↔ 10.2.0.2"}


def test_a_path_that_is_whole(line: list[Node]) -> None:
    found = line[0].diagnose("net.traceroute", "host=10.3.0.2")
    assert found["finding"] == "10.3.0.2 is reached after 3 hops"
    assert [hop["addresses"] for hop in found["data"]["hops"]] == [["10.1.0.2"], ["10.2.0.2"], ["10.3.0.2"]]


def test_a_path_that_is_forbidden_names_who_forbids(line: list[Node]) -> None:
    found = line[0].diagnose("net.traceroute", "host=10.8.0.1")
    assert "10.1.0.2 says prohibited by administrator" in found["finding"]
    # A router says it once a second to each of those who ask.
    ping = line[0].diagnose("net.ping", "host=10.8.0.1", "count=10")
    assert ping["finding"] == "10.8.0.1 cannot be reached: 10.1.0.2 says prohibited by administrator"


def test_a_path_is_followed_without_any_rights(line: list[Node]) -> None:
    found = line[0].diagnose("net.traceroute", "host=10.9.1.1", rights=False)
    assert found["finding"] == "the route to 10.9.1.1 loops between 10.1.0.2 ↔ 10.2.0.2"
    assert found["data"]["kind"] == "udp"


def test_paths_of_ipv6() -> None:
    with network(3) as (here, a, b):
        here.joins("eth0", "fd01::1/64 nodad", a, "in", "fd01::2/64 nodad")
        a.joins("out", "fd02::1/64 nodad", b, "in", "fd02::2/64 nodad")
        for router in (a, b):
            router.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1", "net.ipv6.icmp.ratelimit=0")
            router.ip(f"route add fd09::/64 via {'fd02::2' if router is a else 'fd02::1'}")
        here.ip("route add default via fd01::2")
        b.ip("route add fd01::/64 via fd02::1")
        found = here.diagnose("net.traceroute", "host=fd09::1")
        assert found["finding"].startswith("the route to fd09::1 loops between ")
        assert set(found["finding_values"]["routers"].split(" ↔ ")) <= {"fd01::2", "fd02::1", "fd02::2"}
        assert here.diagnose("net.ping", "count=1")["finding"].startswith("fd01::2 answers each of 1 echoes")
        a.ip("link set out mtu 1300")
        b.ip("link set in mtu 1300")
        assert here.diagnose("net.mtu", "host=fd02::2")["finding"] == (
            "The path to fd02::2 takes packets of 1300 bytes at most, the interface 1500: fd01::2 says so"
        )


def test_who_answers_and_who_does_not(line: list[Node]) -> None:
    here = line[0]
    assert here.diagnose("net.ping", "count=2")["finding"].startswith("10.1.0.2 answers each of 2 echoes")
    gone = here.diagnose("net.ping", "host=10.3.0.77", "count=1")
    assert gone["finding"] in (
        "10.3.0.77 does not answer any of 1 echoes",
        "10.3.0.77 cannot be reached: 10.2.0.2 says host unreachable",
    )


def test_the_way_that_packets_take(line: list[Node]) -> None:
    here = line[0]
    assert here.diagnose("net.route", "host=10.3.0.2")["finding"] == (
        "10.3.0.2 is reached over eth0 via 10.1.0.2, from 10.1.0.1"
    )
    assert here.diagnose("net.route", "host=10.1.0.2")["finding"] == (
        "10.1.0.2 is on the same network as eth0, from 10.1.0.1"
    )
    assert here.diagnose("net.route", "host=10.1.0.99")["finding"] == (
        "10.1.0.99 should be on the network of eth0, but nobody there answers for it (failed)"
    )


def test_a_gateway_that_is_not_there() -> None:
    with network(2) as (here, other):
        here.joins("eth0", "10.1.0.1/24", other, "eth0", "10.1.0.2/24")
        assert here.diagnose("net.route")["finding"].startswith("This machine has no default route")
        here.ip("route add default via 10.1.0.9")
        found = here.diagnose("net.route", "host=192.0.2.7")
        assert found["finding"].startswith(
            "192.0.2.7 is reached over eth0 via 10.1.0.9, but that gateway does not answer"
        )
        here.ip("route add default via 10.1.0.2 metric 5")
        both = here.diagnose("net.route")["finding"]
        assert both.startswith("This machine has 2 default routes: 10.1.0.9 (eth0, 0)")
        here.ip("route add blackhole 198.51.100.0/24")
        assert "198.51.100.1" in here.diagnose("net.route", "host=198.51.100.1")["finding"]


def test_a_narrow_path_and_who_says_so(line: list[Node]) -> None:
    here, a, b, _ = line
    assert here.diagnose("net.mtu", "host=10.3.0.2")["finding"] == (
        "Packets of up to 1500 bytes get through to 10.3.0.2, as much as the interface takes"
    )
    a.ip("link set out mtu 1300")
    b.ip("link set in mtu 1300")
    try:
        found = here.diagnose("net.mtu", "host=10.3.0.2")
        assert found["finding"] == (
            "The path to 10.3.0.2 takes packets of 1300 bytes at most, the interface 1500: 10.1.0.2 says so"
        )
    finally:
        a.ip("link set out mtu 1500")
        b.ip("link set in mtu 1500")


def test_a_narrow_path_where_nobody_says_so(line: list[Node]) -> None:
    here, a, _, _ = line
    a.ip("link set in mtu 1300")  # it takes no more than that, and the other end of the cable does not know
    try:
        found = here.diagnose("net.mtu", "host=10.3.0.2")["finding"]
        assert found.startswith("Packets of more than 13")
        assert "to 10.3.0.2 vanish without a word" in found
    finally:
        a.ip("link set in mtu 1500")


LISTEN = """
import socket, sys, time
s = socket.create_server(("10.3.0.2", 8080)); print("ready", flush=True); time.sleep(600)
"""


def test_ports_that_are_open_closed_or_silent(line: list[Node]) -> None:
    here, _, b, there = line
    with there.serving(LISTEN):
        assert here.diagnose("net.tcp", "host=10.3.0.2", "port=8080")["finding"].startswith(
            "10.3.0.2 port 8080 takes connections"
        )
    refused = here.diagnose("net.tcp", "host=10.3.0.2", "port=8081")["finding"]
    assert refused.startswith("10.3.0.2 (10.3.0.2) refuses connections to port 8081")
    b.ip("route add blackhole 10.3.0.2/32")
    try:
        silent = here.diagnose("net.tcp", "host=10.3.0.2", "port=8080")["finding"]
    finally:
        b.ip("route del blackhole 10.3.0.2/32")
    assert silent.startswith("10.3.0.2 (10.3.0.2) does not answer on port 8080 within 5.0 s")
