"""net.port_holder and net.sockets: who listens where, and which connections are stuck."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import MISSING, dataclass

from agent.diagnosis.arguments import choice, whole
from agent.diagnosis.catalogue import Found, diagnosis
from agent.diagnosis.processes import processes, row, user
from agent.diagnosis.sockets import Socket, holders, sockets
from agent.diagnosis.words import moment
from agent.probes.host import read_attribute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.diagnosis.catalogue import Look
    from agent.diagnosis.processes import Process
    from agent.probes.host import Host

RESERVE = 2.0
CLOSE_WAITS = 20  # connections that a program has forgotten to close
STUCK_RETRIES = 3
BACKLOG_FULL = 0.9
PORTS_USED = 0.8
PEERS = 10
MAX_OWNED = 5_000
DEFAULT_PORTS = (32_768, 60_999)

HELD = "port %(port)s/%(protocol)s is held by %(name)s (pid %(pid)s) of %(user)s on %(address)s, since %(since)s"
HELD_UNSEEN = "port %(port)s/%(protocol)s is held on %(address)s by a process of %(user)s that the agent may not see"
FREE = "Nobody listens on port %(port)s/%(protocol)s"
IN_USE = "Nobody listens on port %(port)s/%(protocol)s, but %(count)s connections still use it (%(state)s)"

LEAK = (
    "%(name)s (pid %(pid)s) has left %(count)s connections open that the other end has closed (CLOSE_WAIT), "
    "most with %(peer)s"
)
LEAK_UNSEEN = (
    "%(count)s connections are left open that the other end has closed (CLOSE_WAIT), most with %(peer)s; the "
    "agent may not see by whom"
)
HALF_OPEN = "%(count)s connections hang: what was sent to %(peer)s is not acknowledged, after %(retries)s tries"
UNANSWERED = "%(count)s connections to %(peer)s wait for an answer to their first packet (SYN_SENT)"
BACKLOG = "%(name)s does not take its connections: %(count)s wait on port %(port)s (the queue is full)"
PORTS = "%(used)s of %(total)s ports for connections to %(peer)s are in use, %(waiting)s of them in TIME_WAIT"
FLOOD = "%(count)s connections are half made (SYN_RECV) on port %(port)s, most from %(peer)s"
USUAL = "%(count)s connections, %(established)s of them established; most with %(peer)s (%(most)s); no trouble is seen"

PROCESS = {
    "pid": "number", "name": "name", "command": "text", "user": "name", "unit": "name", "state": "name",
    "started": "number", "threads": "number", "parents": ["name"],
}  # fmt: skip
SOCKET = {
    "protocol": "name", "address": "name", "port": "number", "peer": "name", "peer_port": "number", "state": "name",
    "to_send": "number", "to_read": "number", "retries": "number", "pid": "number", "name": "name",
}  # fmt: skip
COUNT = {"of": "name", "count": "number"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """Which port."""

    port: int = whole(MISSING, 1, 65_535)
    protocol: str = choice("tcp", "tcp", "udp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sockets:
    """How many to tell of each kind."""

    count: int = whole(10, 1, 50)


def _table(host: Host, protocol: str) -> list[Socket]:
    if sys.platform != "linux":
        from agent.diagnosis.sockets_psutil import sockets as by_psutil

        return by_psutil(protocol)
    return sockets(host, protocol)


@diagnosis(
    "net.port_holder", Port, privacy="names", findings=(HELD, HELD_UNSEEN, FREE, IN_USE),
    output={"sockets": [SOCKET], "holders": [PROCESS]},
)  # fmt: skip
def port_holder(look: Look, asked: Port) -> Found:
    """Which process holds a port."""
    host = look.host
    table = [one for one in _table(host, asked.protocol) if one.port == asked.port]
    listening = [one for one in table if one.state in ("LISTEN", "")]
    owners = _owners(look, table)
    found = processes(host)
    pids = dict.fromkeys(owners[one.inode] for one in listening if one.inode in owners)
    data: dict[str, object] = {
        "sockets": [_row(one, owners, found) for one in table[:50]],
        "holders": [row(host, found, found[pid]) for pid in pids if pid in found][:20],
    }
    values: dict[str, str | float] = {"port": asked.port, "protocol": asked.protocol}
    if not listening:
        if not table:
            return Found(FREE, values, data)
        state = Counter(one.state for one in table).most_common(1)[0][0]
        return Found(IN_USE, {**values, "count": len(table), "state": state}, data)
    first = listening[0]
    values["address"] = ", ".join(dict.fromkeys(one.address for one in listening))
    holder = next((found[pid] for pid in pids if pid in found), None)
    if holder is None:
        return Found(HELD_UNSEEN, {**values, "user": _user_of(host, first.uid)}, data)
    # Those that were started with the socket came later than the one who opened it.
    oldest = min((found[pid] for pid in pids if pid in found), key=lambda one: (one.started, one.pid))
    values |= {"name": oldest.name, "pid": oldest.pid, "user": user(host, oldest.pid) or _user_of(host, first.uid)}
    return Found(HELD, {**values, "since": moment(oldest.started, look.now)}, data)


def _owners(look: Look, table: list[Socket]) -> dict[int, int]:
    """Return the process of each socket."""
    if sys.platform != "linux":
        return {one.inode: one.inode for one in table}  # psutil tells the process itself
    wanted = {one.inode for one in table if one.inode}
    return {inode: pid for inode, (pid, _) in holders(look.host, wanted, look.deadline - RESERVE).items()}


def _row(one: Socket, owners: dict[int, int], found: dict[int, Process]) -> dict[str, object]:
    pid = owners.get(one.inode)
    return {
        "protocol": one.protocol, "address": one.address, "port": one.port, "peer": one.peer,
        "peer_port": one.peer_port, "state": one.state, "to_send": one.to_send, "to_read": one.to_read,
        "retries": one.retries, "pid": pid, "name": found[pid].name if pid in found else None,
    }  # fmt: skip


def _user_of(host: Host, uid: int) -> str:
    for line in (read_attribute(host.root + "/etc/passwd") or "").splitlines():
        fields = line.split(":")
        if len(fields) > 2 and fields[2] == str(uid):
            return fields[0]
    return str(uid)


@diagnosis(
    "net.sockets", Sockets, privacy="names", seconds=20,
    findings=(LEAK, LEAK_UNSEEN, HALF_OPEN, UNANSWERED, BACKLOG, PORTS, FLOOD, USUAL),
    output={"states": [COUNT], "peers": [COUNT], "programs": [COUNT], "stuck": [SOCKET], "listening": [SOCKET],
            "count": "number"},
)  # fmt: skip
def overview(look: Look, asked: Sockets) -> Found:
    """Connections by state, peer and program, and those that are stuck."""
    table = _table(look.host, "tcp")
    known = [one for one in table if one.state != "LISTEN"]
    wanted = sorted(table, key=lambda one: one.state in ("ESTABLISHED", "TIME_WAIT"))[:MAX_OWNED]
    owners, found = _owners(look, wanted), processes(look.host)
    stuck = [one for one in known if is_stuck(one)]
    programs = Counter(found[owners[one.inode]].name for one in known if owners.get(one.inode) in found)
    peers = Counter(one.peer for one in known)
    data: dict[str, object] = {
        "states": _counted(Counter(one.state for one in table), 20),
        "peers": _counted(peers, asked.count),
        "programs": _counted(programs, asked.count),
        "stuck": [_row(one, owners, found) for one in stuck[: asked.count]],
        "listening": [_row(one, owners, found) for one in table if one.state == "LISTEN"][: 3 * asked.count],
        "count": len(known),
    }
    text, values = judge(look.host, table, owners, found)
    return Found(text, values, data)


def _counted(counts: Counter[str], most: int) -> list[dict[str, object]]:
    return [{"of": name, "count": count} for name, count in counts.most_common(most)]


def is_stuck(one: Socket) -> bool:
    """Whether it waits for what does not come."""
    unacknowledged = one.state in ("ESTABLISHED", "FIN_WAIT1", "LAST_ACK") and one.retries >= STUCK_RETRIES
    return unacknowledged or one.state in ("SYN_SENT", "CLOSE_WAIT")


def judge(
    host: Host, table: list[Socket], owners: dict[int, int], found: dict[int, Process]
) -> tuple[str, dict[str, str | float]]:
    """Return the first trouble that is seen, else the usual picture."""
    by_state: dict[str, list[Socket]] = {}
    for one in table:
        by_state.setdefault(one.state, []).append(one)
    for trouble in (_backlog, _leak, _half_open, _unanswered, _flood):
        said = trouble(host, by_state, owners, found)
        if said is not None:
            return said
    return _ports(host, table) or _usual(by_state)


def _name(pid: int | None, found: dict[int, Process]) -> str:
    return found[pid].name if pid is not None and pid in found else "?"


def _backlog(
    host: Host, by_state: dict[str, list[Socket]], owners: dict[int, int], found: dict[int, Process]
) -> tuple[str, dict[str, str | float]] | None:
    """Of a listening socket, the bytes to be read are connections, and those to be sent are the most there may be
    (in the table of diagnostics alone): here the limit of the machine stands for it."""
    limit = int(read_attribute(host.proc + "/sys/net/core/somaxconn") or 4_096)
    for one in by_state.get("LISTEN", []):
        if (one.to_read and one.to_read >= BACKLOG_FULL * (one.to_send or limit)) or one.to_read > 100:
            name = _name(owners.get(one.inode), found)
            return BACKLOG, {"name": name, "count": one.to_read, "port": one.port}
    return None


def _leak(
    _host: Host, by_state: dict[str, list[Socket]], owners: dict[int, int], found: dict[int, Process]
) -> tuple[str, dict[str, str | float]] | None:
    left = by_state.get("CLOSE_WAIT", [])
    if len(left) < CLOSE_WAITS:
        return None
    peer = Counter(one.peer for one in left).most_common(1)[0][0]
    seen = Counter(owners[one.inode] for one in left if one.inode in owners)
    if not seen:
        return LEAK_UNSEEN, {"count": len(left), "peer": peer}
    pid, count = seen.most_common(1)[0]
    return LEAK, {"name": _name(pid, found), "pid": pid, "count": count, "peer": peer}


def _half_open(
    _host: Host, by_state: dict[str, list[Socket]], _owners: dict[int, int], _found: dict[int, Process]
) -> tuple[str, dict[str, str | float]] | None:
    hanging = [one for state in ("ESTABLISHED", "FIN_WAIT1") for one in by_state.get(state, ()) if is_stuck(one)]
    if not hanging:
        return None
    peer, count = _first_place(hanging)
    return HALF_OPEN, {"count": count, "peer": peer, "retries": max(one.retries for one in hanging)}


def _unanswered(
    _host: Host, by_state: dict[str, list[Socket]], _owners: dict[int, int], _found: dict[int, Process]
) -> tuple[str, dict[str, str | float]] | None:
    waiting = [one for one in by_state.get("SYN_SENT", ()) if one.retries]
    if not waiting:
        return None
    peer, count = _first_place(waiting)
    return UNANSWERED, {"count": count, "peer": peer}


def _flood(
    _host: Host, by_state: dict[str, list[Socket]], _owners: dict[int, int], _found: dict[int, Process]
) -> tuple[str, dict[str, str | float]] | None:
    half = by_state.get("SYN_RECV", [])
    if len(half) < 64:
        return None
    port = Counter(one.port for one in half).most_common(1)[0][0]
    return FLOOD, {"count": len(half), "port": port, "peer": Counter(one.peer for one in half).most_common(1)[0][0]}


def _first_place(ones: list[Socket]) -> tuple[str, int]:
    (peer, port), count = Counter((one.peer, one.peer_port) for one in ones).most_common(1)[0]
    return f"{peer}:{port}" if ":" not in peer else f"[{peer}]:{port}", count


def _ports(host: Host, table: list[Socket]) -> tuple[str, dict[str, str | float]] | None:
    """A port of ours can be taken once for each place it is connected to."""
    words = (read_attribute(host.proc + "/sys/net/ipv4/ip_local_port_range") or "").split()
    low, high = (int(words[0]), int(words[1])) if len(words) == 2 else DEFAULT_PORTS
    ours = [one for one in table if low <= one.port <= high and one.state not in ("LISTEN", "CLOSE")]
    if not ours:
        return None
    peer, count = _first_place(ours)
    if count < PORTS_USED * (high - low + 1):
        return None
    waiting = sum(one.state == "TIME_WAIT" for one in ours)
    return PORTS, {"used": count, "total": high - low + 1, "peer": peer, "waiting": waiting}


def _usual(by_state: dict[str, list[Socket]]) -> tuple[str, dict[str, str | float]]:
    known = [one for state, ones in by_state.items() if state != "LISTEN" for one in ones]
    peers = Counter(one.peer for one in known).most_common(1)
    peer, most = peers[0] if peers else ("-", 0)
    return USUAL, {
        "count": len(known), "established": len(by_state.get("ESTABLISHED", ())), "peer": peer, "most": most,
    }  # fmt: skip
