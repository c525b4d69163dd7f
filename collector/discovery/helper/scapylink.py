"""The way to the wire by scapy, for systems without packet sockets. The only module that imports scapy.

Scapy is GPL-2.0-only: it is an optional extra, loaded in this program alone.
"""

from __future__ import annotations

from typing import Final

MOST_AT_ONCE: Final = 64
# What scapy compiles for the system's packet filter; the same as `link._FILTER`.
_FILTER: Final = "arp or icmp6 or udp dst port 67 or udp dst port 5353"


class ScapyLink:
    """A link-layer socket of scapy."""

    def __init__(self, name: str) -> None:
        """Raises OSError: scapy is not installed, it is not allowed, or there is no such interface."""
        try:
            import scapy.arch  # noqa: F401 - makes conf.L2socket
            from scapy.config import conf
            from scapy.error import Scapy_Exception
            from scapy.packet import Raw
        except ImportError as error:
            raise OSError("scapy is not installed: pip install 'watchdesk[discovery]'") from error
        self._packet = Raw
        try:
            self._socket = conf.L2socket(iface=name, promisc=False, filter=_FILTER)
        except Scapy_Exception as error:
            raise OSError(str(error)) from error

    def fileno(self) -> int:
        """Return what can be waited for."""
        return int(self._socket.fileno())

    def send(self, frame: bytes) -> None:
        """Send a frame."""
        self._socket.send(self._packet(frame))

    def received(self) -> list[bytes]:
        """Return the frames that have come."""
        found = []
        for _ in range(MOST_AT_ONCE):
            if not self._socket.select([self._socket], 0):
                break
            _, frame, _ = self._socket.recv_raw()
            if frame is None:
                break
            found.append(bytes(frame))
        return found

    def close(self) -> None:
        """End it."""
        self._socket.close()
