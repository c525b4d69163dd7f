"""Sockets where there is no /proc/net: Windows and macOS, by psutil. `inode` is the process there."""

from __future__ import annotations

import psutil

from agent.diagnosis.sockets import MAX_SOCKETS, Socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

STATES = {
    psutil.CONN_FIN_WAIT1: "FIN_WAIT1", psutil.CONN_FIN_WAIT2: "FIN_WAIT2", psutil.CONN_NONE: "",
    psutil.CONN_CLOSE_WAIT: "CLOSE_WAIT",
}  # fmt: skip


def sockets(protocol: str, found: Iterable[Any] | None = None) -> list[Socket]:
    """Return the sockets of a protocol; where we may not see others' sockets, none."""
    out: list[Socket] = []
    try:
        listed = psutil.net_connections(kind=protocol) if found is None else found
    except psutil.AccessDenied:
        return []
    for told in listed:
        if not told.laddr or len(out) >= MAX_SOCKETS:
            continue
        peer = (told.raddr[0], told.raddr[1]) if told.raddr else ("", 0)
        state = "" if protocol == "udp" else STATES.get(told.status, told.status)
        one = Socket(protocol, (told.laddr[0], told.laddr[1]), peer, state)
        one.inode = told.pid or 0
        out.append(one)
    return out
