"""Reading the headers of packets: Ethernet, ARP, IPv4, IPv6, TCP, UDP, ICMP. What they carry is not looked at.

Source: RFC 826, 791, 8200, 9293, 768, 792; the well-known ports name the protocol alone.
"""

from __future__ import annotations

import socket
import struct

ARP, IPV4, IPV6, VLAN = 0x0806, 0x0800, 0x86DD, 0x8100
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
FLAGS = ((0x02, "SYN"), (0x10, "ACK"), (0x01, "FIN"), (0x04, "RST"), (0x08, "PSH"))
EXTENSIONS = (0, 43, 60)
PROTOCOLS = {ICMP: "icmp", TCP: "tcp", UDP: "udp", ICMPV6: "icmp6"}


class Packet:
    """What the headers of a packet say; `header` is how many bytes they take, `note` what is special about it."""

    __slots__ = (
        "destination",
        "flags",
        "from_port",
        "header",
        "length",
        "note",
        "protocol",
        "sequence",
        "source",
        "to_port",
    )  # fmt: skip

    def __init__(self, length: int) -> None:
        self.length = length
        self.protocol = "other"
        self.source = self.destination = ""
        self.from_port = self.to_port = 0
        self.flags = ""
        self.sequence = 0
        self.note = ""
        self.header = 14


def parse(frame: bytes, length: int) -> Packet:
    """Return what a frame of Ethernet says; one that is cut off or odd is of the protocol `other`."""
    packet = Packet(length)
    try:
        packet.destination, packet.source = frame[0:6].hex(":"), frame[6:12].hex(":")
        kind = int.from_bytes(frame[12:14], "big")
        at = 14
        if kind == VLAN:
            kind, at = int.from_bytes(frame[16:18], "big"), 18
        packet.header = at
        if kind == ARP:
            _arp(packet, frame, at)
        elif kind == IPV4:
            _ipv4(packet, frame, at)
        elif kind == IPV6:
            _ipv6(packet, frame, at)
        else:
            packet.protocol = f"ethernet {kind:#06x}"
    except (struct.error, IndexError, ValueError, OSError):
        packet.note = "cut off"
    return packet


def _arp(packet: Packet, frame: bytes, at: int) -> None:
    operation = struct.unpack_from(">H", frame, at + 6)[0]
    packet.protocol = "arp"
    packet.header = at + 28
    packet.source = socket.inet_ntoa(frame[at + 14 : at + 18])
    packet.destination = socket.inet_ntoa(frame[at + 24 : at + 28])
    packet.note = f"who has {packet.destination}" if operation == 1 else f"{packet.source} is at {frame[6:12].hex(':')}"


def _ipv4(packet: Packet, frame: bytes, at: int) -> None:
    packet.source, packet.destination = (
        socket.inet_ntoa(frame[at + 12 : at + 16]),
        socket.inet_ntoa(frame[at + 16 : at + 20]),
    )
    fragment = struct.unpack_from(">H", frame, at + 6)[0] & 0x1FFF
    protocol, at = frame[at + 9], at + (frame[at] & 15) * 4
    packet.header = at
    packet.protocol = PROTOCOLS.get(protocol, f"ip {protocol}")
    if fragment:
        packet.note = "fragment"
    else:
        _above(packet, protocol, frame, at)


def _ipv6(packet: Packet, frame: bytes, at: int) -> None:
    packet.source = socket.inet_ntop(socket.AF_INET6, frame[at + 8 : at + 24])
    packet.destination = socket.inet_ntop(socket.AF_INET6, frame[at + 24 : at + 40])
    protocol, at = frame[at + 6], at + 40
    for _ in range(8):
        if protocol not in EXTENSIONS:
            break
        protocol, at = frame[at], at + 8 + frame[at + 1] * 8
    packet.header = at
    packet.protocol = PROTOCOLS.get(protocol, f"ip {protocol}")
    _above(packet, protocol, frame, at)


def _above(packet: Packet, protocol: int, frame: bytes, at: int) -> None:
    if protocol == TCP:
        packet.from_port, packet.to_port, packet.sequence = struct.unpack_from(">HHI", frame, at)
        packet.flags = " ".join(name for bit, name in FLAGS if frame[at + 13] & bit)
        packet.header = at + (frame[at + 12] >> 4) * 4
    elif protocol == UDP:
        packet.from_port, packet.to_port = struct.unpack_from(">HH", frame, at)
        packet.header = at + 8
    elif protocol in (ICMP, ICMPV6):
        packet.note = f"type {frame[at]} code {frame[at + 1]}"
        packet.header = at + 8
