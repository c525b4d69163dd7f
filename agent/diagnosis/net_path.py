"""net.ping, net.mtu, net.traceroute: how far packets get, how large they may be, and who stops them."""

from __future__ import annotations

import socket
import sys
import time
from dataclasses import dataclass

from agent.diagnosis.arguments import target, whole
from agent.diagnosis.catalogue import Found, diagnosis
from agent.diagnosis.errors import NotFound
from agent.diagnosis.net_way import LINUX, NO_ROUTE, UNKNOWN, Host, no_route, resolved
from agent.diagnosis.probing import ANSWERED, EXPIRED, HEADERS, TOO_BIG, V6, Prober
from agent.heavy.asking import ping as by_program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.diagnosis.catalogue import Look
    from agent.diagnosis.probing import Reply

PAUSE = 0.2
PATIENCE = 1.5  # seconds for the last answer
PROBES = 2  # of each hop
SILENT = 6  # hops in a row without an answer, behind which nobody is expected
MTU_FLOOR: dict[int, int] = {socket.AF_INET: 576, V6: 1_280}

ALIVE = "%(address)s answers each of %(sent)s echoes, after %(average)s ms on average (%(least)s to %(most)s ms)"
LOSSY = "%(address)s answers %(received)s of %(sent)s echoes: %(loss)s%% are lost"
SILENCE = "%(address)s does not answer any of %(sent)s echoes"
SAYS = "%(address)s cannot be reached: %(source)s says %(reason)s"

MTU_FULL = "Packets of up to %(mtu)s bytes get through to %(address)s, as much as the interface takes"
MTU_TOLD = "The path to %(address)s takes packets of %(mtu)s bytes at most, the interface %(link)s: %(source)s says so"
MTU_HOLE = (
    "Packets of more than %(mtu)s bytes to %(address)s vanish without a word: "
    "a router on the path drops them, and what it says does not get through"
)

LOOPS = "the route to %(address)s loops between %(routers)s"
REACHED = "%(address)s is reached after %(hops)s hops"
ENDS = "The path to %(address)s ends after %(source)s (hop %(hops)s): nobody behind it answers"
STOPPED = "The path to %(address)s is stopped at hop %(hops)s: %(source)s says %(reason)s"
DARK = "Nobody on the path to %(address)s answers, not even the first router"

# Codes of ICMP's destination unreachable (RFC 792, RFC 1812).
REASONS = {
    0: "network unreachable", 1: "host unreachable", 2: "protocol unreachable", 3: "port unreachable",
    9: "prohibited by administrator", 10: "prohibited by administrator", 13: "prohibited by administrator",
}  # fmt: skip
REASONS_V6 = {0: "no route", 1: "prohibited by administrator", 3: "host unreachable", 4: "port unreachable"}

HOP = {"hop": "number", "addresses": ["name"], "milliseconds": "number", "says": "name"}
TRIED = {"address": "name", "milliseconds": "number", "error": "name"}
WAY = {
    **dict.fromkeys(("destination", "gateway", "interface", "source", "kind"), "name"), "metric": "number",
}  # fmt: skip

HOP = {"hop": "number", "addresses": ["name"], "milliseconds": "number", "says": "name"}
TRIED = {"address": "name", "milliseconds": "number", "error": "name"}
WAY = {
    **dict.fromkeys(("destination", "gateway", "interface", "source", "kind"), "name"), "metric": "number",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """Whom, and how often; "" is the default gateway."""

    host: str = target("")
    count: int = whole(5, 1, 20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Whom, and how many routers to ask on the way."""

    host: str = target("")
    hops: int = whole(30, 1, 64)


@diagnosis(
    "net.ping", Ping, privacy="health", seconds=30, findings=(UNKNOWN, NO_ROUTE, ALIVE, LOSSY, SILENCE, SAYS),
    output={"address": "name", "sent": "number", "received": "number", "milliseconds": ["number"], "says": "name"},
)  # fmt: skip
def ping(look: Look, asked: Ping) -> Found:
    """Whether a host answers echoes, how fast, and who says otherwise."""
    if sys.platform != "linux":
        return _ping_by_program(look, asked)
    where = resolved(asked.host)
    if isinstance(where, Found):
        return where
    family, address = where
    try:
        with Prober(family, address, allow_udp=False) as prober:
            return _judge(address, asked.count, _echoes(prober, asked.count))
    except PermissionError:
        return _ping_by_program(look, asked, address)
    except OSError as error:
        return no_route(asked.host, address, error)


def _echoes(prober: Prober, count: int) -> list[Reply]:
    replies: list[Reply] = []
    for number in range(1, count + 1):
        prober.send(number)
        replies.extend(prober.receive(time.monotonic() + PAUSE))
    until = time.monotonic() + PATIENCE
    while len(replies) < count and time.monotonic() < until:
        replies.extend(prober.receive(time.monotonic() + 0.1))
    return replies


def _judge(address: str, sent: int, replies: list[Reply]) -> Found:
    good = {reply.number: reply.seconds for reply in replies if reply.kind == ANSWERED}
    bad = [reply for reply in replies if reply.kind not in (ANSWERED, "")]
    times = [round(1000 * seconds, 2) for seconds in good.values()]
    says = f"{bad[0].source}: {reason_of(bad[0])}" if bad else ""
    data: dict[str, object] = {
        "address": address, "sent": sent, "received": len(good), "milliseconds": times, "says": says,
    }  # fmt: skip
    values: dict[str, str | float] = {
        "address": address, "sent": sent, "received": len(good), "loss": round(100 * (sent - len(good)) / sent),
    }  # fmt: skip
    if not good:
        if bad:
            return Found(SAYS, {**values, "source": bad[0].source, "reason": reason_of(bad[0])}, data)
        return Found(SILENCE, values, data)
    if len(good) < sent:
        return Found(LOSSY, values, data)
    values |= {"average": round(sum(times) / len(times), 1), "least": min(times), "most": max(times)}
    return Found(ALIVE, values, data)


def reason_of(reply: Reply) -> str:
    """Return what a router said, in its words."""
    if reply.kind == EXPIRED:
        return "time to live exceeded"
    if reply.kind == TOO_BIG:
        return f"too big, at most {reply.mtu} bytes"
    reasons = REASONS_V6 if ":" in reply.source else REASONS
    return reasons.get(reply.code, f"unreachable ({reply.code})")


def _ping_by_program(look: Look, asked: Ping, address: str = "") -> Found:
    if not asked.host and not address:
        raise NotFound("a host to ask")
    told = by_program(look.command, address or asked.host, 6.0)
    if told is None:
        raise NotFound("a way to send echoes: neither a socket of ICMP nor the program ping")
    loss, seconds = told
    sent = 3
    received = round(sent * (1 - loss))
    times = [] if seconds is None else [round(1000 * seconds, 2)]
    data: dict[str, object] = {
        "address": address or asked.host, "sent": sent, "received": received, "milliseconds": times, "says": "",
    }  # fmt: skip
    values: dict[str, str | float] = {
        "address": address or asked.host, "sent": sent, "received": received, "loss": round(100 * loss),
    }  # fmt: skip
    if received == sent and times:
        return Found(ALIVE, {**values, "average": times[0], "least": times[0], "most": times[0]}, data)
    return Found(LOSSY if received else SILENCE, values, data)


@diagnosis(
    "net.mtu", Host, privacy="health", seconds=40, systems=LINUX,
    findings=(UNKNOWN, NO_ROUTE, SILENCE, MTU_FULL, MTU_TOLD, MTU_HOLE),
    output={"address": "name", "mtu": "number", "link": "number", "source": "name",
            "sizes": [{"bytes": "number", "result": "name"}]},
)  # fmt: skip
def mtu(look: Look, asked: Host) -> Found:
    """How large a packet gets through, and whether the one who drops larger ones says so."""
    from agent.diagnosis.netlink import route_to

    where = resolved(asked.host)
    if isinstance(where, Found):
        return where
    family, address = where
    try:
        link = _link_mtu(look, route_to(family, address).interface)
        with Prober(family, address) as prober:
            prober.no_fragments()
            return _search(prober, look, link)
    except OSError as error:
        return no_route(asked.host, address, error)


def _link_mtu(look: Look, interface: str) -> int:
    from agent.probes.host import read_number

    return min(65_535, int(read_number(f"{look.host.sys}/class/net/{interface}/mtu") or 1_500))


def _search(prober: Prober, look: Look, link: int) -> Found:
    """Find the largest by halving; a router that names its MTU shortens that."""
    tried: list[dict[str, object]] = []
    teller = ""
    number = 0

    def passes(length: int) -> bool:
        nonlocal number, teller
        number += 1
        result = prober.send(number, length=length)
        until = time.monotonic() + (PATIENCE if not result else 0)
        for reply in () if result else prober.receive(until):
            if reply.number == number:
                result = reply.kind
                teller = reply.source if reply.kind == TOO_BIG else teller
                break
        tried.append({"bytes": length, "result": result or "silence"})
        return result == ANSWERED

    low, high = MTU_FLOOR[prober.family], link
    values: dict[str, str | float] = {"address": prober.address, "link": link}
    data: dict[str, object] = {"address": prober.address, "link": link, "sizes": tried}
    if not passes(high):
        if not passes(min(low, HEADERS[prober.family] + 56)) and not passes(84):
            return Found(SILENCE, {**values, "sent": len(tried)}, data)
        while high - low > 1 and time.monotonic() < look.deadline - 2:
            middle = (low + high) // 2
            low, high = (middle, high) if passes(middle) else (low, middle)
        data |= {"mtu": low, "source": teller}
        return Found(MTU_TOLD if teller else MTU_HOLE, {**values, "mtu": low, "source": teller}, data)
    return Found(MTU_FULL, {**values, "mtu": link}, {**data, "mtu": link})


@diagnosis(
    "net.traceroute", Trace, privacy="health", seconds=40, systems=LINUX,
    findings=(UNKNOWN, NO_ROUTE, LOOPS, REACHED, ENDS, STOPPED, DARK),
    output={"address": "name", "hops": [HOP], "kind": "name"},
)  # fmt: skip
def traceroute(look: Look, asked: Trace) -> Found:
    """The routers on the way, where it ends, and whether it goes in a circle."""
    where = resolved(asked.host)
    if isinstance(where, Found):
        return where
    family, address = where
    try:
        with Prober(family, address) as prober:
            hops = _trace(prober, asked.hops, look.deadline - 2)
            kind = "icmp" if prober.echoes else "udp"
    except OSError as error:
        return no_route(asked.host, address, error)
    rows = [
        {"hop": hop, "addresses": sorted({one.source for one in replies if one.source}),
         "milliseconds": round(1000 * min(one.seconds for one in replies), 1) if replies else None,
         "says": next((reason_of(one) for one in replies if one.kind not in (ANSWERED, EXPIRED)), "")}
        for hop, replies in hops.items()
    ]  # fmt: skip
    text, values = _path(hops)
    return Found(text, {"address": address, **values}, {"address": address, "hops": rows, "kind": kind})


def _trace(prober: Prober, most: int, deadline: float) -> dict[int, list[Reply]]:
    """Ask hop after hop, until it is reached, refused, a circle, or nobody has answered for long."""
    hops: dict[int, list[Reply]] = {}
    silent = 0
    for hop in range(1, most + 1):
        replies: list[Reply] = []
        for probe in range(PROBES):
            prober.send(hop * PROBES + probe, hops=hop)
            for reply in prober.receive(time.monotonic() + PATIENCE / 2):
                if reply.number // PROBES == hop:
                    replies.append(reply)
                    break
            if replies:
                break
        hops[hop] = replies
        silent = 0 if replies else silent + 1
        ended = any(reply.kind not in (EXPIRED, "") for reply in replies)
        if ended or silent >= SILENT or (circle(hops) and hop > 8) or time.monotonic() > deadline:
            break
    return hops


def circle(hops: dict[int, list[Reply]]) -> list[str]:
    """Return the routers of a circle: those between two appearances of one that is not next to itself."""
    seen: dict[str, int] = {}
    order = [(hop, reply.source) for hop, replies in hops.items() for reply in replies[:1] if reply.kind == EXPIRED]
    for at, (hop, source) in enumerate(order):
        first = seen.get(source)
        if first is not None and hop - order[first][0] > 1:
            return list(dict.fromkeys(one for _, one in order[first:at]))
        seen.setdefault(source, at)
    return []


def _path(hops: dict[int, list[Reply]]) -> tuple[str, dict[str, str | float]]:
    answered = [(hop, replies[0]) for hop, replies in hops.items() if replies]
    looping = circle(hops)
    if looping:
        return LOOPS, {"routers": " ↔ ".join(looping)}
    if not answered:
        return DARK, {}
    hop, last = answered[-1]
    if last.kind == ANSWERED:
        return REACHED, {"hops": hop}
    if last.kind == EXPIRED:
        return ENDS, {"hops": hop, "source": last.source}
    return STOPPED, {"hops": hop, "source": last.source, "reason": reason_of(last)}
