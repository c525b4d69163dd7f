"""log.around and login.failures: what was written at the moment, and who tried to get in."""

from __future__ import annotations

import struct
import sys
import time
from collections import Counter
from dataclasses import dataclass

from agent.diagnosis.arguments import name, whole
from agent.diagnosis.catalogue import Found, diagnosis
from agent.diagnosis.errors import NotFound
from agent.diagnosis.logs import ERROR, WARNING, between, groups
from agent.diagnosis.words import moment
from agent.redact import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.diagnosis.catalogue import Look
    from agent.diagnosis.logs import Line

SHOWN_GROUPS = 20
UTMP = struct.Struct("<hxxi32s4s32s256shhiii16s20x")  # utmp(5): type, pid, line, id, user, host, …, seconds, …, address
MAX_RECORDS = 20_000
MANY = 10

SAYS = "%(source)s says at %(at)s: %(text)s"
REPEATS = "%(source)s says %(count)s times from %(at)s on: %(text)s"
KERNEL = "The kernel says at %(at)s: %(text)s"
QUIET = "No errors or warnings in the %(count)s lines from %(from)s to %(to)s"
NOTHING = "Nothing was logged from %(from)s to %(to)s that the agent may read"

ATTACK = "%(count)s failed log-ins as %(user)s from %(source)s since %(since)s"
SPRAY = "%(count)s failed log-ins as %(users)s different users from %(source)s since %(since)s"
FEW = "%(count)s failed log-ins in %(hours)s hours, the last as %(user)s from %(source)s at %(at)s"
NONE = "No failed log-ins in %(hours)s hours"

ROW = {"t": "number", "source": "name", "level": "number", "text": "text"}
GROUP = {"count": "number", "source": "name", "level": "number", "text": "text", "first": "number"}
TRY = {"t": "number", "user": "name", "source": "name", "by": "name"}
COUNT = {"of": "name", "count": "number"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """When (unix time, 0 is now), how many minutes before and after, of which unit or program, how many lines."""

    at: int = whole(0, 0, 1 << 40)
    minutes: int = whole(5, 1, 120)
    source: str = name("")
    count: int = whole(50, 1, 200)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """How far back."""

    hours: int = whole(24, 1, 168)


@diagnosis(
    "log.around", Around, privacy="content", cost="heavy", seconds=40, bytes=128 << 10,
    findings=(SAYS, REPEATS, KERNEL, QUIET, NOTHING), output={"lines": [ROW], "groups": [GROUP], "count": "number"},
)  # fmt: skip
def around(look: Look, asked: Around) -> Found:
    """What the kernel and the programs logged around a moment, the worst first."""
    middle = float(asked.at) or look.now
    start, end = middle - 60 * asked.minutes, min(middle + 60 * asked.minutes, look.now)
    lines = _lines(look, start, end, asked.source)
    bad = [line for line in lines if line.level <= WARNING]
    found = groups(bad)
    chosen = sorted((bad or lines)[-asked.count :], key=lambda line: line.time)
    data: dict[str, object] = {
        "lines": [line.row() for line in chosen],
        "groups": [{"count": count, "source": one.source, "level": one.level, "text": one.text, "first": one.time}
                   for count, one in found[:SHOWN_GROUPS]],
        "count": len(lines),
    }  # fmt: skip
    values: dict[str, str | float] = {
        "from": moment(start, look.now), "to": moment(end, look.now), "count": len(lines),
    }  # fmt: skip
    if not lines:
        return Found(NOTHING, values, data)
    if not found:
        return Found(QUIET, values, data)
    count, first = worst(found)
    values |= {"source": first.source, "at": moment(first.time, look.now), "text": first.text[:250], "count": count}
    if count > 1:
        return Found(REPEATS, values, data)
    return Found(KERNEL if first.source == "kernel" else SAYS, values, data)


def _lines(look: Look, start: float, end: float, source: str) -> list[Line]:
    if sys.platform == "win32":
        from agent.diagnosis.logs_windows import between as of_windows

        return of_windows(look, start, end, source)
    if sys.platform == "darwin":
        from agent.diagnosis.logs_macos import between as of_macos

        return of_macos(look, start, end, source)
    return between(look, start, end, *([source] if source else []))


def worst(found: list[tuple[int, Line]]) -> tuple[int, Line]:
    """Return the line to be named: the worst level, the kernel's before others', the most often."""
    return min(found, key=lambda pair: (min(pair[1].level, ERROR), pair[1].source != "kernel", -pair[0]))


class Try:
    """A failed log-in."""

    __slots__ = ("by", "source", "time", "user")

    def __init__(self, time: float, user: str, source: str, by: str) -> None:
        self.time = time
        self.user = clean(user, 64) or "?"
        self.source = clean(source, 64) or "this machine"
        self.by = by


@diagnosis(
    "login.failures", Failures, privacy="names", seconds=30, findings=(ATTACK, SPRAY, FEW, NONE),
    output={"tries": [TRY], "users": [COUNT], "sources": [COUNT], "count": "number"},
)  # fmt: skip
def failures(look: Look, asked: Failures) -> Found:
    """Failed log-ins: whose name, from where, how many."""
    since = look.now - 3600 * asked.hours
    tries = _tries(look, since)
    if tries is None:
        raise NotFound("a record of failed log-ins that the agent may read (/var/log/btmp, the journal)")
    tries = sorted((one for one in tries if since <= one.time <= look.now + 60), key=lambda one: one.time)
    sources = Counter(one.source for one in tries)
    data: dict[str, object] = {
        "tries": [{"t": round(one.time), "user": one.user, "source": one.source, "by": one.by} for one in tries[-100:]],
        "users": [{"of": user, "count": count} for user, count in Counter(one.user for one in tries).most_common(20)],
        "sources": [{"of": source, "count": count} for source, count in sources.most_common(20)],
        "count": len(tries),
    }  # fmt: skip
    if not tries:
        return Found(NONE, {"hours": asked.hours}, data)
    source, count = sources.most_common(1)[0]
    mine = [one for one in tries if one.source == source]
    users = Counter(one.user for one in mine)
    values: dict[str, str | float] = {
        "count": count, "source": source, "user": users.most_common(1)[0][0], "users": len(users),
        "since": moment(mine[0].time, look.now), "hours": asked.hours,
    }  # fmt: skip
    if count < MANY:
        last = tries[-1]
        values |= {"count": len(tries), "user": last.user, "source": last.source, "at": moment(last.time, look.now)}
        return Found(FEW, values, data)
    return Found(SPRAY if len(users) > 3 else ATTACK, values, data)


def _tries(look: Look, since: float) -> list[Try] | None:
    if sys.platform == "win32":
        from agent.diagnosis.logs_windows import failed_logins

        return failed_logins(look, since)
    if sys.platform == "darwin":
        from agent.diagnosis.logs_macos import failed_logins as of_macos

        return of_macos(look, since)
    found = of_btmp(look.host.root + "/var/log/btmp")
    lines = between(look, since, look.now, "sshd", "sudo", "su", "login")
    told = [one for line in lines if (one := of_line(line)) is not None]
    if found is None:
        return told if lines else None
    # The same log-in stands in both: what sshd wrote is left out where btmp has it.
    known = {(one.user, int(one.time) // 5) for one in found}
    return found + [one for one in told if (one.user, int(one.time) // 5) not in known]


def of_btmp(path: str) -> list[Try] | None:
    """Return the records of /var/log/btmp, None if it may not be read."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - size % UTMP.size - MAX_RECORDS * UTMP.size))
            data = file.read(MAX_RECORDS * UTMP.size)
    except OSError:
        return None
    return [_of_record(*UTMP.unpack_from(data, at)) for at in range(0, len(data) - UTMP.size + 1, UTMP.size)]


def _of_record(*fields: object) -> Try:
    line, user, host = (bytes(fields[at]).partition(b"\0")[0].decode("utf-8", "replace") for at in (2, 4, 5))  # type: ignore[call-overload]
    seconds = fields[9]
    return Try(float(seconds) if isinstance(seconds, int) else 0.0, user, host or line, "btmp")


def of_line(line: Line) -> Try | None:
    """Return the failed log-in of a line of sshd, su or sudo."""
    text = line.text
    for mark in ("Failed password for invalid user ", "Failed password for ", "Failed publickey for ", "Invalid user "):
        if text.startswith(mark):
            user, _, rest = text[len(mark) :].partition(" from ")
            return Try(line.time, user.removeprefix("invalid user "), rest.split(" ")[0], line.source)
    if "authentication failure" in text and "user=" in text:
        words = dict(word.partition("=")[::2] for word in text.replace(";", " ").split() if "=" in word)
        return Try(line.time, words.get("user", ""), words.get("rhost", ""), line.source)
    return None


def local_time(at: float) -> str:
    """Return a time as programs take it."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
