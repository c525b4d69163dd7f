"""Sockets of this machine, by /proc/net, and which process holds each."""

from __future__ import annotations

import itertools
import os
import socket
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host

# include/net/tcp_states.h
STATES = {
    1: "ESTABLISHED", 2: "SYN_SENT", 3: "SYN_RECV", 4: "FIN_WAIT1", 5: "FIN_WAIT2", 6: "TIME_WAIT", 7: "CLOSE",
    8: "CLOSE_WAIT", 9: "LAST_ACK", 10: "LISTEN", 11: "CLOSING", 12: "NEW_SYN_RECV",
}  # fmt: skip
FILES = {"tcp": ("net/tcp", "net/tcp6"), "udp": ("net/udp", "net/udp6")}
MAX_SOCKETS = 100_000
MAX_FILES = 4_096  # of a process


class Socket:
    """A socket: addresses and ports of both ends, bytes that wait to be sent and to be read, how often sent again."""

    __slots__ = ("address", "inode", "peer", "peer_port", "port", "protocol", "retries", "state", "to_read", "to_send",
                 "uid")  # fmt: skip

    def __init__(self, protocol: str, local: tuple[str, int], peer: tuple[str, int], state: str) -> None:
        self.protocol = protocol
        self.address, self.port = local
        self.peer, self.peer_port = peer
        self.state = state
        self.to_send = self.to_read = self.retries = self.uid = self.inode = 0


def sockets(host: Host, protocol: str) -> list[Socket]:
    """Return the sockets of a protocol, IPv4 and IPv6."""
    found: list[Socket] = []
    for file in FILES[protocol]:
        try:
            with open(f"{host.proc}/{file}", encoding="ascii", errors="replace") as table:
                lines = itertools.islice(table, 1, MAX_SOCKETS)  # the table may be longer than any other file of /proc
                found.extend(one for line in lines if (one := of_line(protocol, line)) is not None)
        except OSError:
            continue
    return found


def of_line(protocol: str, line: str) -> Socket | None:
    """Return the socket of a line of /proc/net/tcp or udp: sl, local, remote, state, queues, timer, retries, uid, …"""
    fields = line.split()
    try:
        state = STATES.get(int(fields[3], 16), fields[3])
        one = Socket(protocol, _place(fields[1]), _place(fields[2]), "" if protocol == "udp" else state)
        sent, _, read = fields[4].partition(":")
        one.to_send, one.to_read = int(sent, 16), int(read, 16)
        one.retries, one.uid, one.inode = int(fields[6], 16), int(fields[7]), int(fields[9])
    except (ValueError, IndexError, OSError):
        return None
    return one


def _place(text: str) -> tuple[str, int]:
    """Return (address, port) of 0100007F:1F90: words of four bytes, each in the machine's own order."""
    packed, _, port = text.partition(":")
    words = bytes.fromhex(packed)
    data = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))
    if len(data) == 16 and data[:12] == bytes(10) + b"\xff\xff":
        data = data[12:]
    family = socket.AF_INET if len(data) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, data), int(port, 16)


def holders(host: Host, inodes: set[int], until: float) -> dict[int, tuple[int, int]]:
    """Return (process, file number) of each of these sockets, as far as their processes let us see."""
    found: dict[int, tuple[int, int]] = {}
    for name in sorted(filter(str.isdecimal, os.listdir(host.proc)), key=int):
        if len(found) == len(inodes) or time.monotonic() > until:
            break
        for file, inode in _sockets_of(f"{host.proc}/{name}/fd"):
            if inode in inodes:
                found.setdefault(inode, (int(name), file))
    return found


def _sockets_of(folder: str) -> Iterator[tuple[int, int]]:
    try:
        names = os.listdir(folder)[:MAX_FILES]
    except OSError:
        return
    for name in names:
        try:
            target = os.readlink(f"{folder}/{name}")
        except OSError:
            continue
        if target.startswith("socket:[") and target[8:-1].isdecimal():
            yield int(name), int(target[8:-1])
