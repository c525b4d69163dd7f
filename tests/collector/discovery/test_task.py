"""What a sweep will send is known before: each network by the way that leads there, and some not at all."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface

import pytest
from hypothesis import given
from hypothesis import strategies as some

from collector.discovery.helper.frames import Sighting, all_nodes, arp_request, read, solicitation
from collector.discovery.helper.names import dhcp_options, of_mdns
from collector.discovery.makers import maker
from collector.discovery.task import Area, Port, addresses, plan, words

MAC = "02:00:00:00:00:01"
RAW = bytes.fromhex("020000000001")
ETH0 = Port("eth0", MAC, (IPv4Interface("10.1.0.5/24"), IPv6Interface("fd01::5/64")))
ETH1 = Port("eth1", MAC, (IPv4Interface("10.1.1.5/24"),))


def steps(*networks: str, site: str = "hq.acme") -> list[tuple[str, str, str]]:
    return [(one.how, str(one.network), one.port) for one in plan([Area(site, net) for net in networks], [ETH0, ETH1])]


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("10.1.0.0/24", [("arp", "10.1.0.0/24", "eth0")]),
        ("10.1.0.64/26", [("arp", "10.1.0.64/26", "eth0")]),
        ("10.1.0.0/23", [("arp", "10.1.0.0/24", "eth0"), ("arp", "10.1.1.0/24", "eth1")]),
        (
            "10.1.0.0/22",
            [("arp", "10.1.0.0/24", "eth0"), ("arp", "10.1.1.0/24", "eth1"), ("icmp", "10.1.2.0/23", "")],
        ),
        ("192.168.7.0/30", [("icmp", "192.168.7.0/30", "")]),
        ("10.0.0.0/8", [("skip", "10.0.0.0/8", "")]),
        ("fd01::/64", [("multicast", "fd01::/64", "eth0")]),
        ("fd01::/120", [("multicast", "fd01::/120", "eth0"), ("ndp", "fd01::/120", "eth0")]),
        ("fd02::/120", [("icmp", "fd02::/120", "")]),
        ("fd02::/64", [("skip", "fd02::/64", "")]),
    ],
)
def test_each_network_by_its_way(network: str, expected: list[tuple[str, str, str]]) -> None:
    assert steps(network) == expected


def test_a_network_of_two_sites_is_nobodys() -> None:
    found = plan([Area("hq.acme", "10.1.0.0/24"), Area("hq.other", "10.1.0.128/25")], [ETH0])
    assert [(one.site, one.how, one.why) for one in found] == [
        ("hq.acme", "skip", "hq.other names it, too"),
        ("hq.other", "skip", "hq.acme names it, too"),
    ]
    assert words(found, 50)[-1] == "at most 0 packets, 50 a second: 0 s"


def test_a_22_takes_less_than_a_minute_at_the_usual_pace() -> None:
    wide = Port("eth0", MAC, (IPv4Interface("10.4.0.5/22"),))
    lines = words(plan([Area("hq.acme", "10.4.0.0/22")], [wide]), 50.0)
    assert lines == [
        "hq.acme 10.4.0.0/22 on eth0: ARP requests from 10.4.0.5 to 1022 addresses, 2 each at most",
        "at most 2044 packets, 50 a second: 41 s",
    ]
    (single,) = plan([Area("hq.acme", "10.4.0.9/32")], [wide])
    assert [str(one) for one in addresses(single.network)] == ["10.4.0.9"]


def test_what_is_sent_is_understood() -> None:
    own = ETH0.addresses
    request = arp_request(RAW, own[0].ip, IPv4Interface("10.1.0.9").ip)  # type: ignore[arg-type]
    assert read(request, 7) == Sighting(MAC, "10.1.0.5", "arp")
    solicit = solicitation(RAW, own[1].ip, IPv6Interface("fd01::9").ip)  # type: ignore[arg-type]
    assert read(solicit, 7) == Sighting(MAC, "fd01::5", "ndp")
    assert solicit[:6].hex(":") == "33:33:ff:00:00:09"
    for question in all_nodes(RAW, own[1].ip, 7):  # type: ignore[arg-type]
        assert read(question, 7) is None  # a question of another shows nothing


def test_names_of_mdns_and_pointers_that_go_in_a_circle() -> None:
    name = b"\x05sales\x07printer\x05local\x00"
    host = name[6:]
    head = b"\x00\x00\x84\x00\x00\x00\x00\x02\x00\x00\x00\x00"
    address = host + b"\x00\x01\x80\x01\x00\x00\x00\x78\x00\x04\x0a\x01\x00\x09"
    service = b"\x04_ipp\x04_tcp\x05local\x00\x00\x0c\x00\x01\x00\x00\x00\x78\x00\x02\xc0\x0c"
    assert of_mdns(head + address + service) == ("printer.local", "_ipp._tcp")
    circle = head + b"\xc0\x0c" + address[len(host) :]
    assert of_mdns(circle) == ()
    assert of_mdns(head[:2] + b"\x00\x00" + head[4:] + address + service) == ()  # a question
    assert dhcp_options(b"\x00\x0c\x02pc\x32\xff") == {12: b"pc"}


@given(some.binary(max_size=400), some.sampled_from([b"\x08\x06", b"\x08\x00", b"\x86\xdd"]))
def test_fuzz_no_frame_is_an_error(content: bytes, kind: bytes) -> None:
    head = b"\xff" * 6 + RAW + kind
    read(head + content, 7)
    dhcp = b"\x45" + bytes(8) + b"\x11" + bytes(12) + b"\x00\x43" + bytes(4) + b"\x01\x01\x06" + bytes(25) + RAW
    read(head + dhcp + bytes(202) + b"\x63\x82\x53\x63" + content, 7)
    mdns = b"\x45" + bytes(8) + b"\x11\x00\x00\x0a\x00\x00\x01" + bytes(6) + b"\x14\xe9" + bytes(4)
    read(head + mdns + b"\x00\x00\x84\x00" + content, 7)


def test_makers() -> None:
    assert (maker("00:00:0c:00:00:01")[:5].lower(), maker(MAC), maker("nonsense")) == ("cisco", "", "")
