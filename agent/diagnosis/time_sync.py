"""time.sync: how wrong the clock is, by asking a time server, and who keeps it right here."""

from __future__ import annotations

import socket
import struct
import sys
from dataclasses import dataclass

from agent.diagnosis.arguments import target
from agent.diagnosis.catalogue import Found, diagnosis
from agent.diagnosis.probing import addresses
from agent.heavy.tools import NOT_FOUND
from agent.probes.host import read_attribute
from agent.redact import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.diagnosis.catalogue import Look

# SNTP (RFC 4330): leap, version and mode; stratum; four timestamps of 64 bits, in seconds since 1900.
QUESTION = b"\x23" + bytes(47)
SINCE_1900 = 2_208_988_800
PORT = 123
SECONDS = 2.0
MAX_SERVERS = 5
WRONG = 1.0
FILES = (
    "/etc/chrony/chrony.conf",
    "/etc/chrony.conf",
    "/etc/systemd/timesyncd.conf",
    "/etc/ntp.conf",
    "/etc/ntpsec/ntp.conf",
)
SERVICES = {"chronyd": "chrony", "systemd-timesyn": "systemd-timesyncd", "ntpd": "ntpd", "timed": "timed"}

BEHIND = "the clock is %(seconds)s s behind %(server)s; %(keeper)s keeps it, but has not put it right"
AHEAD = "the clock is %(seconds)s s ahead of %(server)s; %(keeper)s keeps it, but has not put it right"
BEHIND_ALONE = "the clock is %(seconds)s s behind %(server)s, and no time service runs here"
AHEAD_ALONE = "the clock is %(seconds)s s ahead of %(server)s, and no time service runs here"
GOOD = "the clock is right: it differs from %(server)s by %(milliseconds)s ms; %(keeper)s keeps it"
GOOD_ALONE = "the clock is right for now (%(milliseconds)s ms from %(server)s), but no time service runs here"
NO_ANSWER = "No time server answers (%(servers)s): the clock cannot be kept right"
UNSYNCED = "the time server %(server)s says that it does not know the time itself (stratum %(stratum)s)"
DISAGREE = "the time servers do not agree: %(first)s and %(second)s differ by %(seconds)s s"
NO_SERVERS = "No time server is configured here, though %(keeper)s runs"
NOBODY = "No time server is configured here, and no time service runs"

SERVER = {
    "server": "name",
    "address": "name",
    "offset": "number",
    "delay": "number",
    "stratum": "number",
    "error": "name",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """Whom to ask; "" is the servers that this machine is told to use."""

    server: str = target("")


class Answer:
    """What a time server said: how much the clock here is behind it, how far it is, its stratum."""

    __slots__ = ("address", "delay", "error", "offset", "server", "stratum")

    def __init__(self, server: str, *, error: str = "") -> None:
        self.server = server
        self.address = ""
        self.offset = 0.0
        self.delay = 0.0
        self.stratum = 0
        self.error = error


@diagnosis(
    "time.sync", Sync, privacy="health", seconds=25,
    findings=(BEHIND, AHEAD, BEHIND_ALONE, AHEAD_ALONE, GOOD, GOOD_ALONE, NO_ANSWER, UNSYNCED, DISAGREE, NO_SERVERS,
              NOBODY),
    output={"servers": [SERVER], "keeper": "name", "configured": ["name"]},
)  # fmt: skip
def sync(look: Look, asked: Sync) -> Found:
    """How far the clock is off, by the time servers themselves, and which service keeps it."""
    configured = servers(look)
    keeper = running_keeper(look)
    wanted = [asked.server] if asked.server else configured[:MAX_SERVERS]
    answers = [ask(server, look.host.clock) for server in wanted]
    rows = [
        {"server": one.server, "address": one.address, "offset": round(one.offset, 4), "delay": round(one.delay, 4),
         "stratum": one.stratum, "error": one.error}
        for one in answers
    ]  # fmt: skip
    data = {"servers": rows, "keeper": keeper, "configured": configured}
    if not wanted:
        return Found(NO_SERVERS if keeper else NOBODY, {"keeper": keeper}, data)
    text, values = judge(answers, keeper)
    return Found(text, values, data)


def judge(answers: list[Answer], keeper: str) -> tuple[str, dict[str, str | float]]:
    """Return how far the clock is off."""
    told = [one for one in answers if not one.error]
    if not told:
        return NO_ANSWER, {"servers": ", ".join(f"{one.server}: {one.error}" for one in answers)}
    sound = [one for one in told if 0 < one.stratum < 16]
    if not sound:
        return UNSYNCED, {"server": told[0].server, "stratum": told[0].stratum}
    low, high = min(sound, key=lambda one: one.offset), max(sound, key=lambda one: one.offset)
    if high.offset - low.offset > WRONG:
        return DISAGREE, {"first": low.server, "second": high.server, "seconds": round(high.offset - low.offset, 1)}
    best = min(sound, key=lambda one: one.delay)
    values: dict[str, str | float] = {
        "server": best.server, "keeper": keeper, "milliseconds": round(1000 * best.offset, 1),
        "seconds": round(abs(best.offset), 1),
    }  # fmt: skip
    if abs(best.offset) >= WRONG:
        if best.offset > 0:
            return (BEHIND if keeper else BEHIND_ALONE), values
        return (AHEAD if keeper else AHEAD_ALONE), values
    return (GOOD if keeper else GOOD_ALONE), values


def ask(server: str, clock: Callable[[], float]) -> Answer:
    """Ask a server for the time."""
    try:
        family, address = addresses(server)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as sent:
            sent.settimeout(SECONDS)
            sent.connect((address, PORT))
            left = clock()
            sent.send(QUESTION)
            data = sent.recv(512)
            back = clock()
        answer = parse(server, data, left, back)
        answer.address = address
    except TimeoutError:
        return Answer(server, error="no answer")
    except OSError as error:
        return Answer(server, error=error.strerror or type(error).__name__)
    except ValueError as error:
        return Answer(server, error=str(error))
    return answer


def parse(server: str, data: bytes, left: float, back: float) -> Answer:
    """Return what an answer says; `left` and `back` are when the question went and the answer came, by our clock.

    Raises:
        ValueError: it is none.
    """
    if len(data) < 48 or data[0] & 7 != 4:
        raise ValueError("not an answer of NTP")
    received, sent = (_seconds(data, at) for at in (32, 40))
    answer = Answer(server)
    answer.stratum = data[1]
    answer.offset = ((received - left) + (sent - back)) / 2
    answer.delay = max(0.0, (back - left) - (sent - received))
    return answer


def _seconds(data: bytes, at: int) -> float:
    whole, part = struct.unpack_from(">II", data, at)
    return float(whole - SINCE_1900 + part / (1 << 32))


def servers(look: Look) -> list[str]:
    """Return the servers that are configured, those that timesyncd falls back to included."""
    if sys.platform == "win32":
        from agent.registry_windows import values

        return of_windows(str(values(r"SYSTEM\CurrentControlSet\Services\W32Time\Parameters").get("NtpServer", "")))
    found: list[str] = []
    for path in FILES:
        found.extend(of_file(read_attribute(look.host.root + path) or ""))
    if not found:
        told = look.command(["timedatectl", "show-timesync", "--property=ServerName", "--value"])
        found = told.text.split() if told.code == 0 else []
    if not found and sys.platform == "darwin":
        found = of_file(read_attribute(look.host.root + "/etc/ntp.conf") or "")
    return [clean(one, 253) for one in dict.fromkeys(found) if not one.startswith("-")]


def of_file(text: str) -> list[str]:
    """Return the servers of chrony.conf or ntp.conf (`server NAME …`, `pool NAME …`) or timesyncd.conf (`NTP=A B`)."""
    found: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] in ("server", "pool", "peer"):
            found.append(words[1])
        elif line.startswith(("NTP=", "FallbackNTP=")):
            found.extend(line.partition("=")[2].split())
    return found


def of_windows(text: str) -> list[str]:
    """Return the servers of `time.windows.com,0x9 other,0x1`."""
    return [word.partition(",")[0] for word in text.split()]


def running_keeper(look: Look) -> str:
    """Return the time service that runs, or nothing."""
    if sys.platform == "win32":
        told = look.command(["sc.exe", "query", "w32time"])
        return "w32time" if told.code != NOT_FOUND and " 4 " in told.text else ""
    from agent.diagnosis.processes import processes

    names = {one.name for one in processes(look.host).values()}
    return next((keeper for name, keeper in SERVICES.items() if name in names), "")
