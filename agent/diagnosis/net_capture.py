"""net.capture: a short look at packets; their headers alone, unless the customer allows what they carry."""

from __future__ import annotations

import errno
import select
import socket
import time
from collections import Counter
from dataclasses import dataclass

from agent.diagnosis.arguments import name, text, truth, whole
from agent.diagnosis.catalogue import Found, diagnosis
from agent.diagnosis.errors import NotFound
from agent.diagnosis.packets import Packet, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.diagnosis.catalogue import Look

ALL = 0x0003  # ETH_P_ALL
SNAP = 128  # bytes taken of a packet, if what it carries is not wanted
SNAP_WHOLE = 1_600
SHOWN_PAYLOAD = 256
MANY = 5
MAX_SEEN = 20_000

UNANSWERED_ARP = "%(count)s times %(source)s asked who has %(address)s, and nobody answered"
TWO_HAVE = "Two machines say that they have the address %(address)s: %(first)s and %(second)s"
RESETS = "%(count)s connections between %(source)s and %(destination)s port %(port)s were reset"
REFUSED = "%(source)s tries to connect to %(destination)s port %(port)s, %(count)s times without an answer"
AGAIN = "%(percent)s%% of the data from %(source)s to %(destination)s is sent again: packets are lost on the way"
BUSIEST = (
    "%(count)s packets in %(seconds)s s, %(percent)s%% of the bytes between %(source)s and %(destination)s "
    "(%(protocol)s)"
)
SILENT = "Not a single packet in %(seconds)s s on %(interface)s"
NOT_ALLOWED = "The agent may not capture packets here: it needs CAP_NET_RAW (see the manual, diagnoses)"

PACKET = {
    "t": "number", "protocol": "name", "source": "name", "from_port": "number", "destination": "name",
    "to_port": "number", "length": "number", "flags": "name", "note": "name", "payload": "text",
}  # fmt: skip
TALK = {"source": "name", "destination": "name", "protocol": "name", "packets": "number", "bytes": "number"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """Where, how long, how many; of which host and port; and whether what they carry is wanted."""

    interface: str = name("")
    seconds: int = whole(5, 1, 30)
    packets: int = whole(200, 1, 2_000)
    host: str = text("", most=45, pattern=r"[0-9a-fA-F.:]*")  # it is not spoken to
    port: int = whole(0, 0, 65_535)
    payload: bool = truth()


@diagnosis(
    "net.capture", Capture, privacy="names", cost="heavy", seconds=45, bytes=256 << 10, systems=("linux",),
    raised={"payload": "content"},
    findings=(UNANSWERED_ARP, TWO_HAVE, RESETS, REFUSED, AGAIN, BUSIEST, SILENT, NOT_ALLOWED),
    output={"packets": [PACKET], "talks": [TALK], "count": "number", "bytes": "number", "seconds": "number",
            "dropped": "number"},
)  # fmt: skip
def capture(look: Look, asked: Capture) -> Found:
    """A short look at packets: who talks with whom, resets, losses, questions that nobody answers."""
    try:
        taken, seconds = _take(look, asked)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES, errno.EAFNOSUPPORT):
            return Found(NOT_ALLOWED)
        raise NotFound(f"{asked.interface or 'packets'}: {error.strerror}") from error
    talks = Counter[tuple[str, str, str]]()
    sizes = Counter[tuple[str, str, str]]()
    for _, packet, _ in taken:
        key = _talk(packet)
        talks[key] += 1
        sizes[key] += packet.length
    rows = [
        {"source": a, "destination": b, "protocol": protocol, "packets": talks[a, b, protocol], "bytes": amount}
        for (a, b, protocol), amount in sizes.most_common(20)
    ]
    data: dict[str, object] = {
        "packets": [_row(at, packet, payload) for at, packet, payload in taken[: asked.packets]], "talks": rows,
        "count": len(taken), "bytes": sum(sizes.values()), "seconds": round(seconds, 1),
    }  # fmt: skip
    if not taken:
        return Found(SILENT, {"seconds": asked.seconds, "interface": asked.interface or "all interfaces"}, data)
    packets = [packet for _, packet, _ in taken]
    for trouble in (two_have, unanswered_arp, unanswered_connections, resets, sent_again):
        said = trouble(packets)
        if said is not None:
            return Found(*said, data)
    (a, b, protocol), amount = sizes.most_common(1)[0]
    values: dict[str, str | float] = {
        "count": len(taken), "seconds": round(seconds, 1), "source": a, "destination": b, "protocol": protocol,
        "percent": round(100 * amount / max(1, sum(sizes.values()))),
    }  # fmt: skip
    return Found(BUSIEST, values, data, truncated=len(taken) >= asked.packets)


def _take(look: Look, asked: Capture) -> tuple[list[tuple[float, Packet, str]], float]:
    """Take packets until there are enough, or the time is over.

    Raises:
        OSError: there is no such interface, or it is not allowed.
    """
    snap = SNAP_WHOLE if asked.payload else SNAP
    taken: list[tuple[float, Packet, str]] = []
    started = time.monotonic()
    until = min(started + asked.seconds, look.deadline - 2)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL)) as wire:
        if asked.interface:
            wire.bind((asked.interface, ALL))
        wire.setblocking(False)
        seen = 0
        while len(taken) < asked.packets and seen < MAX_SEEN and (left := until - time.monotonic()) > 0:
            if not select.select([wire], [], [], left)[0]:
                continue
            buffer = bytearray(snap)
            length, _, _, where = wire.recvmsg_into([buffer], 0, socket.MSG_TRUNC)
            seen += 1
            frame = bytes(buffer[: min(length, snap)])
            packet = parse(frame, length)
            # On the loopback every packet is seen twice: on its way out, and on its way in.
            if (where[2] == socket.PACKET_OUTGOING and where[0] == "lo") or not _wanted(packet, asked):
                continue
            payload = frame[packet.header :][:SHOWN_PAYLOAD].decode("latin-1") if asked.payload else ""
            taken.append((round(time.monotonic() - started, 4), packet, payload))
    return taken, time.monotonic() - started


def _wanted(packet: Packet, asked: Capture) -> bool:
    if asked.host and asked.host.lower() not in (packet.source, packet.destination):
        return False
    return not asked.port or asked.port in (packet.from_port, packet.to_port)


def _talk(packet: Packet) -> tuple[str, str, str]:
    a, b = sorted((packet.source, packet.destination))
    port = min((one for one in (packet.from_port, packet.to_port) if one), default=0)
    return a, b, f"{packet.protocol} {port}" if port else packet.protocol


def _row(at: float, packet: Packet, payload: str) -> dict[str, object]:
    return {
        "t": at, "protocol": packet.protocol, "source": packet.source, "from_port": packet.from_port,
        "destination": packet.destination, "to_port": packet.to_port, "length": packet.length, "flags": packet.flags,
        "note": packet.note, "payload": payload or None,
    }  # fmt: skip


if TYPE_CHECKING:
    Said = tuple[str, dict[str, str | float]] | None


def two_have(packets: list[Packet]) -> Said:
    """Tell of an address that two machines say they have."""
    owners: dict[str, str] = {}
    for packet in packets:
        address, answered, link = packet.note.partition(" is at ")
        if packet.protocol == "arp" and answered:
            known = owners.setdefault(address, link)
            if known != link:
                return TWO_HAVE, {"address": address, "first": known, "second": link}
    return None


def unanswered_arp(packets: list[Packet]) -> Said:
    """Tell of an address that is asked for again and again."""
    asked: Counter[tuple[str, str]] = Counter()
    answered = set()
    for packet in packets:
        if packet.protocol == "arp" and packet.note.startswith("who has"):
            asked[packet.source, packet.destination] += 1
        elif packet.protocol == "arp":
            answered.add(packet.source)
    open_ones = [(pair, count) for pair, count in asked.most_common() if pair[1] not in answered and pair[0] != pair[1]]
    if not open_ones or open_ones[0][1] < 3:
        return None
    (source, address), count = open_ones[0]
    return UNANSWERED_ARP, {"source": source, "address": address, "count": count}


def unanswered_connections(packets: list[Packet]) -> Said:
    """Tell of a first packet of TCP that is sent again and again."""
    tries: Counter[tuple[str, str, int]] = Counter()
    answered = set()
    for packet in packets:
        if packet.flags == "SYN":
            tries[packet.source, packet.destination, packet.to_port] += 1
        elif packet.protocol == "tcp":
            answered.add((packet.destination, packet.source, packet.from_port))
    for (source, destination, port), count in tries.most_common():
        if count >= 2 and (source, destination, port) not in answered:
            return REFUSED, {"source": source, "destination": destination, "port": port, "count": count}
    return None


def resets(packets: list[Packet]) -> Said:
    """Tell of connections that one end throws away."""
    thrown = Counter((one.source, one.destination, one.from_port) for one in packets if "RST" in one.flags)
    if not thrown:
        return None
    (source, destination, port), count = thrown.most_common(1)[0]
    if count < MANY:
        return None
    return RESETS, {"source": source, "destination": destination, "port": port, "count": count}


def sent_again(packets: list[Packet]) -> Said:
    """Tell of data of TCP that is seen twice."""
    seen: set[tuple[str, str, int, int, int]] = set()
    sent: Counter[tuple[str, str]] = Counter()
    twice: Counter[tuple[str, str]] = Counter()
    for one in packets:
        if one.protocol != "tcp" or one.length <= one.header or "SYN" in one.flags:
            continue
        key = (one.source, one.destination, one.from_port, one.to_port, one.sequence)
        sent[one.source, one.destination] += 1
        twice[one.source, one.destination] += key in seen
        seen.add(key)
    for (source, destination), count in twice.most_common(1):
        share = 100 * count / sent[source, destination]
        if count >= MANY and share >= 3:
            return AGAIN, {"source": source, "destination": destination, "percent": round(share)}
    return None
