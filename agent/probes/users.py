"""Who is logged in: how many people, and how many sessions of which kind."""

from __future__ import annotations

import os
import struct

from agent.probes import NoData, probe
from agent.probes.host import list_directory, read_attribute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.probes.host import Host

RECORD = struct.Struct("<hxxi32s4s32s256s")  # utmp(5): type, process, line, id, user, host; 384 bytes in all
RECORD_SIZE = 384
USER_PROCESS = 7
MAX_SESSIONS = 1_000
FILES = ("/run/utmp", "/var/run/utmp")


@probe("users")
def users(host: Host) -> Iterator[tuple[str, float]]:
    """logind's sessions in /run/systemd/sessions, else utmp.

    Metrics:
        watchdesk_users_logged_in (gauge): People who are logged in.
        watchdesk_sessions (gauge): Sessions of people, by where they sit.
    """
    found = sessions(host)
    host.memory["users.sessions"] = found
    yield "watchdesk_users_logged_in", float(len({user for user, _, _ in found}))
    for kind in ("local", "remote"):
        yield f'watchdesk_sessions{{type="{kind}"}}', float(sum(place == kind for _, place, _ in found))


def sessions(host: Host) -> set[tuple[str, str, str]]:
    """Return (user, local or remote, session) of each.

    Raises:
        NoData: this machine keeps no record of them.
    """
    try:
        names = list_directory(host.root + "/run/systemd/sessions")
    except NoData:
        names = []
    if names:
        return {found for name in names[:MAX_SESSIONS] for found in _of_logind(host, name)}
    for file in FILES:
        path = host.root + file
        if os.path.exists(path):
            with open(path, "rb") as opened:
                return set(of_utmp(opened.read(RECORD_SIZE * MAX_SESSIONS)))
    raise NoData("utmp")


def _of_logind(host: Host, name: str) -> Iterator[tuple[str, str, str]]:
    text = read_attribute(f"{host.root}/run/systemd/sessions/{name}")
    fields = dict(line.split("=", 1) for line in (text or "").splitlines() if "=" in line)
    if fields.get("CLASS", "user") == "user" and fields.get("USER"):
        yield fields["USER"], "remote" if fields.get("REMOTE") == "1" else "local", name


def of_utmp(data: bytes) -> Iterator[tuple[str, str, str]]:
    """Yield the sessions of utmp's records."""
    for at in range(0, len(data) - RECORD_SIZE + 1, RECORD_SIZE):
        kind, pid, line, _, user, origin = RECORD.unpack_from(data, at)
        if kind == USER_PROCESS:
            words = [part.split(b"\0")[0].decode("utf-8", "replace") for part in (user, origin, line)]
            # A display such as :0 is no other machine.
            place = "remote" if words[1] and not words[1].startswith(":") else "local"
            yield words[0], place, f"{words[2]}/{pid}"
