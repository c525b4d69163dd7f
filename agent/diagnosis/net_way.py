"""net.route and net.tcp: which way packets take from here, and whether a port takes connections."""

from __future__ import annotations

import errno
import os
import socket
import time
from dataclasses import MISSING, dataclass

from agent.diagnosis.arguments import target, whole
from agent.diagnosis.catalogue import Found, diagnosis
from agent.diagnosis.errors import NotFound
from agent.diagnosis.probing import addresses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.diagnosis.catalogue import Look
    from agent.diagnosis.netlink import Route

LINUX = ("linux",)

UNKNOWN = "The name %(host)s cannot be resolved: %(error)s"
NO_ROUTE = "There is no route to %(host)s (%(address)s): %(error)s"
VIA = "%(address)s is reached over %(interface)s via %(gateway)s, from %(source)s"
DIRECT = "%(address)s is on the same network as %(interface)s, from %(source)s"
GATEWAY_SILENT = (
    "%(address)s is reached over %(interface)s via %(gateway)s, but that gateway does not answer (%(state)s)"
)
NEIGHBOUR_SILENT = "%(address)s should be on the network of %(interface)s, but nobody there answers for it (%(state)s)"
LOCAL = "%(address)s is this machine itself"
REFUSED_ROUTE = "A route of this machine refuses packets to %(address)s (%(kind)s)"
NO_DEFAULT = "This machine has no default route: it reaches its own networks alone"
DEFAULTS = "This machine has %(count)s default routes: %(routes)s"

OPEN = "%(host)s port %(port)s takes connections, after %(milliseconds)s ms"
REFUSED = "%(host)s (%(address)s) refuses connections to port %(port)s: nothing listens there, or a firewall rejects it"
DROPPED = (
    "%(host)s (%(address)s) does not answer on port %(port)s within %(seconds)s s: "
    "it is down, or a firewall drops what is sent"
)
FAILED = "No connection to %(host)s (%(address)s) port %(port)s: %(error)s"
PARTLY = "%(host)s takes connections on port %(port)s at %(good)s, but not at %(bad)s: %(error)s"

TRIED = {"address": "name", "milliseconds": "number", "error": "name"}
WAY = {
    **dict.fromkeys(("destination", "gateway", "interface", "source", "kind"), "name"), "metric": "number",
}  # fmt: skip
WAY = {
    **dict.fromkeys(("destination", "gateway", "interface", "source", "kind"), "name"), "metric": "number",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Whom; "" is the default gateway."""

    host: str = target("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """Whom, and on which port."""

    host: str = target()
    port: int = whole(MISSING, 1, 65_535)


def resolved(host: str) -> tuple[int, str] | Found:
    """Return (family, address) of a host, of the default gateway for "", or the finding that there is none.

    Raises:
        NotFound: a gateway is wanted, and there is none.
    """
    if not host:
        gateway = _gateway()
        if gateway is None:
            raise NotFound("a default gateway")
        return gateway
    try:
        return addresses(host)[0]
    except OSError as error:
        return Found(UNKNOWN, {"host": host, "error": error.strerror or str(error)})


def no_route(host: str, address: str, error: OSError) -> Found:
    """Return the finding that nothing can be sent there."""
    return Found(NO_ROUTE, {"host": host or address, "address": address, "error": error.strerror or str(error)})


def _gateway() -> tuple[int, str] | None:
    from agent.diagnosis.netlink import routes

    for family in (socket.AF_INET, socket.AF_INET6):
        for one in routes(family):
            if one.destination == "default" and one.gateway:
                return family, one.gateway
    return None


@diagnosis(
    "net.route", Host, privacy="health", systems=LINUX,
    findings=(UNKNOWN, NO_ROUTE, VIA, DIRECT, GATEWAY_SILENT, NEIGHBOUR_SILENT, LOCAL, REFUSED_ROUTE, NO_DEFAULT,
              DEFAULTS),
    output={"route": WAY, "routes": [WAY], "neighbour": {"address": "name", "state": "name", "link": "name"}},
)  # fmt: skip
def route(_look: Look, asked: Host) -> Found:
    """The way that packets take from here: interface, gateway, and whether the gateway is there."""
    from agent.diagnosis.netlink import neighbours, route_to, routes

    table = [one for family in (socket.AF_INET, socket.AF_INET6) for one in routes(family)]
    rows = [_way(one) for one in table[:200]]
    defaults = [one for one in table if one.destination == "default" and "." in one.gateway]
    if not asked.host and len(defaults) != 1:
        shown = ", ".join(f"{one.gateway} ({one.interface}, {one.metric})" for one in defaults)
        return Found(DEFAULTS if defaults else NO_DEFAULT, {"count": len(defaults), "routes": shown}, {"routes": rows})
    where = resolved(asked.host)
    if isinstance(where, Found):
        return where
    family, address = where
    try:
        found = route_to(family, address)
    except OSError as error:
        return no_route(asked.host, address, error)
    _wake(family, address)
    next_hop = found.gateway or address
    state, link = neighbours(family).get(next_hop, ("", ""))
    data: dict[str, object] = {
        "route": _way(found), "routes": rows, "neighbour": {"address": next_hop, "state": state, "link": link},
    }  # fmt: skip
    return Found(_verdict(found, state), {**_values(found, address), "state": state, "kind": found.kind}, data)


def _verdict(found: Route, state: str) -> str:
    if found.kind == "local":
        return LOCAL
    if found.kind != "unicast":
        return REFUSED_ROUTE
    if state in ("incomplete", "failed"):
        return GATEWAY_SILENT if found.gateway else NEIGHBOUR_SILENT
    return VIA if found.gateway else DIRECT


def _values(found: Route, address: str) -> dict[str, str | float]:
    gateway, source = found.gateway or "-", found.source or "-"
    return {"address": address, "interface": found.interface, "gateway": gateway, "source": source}


def _way(one: Route) -> dict[str, object]:
    return {
        "destination": one.destination, "gateway": one.gateway, "interface": one.interface, "source": one.source,
        "kind": one.kind, "metric": one.metric,
    }  # fmt: skip


def _wake(family: int, address: str) -> None:
    """Have the kernel look for the next hop, by an empty packet to the discard port; give it its three seconds."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sent:
            sent.connect((address, 9))
            sent.send(b"")
    except OSError:
        return
    from agent.diagnosis.netlink import neighbours, route_to

    try:
        next_hop = route_to(family, address).gateway or address
    except OSError:
        return
    for _ in range(35):
        if neighbours(family).get(next_hop, ("", ""))[0] != "incomplete":
            return
        time.sleep(0.1)


@diagnosis(
    "net.tcp", Port, privacy="health", seconds=30, findings=(UNKNOWN, OPEN, REFUSED, DROPPED, FAILED, PARTLY),
    output={"tries": [TRIED]},
)  # fmt: skip
def tcp(look: Look, asked: Port) -> Found:
    """Whether a port takes connections, at each address of the host, and if not, why."""
    try:
        places = addresses(asked.host, asked.port)
    except OSError as error:
        return Found(UNKNOWN, {"host": asked.host, "error": error.strerror or str(error)})
    patience = min(5.0, (look.deadline - time.monotonic() - 2) / len(places))
    tries = [(address, *connect(family, address, asked.port, patience)) for family, address in places]
    rows = [
        {"address": address, "milliseconds": round(1000 * seconds, 1), "error": os.strerror(number) if number else ""}
        for address, seconds, number in tries
    ]
    good = [one for one in tries if not one[2]]
    bad = [one for one in tries if one[2]]
    values: dict[str, str | float] = {"host": asked.host, "port": asked.port, "seconds": round(patience, 1)}
    if good and bad:
        values |= {"good": good[0][0], "bad": bad[0][0], "error": os.strerror(bad[0][2])}
        return Found(PARTLY, values, {"tries": rows})
    if good:
        return Found(OPEN, {**values, "milliseconds": round(1000 * good[0][1], 1)}, {"tries": rows})
    address, _, number = bad[0]
    values |= {"address": address, "error": os.strerror(number)}
    text = {errno.ECONNREFUSED: REFUSED, errno.ETIMEDOUT: DROPPED, errno.EAGAIN: DROPPED}.get(number, FAILED)
    return Found(text, values, {"tries": rows})


def connect(family: int, address: str, port: int, seconds: float) -> tuple[float, int]:
    """Connect, and hang up; return how long it took and the number of the error, 0 for none."""
    started = time.monotonic()
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.settimeout(max(0.2, seconds))
        try:
            tried.connect((address, port))
        except TimeoutError:
            return time.monotonic() - started, errno.ETIMEDOUT
        except OSError as error:
            return time.monotonic() - started, error.errno or errno.EIO
    return time.monotonic() - started, 0
