"""The way to the wire: a packet socket of Linux, or scapy's where there is none.

A filter in the kernel lets through what discovery reads (ARP, ICMPv6, DHCP, mDNS), so that a busy machine does not feel
it. Multicast is heard without joining groups: joining would be spoken on the network.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from typing import Final, Protocol

MOST_AT_ONCE: Final = 64
_LARGEST: Final = 2048
_OUTGOING: Final = 4
_ALL: Final = 3  # ETH_P_ALL
_SOL_PACKET, _ADD_MEMBERSHIP, _ALLMULTI, _ATTACH_FILTER = 263, 1, 2, 26
# Classic BPF: (code, jump if true, jump if false, operand). EtherType at 12; UDP's destination port behind the header.
_FILTER: Final = (
    (0x28, 0, 0, 12),
    (0x15, 15, 0, 0x0806),
    (0x15, 0, 8, 0x0800),
    (0x30, 0, 0, 23),
    (0x15, 0, 13, 17),
    (0x28, 0, 0, 20),
    (0x45, 11, 0, 0x1FFF),  # a later fragment
    (0xB1, 0, 0, 14),
    (0x48, 0, 0, 16),
    (0x15, 7, 0, 67),
    (0x15, 6, 7, 5353),
    (0x15, 0, 6, 0x86DD),
    (0x30, 0, 0, 20),
    (0x15, 3, 0, 58),
    (0x15, 0, 3, 17),
    (0x28, 0, 0, 56),
    (0x15, 0, 1, 5353),
    (0x06, 0, 0, 0xFFFF),
    (0x06, 0, 0, 0),
)


class Link(Protocol):
    """Sends and receives whole frames on one interface, without waiting."""

    def fileno(self) -> int:
        """Return what can be waited for."""

    def send(self, frame: bytes) -> None:
        """Send a frame. Raises OSError if it cannot be."""

    def received(self) -> list[bytes]:
        """Return the frames of others that have come, some at a time."""

    def close(self) -> None:
        """End it."""


class PacketLink:
    """An AF_PACKET socket; it takes CAP_NET_RAW."""

    def __init__(self, name: str) -> None:
        """Raises OSError: not allowed, or no such interface."""
        made = self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        try:
            program = b"".join(struct.pack("HBBI", *one) for one in _FILTER)
            kept = ctypes.create_string_buffer(program)
            filter_ = struct.pack("HP", len(_FILTER), ctypes.addressof(kept))
            made.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, filter_)
            made.bind((name, _ALL))
            membership = struct.pack("iHH8s", socket.if_nametoindex(name), _ALLMULTI, 0, b"")
            made.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, membership)
            made.setblocking(False)
        except OSError:
            made.close()
            raise

    def fileno(self) -> int:
        """Return what can be waited for."""
        return self._socket.fileno()

    def send(self, frame: bytes) -> None:
        """Send a frame."""
        self._socket.send(frame)

    def received(self) -> list[bytes]:
        """Return the frames of others that have come."""
        found = []
        for _ in range(MOST_AT_ONCE):
            try:
                frame, source = self._socket.recvfrom(_LARGEST)
            except OSError:  # none is left, or the interface is down
                break
            if source[2] != _OUTGOING:
                found.append(frame)
        return found

    def close(self) -> None:
        """End it."""
        self._socket.close()


def open_link(name: str, *, scapy: bool) -> Link:
    """Return the way to the wire of an interface.

    Raises:
        OSError: it is not allowed, or there is no such interface.
    """
    if hasattr(socket, "AF_PACKET") and not scapy:
        return PacketLink(name)
    from collector.discovery.helper.scapylink import ScapyLink

    return ScapyLink(name)
