"""Lines of logs, whichever keeps them: systemd's journal, the kernel's buffer, files of syslog."""

from __future__ import annotations

import json
import os
import time
from datetime import datetime

from agent.heavy.journal import source_of
from agent.heavy.tools import NOT_FOUND, mapping, number, strings
from agent.redact import clean, redact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.diagnosis.catalogue import Look

MOST = 2_000
MAX_LINE = 400
TAIL = 2 << 20  # bytes of a file, from its end
FILES = ("/var/log/syslog", "/var/log/messages", "/var/log/kern.log")
LEVELS = tuple("01234567")
ERROR = 3  # of syslog: and what is below is worse
WARNING = 4
WORSE = ("panic", "fatal", "critical", "error", "fail", "segfault", "out of memory", "refused", "denied", "corrupt")
DIGITS = str.maketrans("0123456789", "##########")


class Line:
    """A line of a log: unix time, who wrote it, how bad (0 to 7 as in syslog), text without secrets."""

    __slots__ = ("level", "message_id", "source", "text", "time")

    def __init__(self, time: float, source: str, level: int, text: str, message_id: str = "") -> None:
        self.time = time
        self.source = source
        self.level = level
        self.text = redact(text, MAX_LINE)
        self.message_id = message_id

    def row(self) -> dict[str, object]:
        """Return what is told of it."""
        return {"t": round(self.time, 3), "source": self.source, "level": self.level, "text": self.text}


def journal(look: Look, *words: str, most: int = MOST, timeout: float = 15.0) -> list[Line] | None:
    """Return what journalctl tells, the newest of too many; None where there is no journal, or not for us."""
    command = ["journalctl", "--quiet", "--no-pager", "--output=json", f"--lines={most}", *words]
    told = look.command(command, timeout=timeout)
    if told.code == NOT_FOUND or (told.code and not told.text):
        return None
    return [line for text in told.text.splitlines() if (line := of_json(text)) is not None]


def of_json(text: str) -> Line | None:
    """Return an entry of `journalctl --output=json`; a message that is no text comes as a list of bytes."""
    try:
        entry = mapping(json.loads(text))
    except ValueError:
        return None
    at = number(entry.get("__REALTIME_TIMESTAMP"))
    if at is None:
        return None
    message = entry.get("MESSAGE")
    if isinstance(message, list):
        message = bytes(one for one in message if isinstance(one, int) and 0 <= one < 256).decode("utf-8", "replace")
    source = "kernel" if entry.get("_TRANSPORT") == "kernel" else source_of(entry)
    told = strings(entry.get("PRIORITY"))
    level = int(told) if told in LEVELS else 6
    return Line(at / 1e6, source, level, strings(message), strings(entry.get("MESSAGE_ID")))


def between(look: Look, start: float, end: float, *sources: str) -> list[Line]:
    """Return the lines of a time, oldest first, of the journal or else of syslog's files and the kernel's buffer."""
    words = [f"--since=@{int(start)}", f"--until=@{int(end) + 1}"]
    words += [_choice(source) for source in sources]
    lines = journal(look, *words)
    if not lines:
        lines = [*_files(look, start, end), *_kernel(look, start, end)]
        wanted = {source.removesuffix(".service") for source in sources}
        lines = [line for line in lines if not wanted or line.source in wanted]
    return sorted(lines, key=lambda line: line.time)


def _choice(source: str) -> str:
    if source == "kernel":
        return "--dmesg"
    return f"--unit={source}" if "." in source else f"--identifier={source}"


def _files(look: Look, start: float, end: float) -> list[Line]:
    found: list[Line] = []
    for path in FILES:
        for text in tail(look.host.root + path).splitlines():
            line = of_syslog(text, end)
            if line is not None and start <= line.time <= end:
                found.append(line)
    return found[-MOST:]


def tail(path: str, length: int = TAIL) -> str:
    """Return the end of a file, from the first whole line."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - length))
            data = file.read(length)
    except OSError:
        return ""
    if size > length:
        data = data.partition(b"\n")[2]
    return data.decode("utf-8", "replace")


def of_syslog(text: str, now: float) -> Line | None:
    """Return a line `Nov 23 15:04:05 host program[12]: text`, or one that begins with a time of ISO 8601."""
    first, _, rest = text.partition(" ")
    at = _new_time(first)
    if at is None:
        at, rest = _old_time(text[:15], now), text[16:]
    if at is None:
        return None
    _, _, rest = rest.partition(" ")  # the host
    program, colon, said = rest.partition(": ")
    if not colon:
        return None
    return Line(at, clean(program.partition("[")[0], 64), guessed(said), said)


def _new_time(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None


def _old_time(text: str, now: float) -> float | None:
    """Return the time of `Nov 23 15:04:05`, whose year is the one that does not lie ahead."""
    year = time.localtime(now).tm_year
    for one in (year, year - 1):
        try:
            at = time.mktime(time.strptime(f"{one} {text}", "%Y %b %d %H:%M:%S"))
        except (ValueError, OverflowError):
            return None
        if at <= now + 86_400:
            return at
    return None


def guessed(text: str) -> int:
    """Return how bad a line is by its words, where nothing else tells."""
    lower = text.lower()
    return ERROR if any(word in lower for word in WORSE) else 6


def _kernel(look: Look, start: float, end: float) -> list[Line]:
    """Return the kernel's lines of dmesg(1): a time in brackets since the start of the machine, after its level."""
    told = look.command(["dmesg", "--raw"])
    booted = _booted(look)
    if told.code or booted is None:
        return []
    lines = (of_dmesg(text, booted) for text in told.text.splitlines()[-MOST:])
    return [line for line in lines if line is not None and start <= line.time <= end]


def of_dmesg(text: str, booted: float) -> Line | None:
    """Return a line `<6>[  12.345] text`."""
    level, bracket, rest = text.partition("[")
    at, closed, said = rest.partition("] ")
    digits = level.strip("<> ")
    try:
        seconds = float(at.strip())
    except ValueError:
        return None
    if not bracket or not closed or not digits.isdecimal():
        return None
    return Line(booted + seconds, "kernel", int(digits) & 7, said)


def _booted(look: Look) -> float | None:
    try:
        with open(look.host.proc + "/uptime", encoding="ascii") as file:
            return look.host.clock() - float(file.read(100).split()[0])
    except (OSError, ValueError, IndexError):
        return None


def groups(lines: Iterable[Line]) -> list[tuple[int, Line]]:
    """Return how often each line came, numbers in it aside, with the first of them; the most often first."""
    counts: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        counts.setdefault((line.source, line.text.translate(DIGITS)), []).append(line)
    return sorted(((len(ones), ones[0]) for ones in counts.values()), key=lambda pair: -pair[0])
