"""The frames that discovery sends and understands: ARP (RFC 826), neighbour discovery (RFC 4861), ICMPv6, DHCP, mDNS.

What comes from the network is read with bounds; what is not in order is None, never an error.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple

from collector.discovery.helper import names

BROADCAST: Final = b"\xff" * 6
ARP: Final = b"\x08\x06"
IPV4: Final = b"\x08\x00"
IPV6: Final = b"\x86\xdd"
ALL_NODES: Final = IPv6Address("ff02::1").packed
_ARP: Final = struct.Struct(">HHBBH6s4s6s4s")
_IPV6: Final = struct.Struct(">IHBB16s16s")
_DHCP_FLOOR: Final = 240  # bytes up to the options, the magic among them
_MAGIC: Final = b"\x63\x82\x53\x63"
_ECHO, _ECHO_REPLY, _PROBLEM, _SOLICIT, _ADVERT = 128, 129, 4, 135, 136
_ICMP6, _UDP, _OPTIONS = 58, 17, 60


class Sighting(NamedTuple):
    """A machine that spoke: its MAC address and, where they are told, its IP address and names."""

    mac: str
    address: str
    how: str
    names: tuple[str, ...] = ()


def mac_bytes(text: str) -> bytes:
    """Return the six bytes of `02:00:…`."""
    return bytes.fromhex(text.replace(":", "").replace("-", ""))


def mac_text(data: bytes) -> str:
    """Return six bytes as `02:00:…`."""
    return data.hex(":")


def arp_request(own_mac: bytes, own: IPv4Address, target: IPv4Address) -> bytes:
    """Return the frame that asks who has an address."""
    body = _ARP.pack(1, 0x0800, 6, 4, 1, own_mac, own.packed, bytes(6), target.packed)
    return BROADCAST + own_mac + ARP + body


def solicitation(own_mac: bytes, own: IPv6Address, target: IPv6Address) -> bytes:
    """Return the neighbour solicitation for an address, to the multicast group of its last 24 bits."""
    group = IPv6Address("ff02::1:ff00:0").packed[:13] + target.packed[13:]
    body = struct.pack(">BBHI", _SOLICIT, 0, 0, 0) + target.packed + b"\x01\x01" + own_mac
    return _six(own_mac, own, b"\x33\x33" + group[12:], group, body)


def all_nodes(own_mac: bytes, own: IPv6Address, token: int) -> list[bytes]:
    """Return the two frames that all nodes of a link answer: an echo request, and for those that keep still at it the
    same behind an option that nobody knows and everybody has to report (RFC 8200, 4.2)."""
    echo = struct.pack(">BBHHH", _ECHO, 0, 0, token, 1) + b"watchdsk"
    group = b"\x33\x33\x00\x00\x00\x01"
    plain = _six(own_mac, own, group, ALL_NODES, echo)
    option = bytes((_ICMP6, 0, 0x80, 4, 0, 0, 0, 0))
    return [plain, _six(own_mac, own, group, ALL_NODES, echo, option)]


def _six(own_mac: bytes, own: IPv6Address, to: bytes, target: bytes, body: bytes, options: bytes = b"") -> bytes:
    pseudo = own.packed + target + struct.pack(">II", len(body), _ICMP6)
    body = body[:2] + struct.pack(">H", _checksum(pseudo + body)) + body[4:]
    following = _OPTIONS if options else _ICMP6
    head = _IPV6.pack(6 << 28, len(options) + len(body), following, 255, own.packed, target)
    return to + own_mac + IPV6 + head + options + body


def _checksum(data: bytes) -> int:
    data += bytes(len(data) % 2)
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    return ~total & 0xFFFF


def read(frame: bytes, token: int) -> Sighting | None:
    """Return who a frame shows, if anybody; `token` is that of our own questions to all nodes."""
    source, kind, body = frame[6:12], frame[12:14], frame[14:]
    if len(source) < 6 or source[0] & 1:
        return None
    if kind == ARP:
        return _arp(body)
    if kind == IPV4:
        return _four(source, body)
    if kind == IPV6:
        return _six_read(source, body, token)
    return None


def _arp(body: bytes) -> Sighting | None:
    if len(body) < _ARP.size:
        return None
    hardware, protocol, hardware_size, size, _, mac, address, _, _ = _ARP.unpack_from(body)
    if (hardware, protocol, hardware_size, size) != (1, 0x0800, 6, 4) or mac[0] & 1 or not any(mac):
        return None
    found = IPv4Address(address)
    return None if _nobody(found) else Sighting(mac_text(mac), str(found), "arp")


def _nobody(address: IPv4Address | IPv6Address) -> bool:
    return address.is_unspecified or address.is_multicast or address.is_loopback or address == IPv4Address(2**32 - 1)


def _four(mac: bytes, body: bytes) -> Sighting | None:
    start = (body[0] & 15) * 4 if body else 0
    if start < 20 or len(body) < start + 8 or body[9] != _UDP:
        return None
    port = int.from_bytes(body[start + 2 : start + 4], "big")
    content = body[start + 8 :]
    if port == 67:
        return _dhcp(content)
    if port == 5353 and not _nobody(IPv4Address(body[12:16])):
        return Sighting(mac_text(mac), str(IPv4Address(body[12:16])), "mdns", names.of_mdns(content))
    return None


def _dhcp(content: bytes) -> Sighting | None:
    """Return the client of a DHCP message (RFC 2131): its name and, where it has or asks for one, its address."""
    if len(content) < _DHCP_FLOOR or content[:3] != b"\x01\x01\x06" or content[236:240] != _MAGIC:
        return None
    mac, client = content[28:34], IPv4Address(content[12:16])
    if mac[0] & 1 or not any(mac):
        return None
    options = names.dhcp_options(content[240:])
    wanted = options.get(50, b"")
    if _nobody(client) and len(wanted) == 4 and options.get(53) == b"\x03":
        client = IPv4Address(wanted)
    called = tuple(name for code in (12, 60) if (name := names.clean(options.get(code, b""))))
    return Sighting(mac_text(mac), "" if _nobody(client) else str(client), "dhcp", called)


def _six_read(mac: bytes, body: bytes, token: int) -> Sighting | None:
    if len(body) < 48:
        return None
    _, _, following, hops, source, _ = _IPV6.unpack_from(body)
    address, content = IPv6Address(source), body[40:]
    if following == _UDP and content[2:4] == b"\x14\xe9":
        return Sighting(mac_text(mac), str(address), "mdns", names.of_mdns(content[8:]))
    if following != _ICMP6:
        return None
    kind = content[0]
    if kind == _ADVERT and hops == 255 and len(content) >= 24:
        return _advert(mac, content)
    if _nobody(address):
        return None
    ours = struct.pack(">H", token) + b"\x00\x01"
    asked = (kind == _ECHO_REPLY and content[4:8] == ours) or (kind == _PROBLEM and ours in content[48:96])
    if asked or (kind == _SOLICIT and hops == 255):
        return Sighting(mac_text(mac), str(address), "ndp")
    return None


def _advert(mac: bytes, content: bytes) -> Sighting | None:
    target = ip_address(content[8:24])
    if content[24:26] == b"\x02\x01" and len(content) >= 32:  # its link-layer address, which a proxy's frame has not
        mac = content[26:32]
    return None if _nobody(target) or mac[0] & 1 else Sighting(mac_text(mac), str(target), "ndp")
