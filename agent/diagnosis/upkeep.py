"""updates.pending and changes.recent: what waits to be installed, and what was changed before the trouble began."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass

from agent.diagnosis.arguments import whole
from agent.diagnosis.catalogue import Found, diagnosis
from agent.diagnosis.errors import NotFound
from agent.diagnosis.logs import tail
from agent.diagnosis.processes import boot_time
from agent.diagnosis.words import moment, shown_path
from agent.heavy.tools import NOT_FOUND
from agent.heavy.updates import reboot_required
from agent.probes import NoData
from agent.redact import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.diagnosis.catalogue import Look

HOUR = 3_600.0
APT_SCRATCH = 8 << 20  # apt checks the signature of each list in a temporary file without a name
MAX_NAMES = 300
MAX_FILES = 20_000
MAX_CHANGES = 200
# Files that programs write themselves: no person changed anything.
NOISE = (
    "/etc/mtab",
    "/etc/resolv.conf",
    "/etc/ld.so.cache",
    "/etc/adjtime",
    "/etc/cups/subscriptions.conf",
    "/etc/.pwd.lock",
)
NOISE_ENDS = ("~", ".swp", ".O", ".lock", ".cache", "-")

WAIT = "%(count)s updates wait, %(important)s of them for security (%(names)s)"
WAIT_RESTART = "%(count)s updates wait, %(important)s of them for security (%(names)s); the machine asks for a restart"
PLAIN = "%(count)s updates wait, none of them for security (%(names)s)"
RESTART = "No update waits, but the machine asks for a restart"
UP_TO_DATE = "No update waits"

PACKAGE = "Last change: %(what)s at %(at)s, one of %(count)s changes in %(hours)s hours"
FILE = "Last change: the file %(path)s at %(at)s, one of %(count)s changes in %(hours)s hours"
BOOT = "Last change: the machine was started at %(at)s, one of %(count)s changes in %(hours)s hours"
SEVERAL = "Within ten minutes up to %(at)s: %(what)s, and %(more)s more changes"
NO_CHANGES = "Nothing was changed in %(hours)s hours, as far as the agent can see"

UPDATE = {"name": "name", "old": "name", "new": "name", "important": "truth"}
CHANGE = {"t": "number", "kind": "name", "what": "name"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """Nothing to choose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """How far back."""

    hours: int = whole(24, 1, 720)


@diagnosis(
    "updates.pending", Pending, privacy="names", cost="heavy", seconds=90, scratch=APT_SCRATCH,
    findings=(WAIT, WAIT_RESTART, PLAIN, RESTART, UP_TO_DATE),
    output={"updates": [UPDATE], "count": "number", "important": "number", "restart": "truth"},
)  # fmt: skip
def pending(look: Look, _asked: Pending) -> Found:
    """Which updates wait, which of them are for security, and whether a restart is due."""
    if sys.platform == "win32":
        from agent.diagnosis.upkeep_windows import pending as of_windows

        updates, restart = of_windows(look)
    elif sys.platform == "darwin":
        from agent.diagnosis.upkeep_macos import pending as of_macos

        updates, restart = of_macos(look)
    else:
        updates, restart = _packages(look), _restart_is_due(look)
    important = [one for one in updates if one["important"]]
    names = [str(one["name"]) for one in important or updates]
    data = {"updates": updates[:MAX_NAMES], "count": len(updates), "important": len(important), "restart": restart}
    values: dict[str, str | float] = {
        "count": len(updates), "important": len(important),
        "names": ", ".join(names[:6]) + (", …" if len(names) > 6 else ""),
    }  # fmt: skip
    if not updates:
        return Found(RESTART if restart else UP_TO_DATE, values, data)
    if restart:
        return Found(WAIT_RESTART, values, data)
    return Found(WAIT if important else PLAIN, values, data)


def _restart_is_due(look: Look) -> bool:
    try:
        return reboot_required(look)
    except NoData:
        return False


def _packages(look: Look) -> list[dict[str, object]]:
    unwritten = ["-o", "Debug::NoLocking=true", "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="]
    words = ["apt-get", "--simulate", "--quiet", *unwritten, "dist-upgrade"]
    told = look.command(words, timeout=60.0)
    if told.code == 0:
        return of_apt(told.text)
    if told.code != NOT_FOUND:
        raise OSError(f"apt-get ended with {told.code}")
    told = look.command(["dnf", "--cacheonly", "--quiet", "check-update"], timeout=60.0)
    if told.code not in (0, 100):
        raise NotFound("a package manager (apt or dnf)")
    security = look.command(["dnf", "--cacheonly", "--quiet", "updateinfo", "list", "--security"], timeout=60.0)
    return of_dnf(told.text, security.text)


def of_apt(text: str) -> list[dict[str, object]]:
    """Return the updates of `Inst NAME [OLD] (NEW ORIGIN [ARCH])`."""
    found: list[dict[str, object]] = []
    for line in text.splitlines():
        head, bracket, rest = line.partition(" (")
        words = head.split()
        if len(words) == 3 and words[0] == "Inst" and bracket:
            new, _, origin = rest.partition(" ")
            found.append({"name": clean(words[1], 100), "old": clean(words[2].strip("[]"), 100), "new": clean(new, 100),
                          "important": "security" in origin.lower()})  # fmt: skip
    return found


def of_dnf(updates: str, security: str) -> list[dict[str, object]]:
    """Return the updates of `NAME.ARCH VERSION REPOSITORY`; those of `ADVISORY SEVERITY PACKAGE` are for security."""
    important = {line.split()[-1] for line in security.splitlines() if len(line.split()) == 3}
    found: list[dict[str, object]] = []
    for line in updates.splitlines():
        words = line.split()
        if line.startswith("Obsoleting"):
            break
        if len(words) == 3 and not line.startswith(" "):
            name, _, arch = words[0].rpartition(".")
            full = f"{name}-{words[1].partition(':')[2] or words[1]}.{arch}"
            found.append({"name": clean(name, 100), "old": "", "new": clean(words[1], 100),
                          "important": full in important})  # fmt: skip
    return found


class Change:
    """Something that was changed: when, of which kind (package, file, boot), what."""

    __slots__ = ("kind", "time", "what")

    def __init__(self, time: float, kind: str, what: str) -> None:
        self.time = time
        self.kind = kind
        self.what = clean(what, 300)


@diagnosis(
    "changes.recent", Recent, privacy="names", cost="heavy", seconds=30,
    findings=(PACKAGE, FILE, BOOT, SEVERAL, NO_CHANGES), output={"changes": [CHANGE], "count": "number"},
)  # fmt: skip
def recent(look: Look, asked: Recent) -> Found:
    """What was changed lately: packages, files of the configuration, starts of the machine; the last one first."""
    since = look.now - asked.hours * HOUR
    found = sorted(
        (one for one in _changes(look, since) if since <= one.time <= look.now + 60), key=lambda one: -one.time
    )
    rows = [{"t": round(one.time), "kind": one.kind, "what": one.what} for one in found[:MAX_CHANGES]]
    data = {"changes": rows, "count": len(found)}
    values: dict[str, str | float] = {"hours": asked.hours, "count": len(found)}
    if not found:
        return Found(NO_CHANGES, values, data)
    last = found[0]
    values |= {"at": moment(last.time, look.now), "what": last.what, "path": last.what}
    together = [one for one in found if last.time - one.time <= 600]
    if len(together) > 3:
        packages = [one.what for one in together if one.kind == "package"] or [one.what for one in together]
        return Found(
            SEVERAL, {**values, "what": ", ".join(packages[:3]), "more": len(together) - min(3, len(packages))}, data
        )
    return Found({"package": PACKAGE, "file": FILE}.get(last.kind, BOOT), values, data)


def _changes(look: Look, since: float) -> Iterator[Change]:
    if sys.platform == "win32":
        from agent.diagnosis.upkeep_windows import changes as of_windows

        yield from of_windows(look)
        return
    if sys.platform == "darwin":
        from agent.diagnosis.upkeep_macos import changes as of_macos

        yield from of_macos(look)
    root = look.host.root
    for name in ("/var/log/dpkg.log.1", "/var/log/dpkg.log"):
        yield from of_dpkg(tail(root + name))
    for name in ("/var/log/dnf.rpm.log.1", "/var/log/dnf.rpm.log"):
        yield from of_dnf_log(tail(root + name))
    yield from _files(root + "/etc", root, since, look.deadline - 5)
    booted = boot_time(look.host)
    if booted:
        yield Change(booted, "boot", "start")


def of_dpkg(text: str) -> Iterator[Change]:
    """Yield the changes of dpkg's log: `2026-11-23 14:02:11 upgrade nginx:amd64 1.22 1.24`."""
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 6 and words[2] in ("install", "upgrade", "remove", "purge"):
            at = _local(" ".join(words[:2]))
            if at is not None:
                name = words[3].partition(":")[0]
                versions = words[5] if words[2] == "install" else f"{words[4]} → {words[5]}"
                yield Change(
                    at, "package", f"{words[2]} {name} {versions if words[2] in ('install', 'upgrade') else words[4]}"
                )


def of_dnf_log(text: str) -> Iterator[Change]:
    """Yield the changes of dnf's log: `2026-11-23T14:02:11+0000 SUBDEBUG Upgrade: nginx-1.24-1.x86_64`."""
    from datetime import datetime

    for line in text.splitlines():
        stamp, _, rest = line.partition(" ")
        kind, colon, name = rest.partition(" ")[2].partition(": ")
        if colon and kind in ("Installed", "Upgraded", "Removed", "Upgrade", "Install", "Erase"):
            try:
                at = datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S%z").timestamp()
            except ValueError:
                continue
            yield Change(at, "package", f"{kind.lower()} {name}")


def _local(text: str) -> float | None:
    try:
        return time.mktime(time.strptime(text, "%Y-%m-%d %H:%M:%S"))
    except (ValueError, OverflowError):
        return None


def _files(top: str, root: str, since: float, until: float) -> Iterator[Change]:
    """Yield the files below a folder that were written since, without those that programs write themselves."""
    count = 0
    for folder, names, files in os.walk(top, followlinks=False):
        names.sort()
        for name in files:
            count += 1
            if count > MAX_FILES or time.monotonic() > until:
                return
            path = os.path.join(folder, name)
            try:
                written = os.lstat(path).st_mtime
            except OSError:
                continue
            shown = path[len(root) :]
            if written >= since and shown not in NOISE and not name.endswith(NOISE_ENDS):
                yield Change(written, "file", shown_path(shown))
