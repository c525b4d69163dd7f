"""A look at packets that are really sent."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.diagnosis import net_capture
from agent.diagnosis.packets import Packet, parse
from tests.agent.diagnosis.networks import Node, needs_networks, network

SENDS = """
import socket, sys, time
kind, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3]); print("ready", flush=True)
while True:
    if kind == "udp":
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b"login password=hunter2 x", (address, port))
    else:
        s = socket.socket(); s.setblocking(False); s.connect_ex((address, port))
    time.sleep(0.05); s.close()
"""


@pytest.fixture(scope="module")
def pair() -> Iterator[list[Node]]:
    """Two machines, 10.1.0.1 and 10.1.0.2."""
    with network(2) as (here, there):
        here.joins("eth0", "10.1.0.1/24", there, "eth0", "10.1.0.2/24")
        yield [here, there]


@needs_networks()
def test_who_talks_and_nothing_of_what_is_said(pair: list[Node]) -> None:
    with pair[1].serving(SENDS, "udp", "10.1.0.1", "9"):
        found = pair[0].diagnose("net.capture", "interface=eth0", "packets=10", "port=9")
        assert "between 10.1.0.1 and 10.1.0.2 (udp 9)" in found["finding"]
        assert "hunter2" not in str(found)
        assert len(found["data"]["packets"]) == 10
        assert {row["payload"] for row in found["data"]["packets"]} == {None}
        whole = pair[0].diagnose("net.capture", "interface=eth0", "packets=2", "host=10.1.0.2", "port=9", "payload=yes")
        assert whole["data"]["packets"][0]["payload"].startswith("login password=[redacted]")
        assert "hunter2" not in str(whole)


@needs_networks()
def test_questions_that_nobody_answers(pair: list[Node]) -> None:
    with pair[0].serving(SENDS, "udp", "10.1.0.77", "9"):
        said = pair[0].diagnose("net.capture", "interface=eth0", "seconds=5")["finding"]
    assert said.endswith("times 10.1.0.1 asked who has 10.1.0.77, and nobody answered")


@needs_networks()
def test_connections_that_are_refused(pair: list[Node]) -> None:
    with pair[0].serving(SENDS, "tcp", "10.1.0.2", "81"):
        said = pair[0].diagnose("net.capture", "interface=eth0", "seconds=2", "port=81")["finding"]
    assert said.endswith("connections between 10.1.0.2 and 10.1.0.1 port 81 were reset")


@needs_networks()
def test_silence_and_what_is_not_there(pair: list[Node]) -> None:
    assert pair[0].diagnose("net.capture", "interface=lo", "seconds=1")["finding"] == (
        "Not a single packet in 1 s on lo"
    )
    with pytest.raises(AssertionError, match="No such device"):
        pair[0].diagnose("net.capture", "interface=eth9", "seconds=1")


def tcp(source: str, destination: str, flags: str, *, port: int = 80, sequence: int = 0, length: int = 60) -> Packet:
    packet = Packet(length)
    packet.protocol, packet.source, packet.destination, packet.flags = "tcp", source, destination, flags
    packet.from_port, packet.to_port, packet.sequence, packet.header = 5_000, port, sequence, 54
    return packet


def arp(source: str, destination: str, note: str) -> Packet:
    packet = Packet(42)
    packet.protocol, packet.source, packet.destination, packet.note = "arp", source, destination, note
    return packet


def test_what_packets_tell() -> None:
    lost = [tcp("a", "b", "ACK", sequence=number // 2, length=1_500) for number in range(20)]
    assert net_capture.sent_again(lost) == (net_capture.AGAIN, {"source": "a", "destination": "b", "percent": 50})
    assert net_capture.sent_again(lost[::2]) is None
    knocks = [tcp("a", "b", "SYN") for _ in range(4)]
    assert net_capture.unanswered_connections(knocks) == (
        net_capture.REFUSED, {"source": "a", "destination": "b", "port": 80, "count": 4},
    )  # fmt: skip
    both = [
        arp("10.0.0.7", "", "10.0.0.7 is at 02:00:00:00:00:01"),
        arp("10.0.0.7", "", "10.0.0.7 is at 02:00:00:00:00:02"),
    ]
    assert net_capture.two_have(both) == (
        net_capture.TWO_HAVE,
        {"address": "10.0.0.7", "first": "02:00:00:00:00:01", "second": "02:00:00:00:00:02"},
    )
    assert net_capture.two_have(both[:1]) is None


@given(st.binary(max_size=200))
def test_fuzz_packets(frame: bytes) -> None:
    for head in (
        b"",
        bytes(12) + b"\x08\x00",
        bytes(12) + b"\x86\xdd",
        bytes(12) + b"\x08\x06",
        bytes(12) + b"\x81\x00",
    ):
        packet = parse(head + frame, len(head + frame))
        assert packet.header >= 0
