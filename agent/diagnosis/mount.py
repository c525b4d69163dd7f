"""mount.check: whether what should be mounted is, can be written, and answers."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from dataclasses import dataclass

from agent.diagnosis.arguments import path
from agent.diagnosis.catalogue import Found, diagnosis
from agent.diagnosis.errors import NotFound
from agent.diagnosis.net_way import connect
from agent.diagnosis.probing import addresses
from agent.diagnosis.walk import unescape
from agent.diagnosis.words import shown_path, size
from agent.heavy.tools import ENVIRONMENT
from agent.redact import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.diagnosis.catalogue import Look
    from agent.probes.host import Host

REMOTE = {"nfs": 2049, "nfs4": 2049, "cifs": 445, "smb3": 445, "smbfs": 445, "ceph": 6789, "glusterfs": 24007}
DISKS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "vfat", "ntfs3", "zfs")
SECONDS = 3.0
KILLED = 0.5  # seconds that one that was ended is waited for
MAX_MOUNTS = 64
# A program asks, for what hangs in the kernel cannot be ended by anybody.
STAT = ("stat", "-f", "-c", "%b %a %S", "--")

HANGS = (
    "%(kind)s mount %(path)s does not answer: "
    "its server %(server)s does not take connections on port %(port)s (%(reason)s)"
)
HANGS_NAME = (
    "%(kind)s mount %(path)s does not answer: the name of its server %(server)s cannot be resolved (%(reason)s)"
)
HANGS_LOCAL = (
    "%(kind)s mount %(path)s does not answer within %(seconds)s s, though its server %(server)s takes connections"
)
MISSING = "%(path)s is in fstab, but not mounted (from %(source)s)"
READ_ONLY = "%(path)s is mounted read-only, though fstab wants it writable: the kernel does so after errors of a disk"
STALE = "%(kind)s mount %(path)s is stale: %(error)s; it must be mounted again"
FULL = "%(path)s (from %(source)s) is full: %(free)s of %(total)s are free"
FINE = "%(count)s network mounts answer, all of fstab is mounted"
ONE_FINE = "%(path)s (%(kind)s from %(source)s) answers after %(milliseconds)s ms; %(free)s of %(total)s are free"
NOT_A_MOUNT = "Nothing is mounted at %(path)s; it lies on %(point)s"

ROW = {
    "path": "name", "source": "name", "kind": "name", "options": "name", "answers": "truth", "milliseconds": "number",
    "total": "number", "free": "number", "error": "name", "server": "name", "server_says": "name", "port": "number",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Which mount; "" is all of the network and of fstab."""

    path: str = path("")


class Mount:
    """A line of the table of mounts, or of fstab."""

    __slots__ = ("kind", "options", "path", "source")

    def __init__(self, source: str, path: str, kind: str, options: str) -> None:
        self.source = source
        self.path = path
        self.kind = kind
        self.options = options.split(",")


@diagnosis(
    "mount.check", Check, privacy="names", seconds=60, systems=("linux",),
    findings=(HANGS, HANGS_NAME, HANGS_LOCAL, MISSING, READ_ONLY, STALE, FULL, FINE, ONE_FINE, NOT_A_MOUNT),
    output={"mounts": [ROW], "missing": ["name"]},
)  # fmt: skip
def check(look: Look, asked: Check) -> Found:
    """Whether network mounts answer, and whether all of fstab is mounted as it should be."""
    table = {one.path: one for one in mounts(look.host, "/proc/self/mounts")}  # of two at a place, the upper one
    wanted = mounts(look.host, "/etc/fstab")
    missing = [one for one in wanted if should_be(one) and one.path not in table]
    if asked.path:
        return _one(look, asked.path.rstrip("/") or "/", table, wanted)
    chosen = [one for one in table.values() if one.kind in REMOTE][:MAX_MOUNTS]
    rows = [_ask(look, one) for one in chosen]
    data: dict[str, object] = {"mounts": rows, "missing": [shown_path(one.path) for one in missing]}
    troubles = [verdict for one, row in zip(chosen, rows, strict=True) if (verdict := judge(one, row)) is not None]
    if troubles:
        text, values = troubles[0]
        return Found(text, values, data)
    if missing:
        values = {"path": shown_path(missing[0].path), "source": shown_path(missing[0].source)}
        return Found(MISSING, values, data)
    locked = [one for one in wanted if one.path in table and _is_locked(one, table[one.path])]
    if locked:
        return Found(READ_ONLY, {"path": shown_path(locked[0].path)}, data)
    return Found(FINE, {"count": len(chosen)}, data)


def _one(look: Look, place: str, table: dict[str, Mount], wanted: list[Mount]) -> Found:
    found = table.get(place)
    plan = next((one for one in wanted if one.path == place), None)
    if found is None:
        if plan is not None:
            return Found(MISSING, {"path": place, "source": shown_path(plan.source)}, {"missing": [place]})
        point = max((one for one in table if place.startswith(one.rstrip("/") + "/")), key=len, default="/")
        return Found(NOT_A_MOUNT, {"path": place, "point": shown_path(point)})
    row = _ask(look, found)
    data = {"mounts": [row]}
    trouble = judge(found, row)
    if trouble is not None:
        return Found(*trouble, data)
    if plan is not None and _is_locked(plan, found):
        return Found(READ_ONLY, {"path": place}, data)
    return Found(ONE_FINE, _values(found, row), data)


def judge(one: Mount, row: dict[str, object]) -> tuple[str, dict[str, str | float]] | None:
    """Return what is wrong with a mount that was asked, None for nothing."""
    values = _values(one, row)
    if row["error"]:
        return STALE, {**values, "error": str(row["error"])}
    if not row["answers"]:
        says, port = str(row["server_says"]), row["port"]
        if not says:
            return HANGS_LOCAL, {**values, "seconds": SECONDS}
        if not isinstance(port, int):
            return HANGS_NAME, {**values, "reason": says}
        return HANGS, {**values, "reason": says, "port": port}
    if row["total"] and not row["free"] and "ro" not in one.options:
        return FULL, values
    return None


def _values(one: Mount, row: dict[str, object]) -> dict[str, str | float]:
    total, free, took = row["total"], row["free"], row["milliseconds"]
    return {
        "path": shown_path(one.path), "kind": one.kind, "source": shown_path(one.source), "server": str(row["server"]),
        "total": size(total) if isinstance(total, int) else "?", "free": size(free) if isinstance(free, int) else "?",
        "milliseconds": took if isinstance(took, int | float) else "?",
    }  # fmt: skip


def mounts(host: Host, file: str) -> list[Mount]:
    """Return the lines of /proc/self/mounts or of /etc/fstab, which are of one form (fstab(5))."""
    where = host.proc + file.removeprefix("/proc") if file.startswith("/proc/") else host.root + file
    try:
        with open(where, "rb") as opened:
            lines = opened.read(4 << 20).splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        fields = [unescape(field).decode("utf-8", "replace") for field in line.split()]
        if len(fields) >= 4 and not fields[0].startswith("#"):
            found.append(Mount(*fields[:4]))
    return found


def should_be(one: Mount) -> bool:
    """Whether fstab wants it mounted at the start, and it is nothing that is mounted when it is used."""
    lazy = {"noauto", "x-systemd.automount", "nofail"} & set(one.options)
    return one.path.startswith("/") and one.kind != "swap" and not lazy


def _is_locked(plan: Mount, found: Mount) -> bool:
    return "ro" in found.options and "ro" not in plan.options and found.kind in DISKS


def _ask(look: Look, one: Mount) -> dict[str, object]:
    """Ask for the space of a mount, and its server for a connection where that does not answer."""
    server = server_of(one)
    row: dict[str, object] = {
        "path": shown_path(one.path), "source": shown_path(one.source), "kind": one.kind,
        "options": ",".join(word for word in one.options if not word.startswith(("password", "credentials", "pass="))),
        "answers": False, "milliseconds": None, "total": None, "free": None, "error": "", "server": server,
        "server_says": "", "port": None,
    }  # fmt: skip
    started = time.monotonic()
    text, error = ask(look.host.root + one.path)
    row["milliseconds"] = round(1000 * (time.monotonic() - started), 1)
    words = text.split()
    if len(words) == 3 and all(word.isdecimal() for word in words):
        blocks, free, block = map(int, words)
        row |= {"answers": True, "total": blocks * block, "free": free * block}
    elif error:
        row["error"] = error
    elif server:
        row |= _server_says(server, REMOTE.get(one.kind, 0))
    return row


def ask(where: str) -> tuple[str, str]:
    """Return blocks, free ones and their size, or the error; neither, if it does not answer in time."""
    program = shutil.which(STAT[0], path=ENVIRONMENT["PATH"])
    if program is None:
        raise NotFound("the program stat")
    process = subprocess.Popen(  # noqa: S603 - a list of words, no shell
        [program, *STAT[1:], where],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT,
    )  # fmt: skip
    try:
        out, errors = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # it goes when the kernel lets it
            process.wait(KILLED)
        return "", ""
    finally:
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    return out.decode("ascii", "replace"), clean(errors.decode("utf-8", "replace").rpartition(": ")[2], 200)


def server_of(one: Mount) -> str:
    """Return the server of `server:/export`, `[fd00::1]:/export` or `//server/share`."""
    if one.source.startswith("//"):
        return one.source[2:].partition("/")[0]
    server, colon, _ = one.source.rpartition(":/")
    return server.strip("[]") if colon else ""


def _server_says(server: str, port: int) -> dict[str, object]:
    """Return why it takes no connections; without a port where its name cannot be resolved."""
    try:
        family, address = addresses(server)[0]
    except OSError as error:
        return {"server_says": error.strerror or str(error)}
    _, number = connect(family, address, port, SECONDS)
    return {"server_says": os.strerror(number) if number else "", "port": port}
