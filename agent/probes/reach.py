"""Whether the gateway, the name servers and the internet can be reached from here."""

from __future__ import annotations

import _socket
import os
import struct
import time

from agent.probes import NoData, probe
from agent.probes.host import read_text
from agent.probes.series import labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host

READINGS = 6  # asked once in so many readings, told in each
SECONDS = 1.0  # of patience with each
MAX_SERVERS = 3
FAILED = float("nan")
NAME = "localhost"  # every name server answers it, if only by saying that there is none; nobody else is asked
REACHABLE = "0x2"  # flag of /proc/net/arp: the address is resolved


@probe("reach")
def reach(host: Host) -> Iterator[tuple[str, float]]:
    """A query to each name server of resolv.conf, the gateway's answer to ARP, a connection to reach.internet.

    Metrics:
        watchdesk_reachable (gauge): Whether it answered.
        watchdesk_reach_seconds (gauge): How long it took to answer.
    """
    known = host.memory.get("reach")
    if not isinstance(known, tuple) or known[0] <= 0:
        known = (READINGS, list(_ask_all(host)))
    host.memory["reach"] = (known[0] - 1, known[1])
    if not known[1]:
        raise NoData("reach")
    yield from known[1]


def _ask_all(host: Host) -> Iterator[tuple[str, float]]:
    if host.options.get("reach.gateway", "on") == "on":
        for gateway, up in gateways(host):
            yield "watchdesk_reachable" + labels(target="gateway", address=gateway), float(up)
    chosen = [word.strip() for word in host.options.get("reach.dns", "").split(",") if word.strip()]
    for server in chosen or name_servers(host):
        yield from _told("dns", server, _timed(_query, server))
    for target in host.options.get("reach.internet", "").split(","):
        address, _, port = target.strip().rpartition(":")
        if address and port.isdigit():
            yield from _told("internet", target.strip(), _timed(_connect, address.strip("[]"), int(port)))


def _told(kind: str, address: str, seconds: float) -> Iterator[tuple[str, float]]:
    label = labels(target=kind, address=address)
    yield "watchdesk_reachable" + label, float(seconds == seconds)
    yield "watchdesk_reach_seconds" + label, seconds


def _timed(ask, *words) -> float:  # type: ignore[no-untyped-def]  # whatever `ask` takes
    started = time.monotonic()
    try:
        ask(*words)
    except OSError:
        return FAILED
    return round((time.monotonic() - started) * 8192) / 8192


def gateways(host: Host) -> Iterator[tuple[str, bool]]:
    """Yield each IPv4 gateway of /proc/net/route, and whether the kernel knows its hardware address."""
    try:
        routes = host.read_proc("net/route").splitlines()[1:]
        entries = [line.split() for line in host.read_proc("net/arp").splitlines()[1:]]
    except NoData:
        return
    resolved = {entry[0]: entry[2] == REACHABLE for entry in entries if len(entry) > 2}
    seen = set()
    for line in routes:
        fields = line.split()
        if len(fields) > 3 and fields[1] == "00000000" and fields[2] != "00000000":
            gateway = ".".join(str(byte) for byte in int(fields[2], 16).to_bytes(4, "little"))
            if gateway in resolved and gateway not in seen:  # nobody has spoken with it: then nobody knows
                seen.add(gateway)
                yield gateway, resolved[gateway]


def name_servers(host: Host) -> list[str]:
    """Return the name servers of /etc/resolv.conf."""
    try:
        lines = read_text(host.root + "/etc/resolv.conf").splitlines()
    except NoData:
        return []
    servers = [line.split()[1] for line in lines if line.startswith("nameserver") and len(line.split()) > 1]
    return servers[:MAX_SERVERS]


def query(number: int) -> bytes:
    """Return a question for the address of NAME (RFC 1035)."""
    name = bytes((len(NAME),)) + NAME.encode() + b"\0"
    return struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + name + struct.pack(">HH", 1, 1)


def _query(server: str) -> None:
    """Ask a name server; any answer to our question is one, if only that there is no such name."""
    family = _socket.AF_INET6 if ":" in server else _socket.AF_INET
    asked = _socket.socket(family, _socket.SOCK_DGRAM)
    try:
        number = int.from_bytes(os.urandom(2), "big")
        asked.settimeout(SECONDS)
        asked.connect((server, 53))
        asked.send(query(number))
        until = time.monotonic() + SECONDS
        while asked.recv(1_500)[:2] != number.to_bytes(2, "big"):
            if time.monotonic() > until:
                raise TimeoutError
    finally:
        asked.close()


def _connect(address: str, port: int) -> None:
    for family, kind, protocol, _, where in _socket.getaddrinfo(address, port, 0, _socket.SOCK_STREAM)[:2]:
        tried = _socket.socket(family, kind, protocol)
        try:
            tried.settimeout(SECONDS)
            tried.connect(where)
            return
        except OSError:
            continue
        finally:
            tried.close()
    raise OSError(address)
