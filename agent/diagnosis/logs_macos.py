"""macOS' unified log, by log(1)."""

from __future__ import annotations

import json
from datetime import datetime

from agent.diagnosis.log import Try, local_time
from agent.diagnosis.logs import Line
from agent.heavy.tools import mapping, strings
from agent.redact import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.diagnosis.catalogue import Look

LEVELS = {"Fault": 2, "Error": 3}
ERRORS = 'messageType == "error" OR messageType == "fault"'
FAILED = 'process == "sshd" AND eventMessage CONTAINS "error"'


def between(look: Look, start: float, end: float, source: str) -> list[Line]:
    """Return the errors and faults of a time."""
    lines = _show(look, start, end, ERRORS)
    return [line for line in lines if not source or line.source == source]


def failed_logins(look: Look, since: float) -> list[Try] | None:
    """Return what sshd has refused."""
    lines = _show(look, since, look.now, FAILED)
    return [one for line in lines if (one := of_sshd(line)) is not None]


def of_sshd(line: Line) -> Try | None:
    """Return the log-in of `error: PAM: authentication error for anna from 10.0.0.7`."""
    _, found, rest = line.text.partition("authentication error for ")
    user, from_, source = rest.partition(" from ")
    return Try(line.time, user.removeprefix("illegal user "), source.split(" ")[0], "sshd") if found and from_ else None


def _show(look: Look, start: float, end: float, predicate: str) -> list[Line]:
    words = ["log", "show", "--style", "ndjson", "--start", local_time(start), "--end", local_time(end)]
    told = look.command([*words, "--predicate", predicate], timeout=25.0)
    return [line for text in told.text.splitlines()[-2_000:] if (line := of_ndjson(text)) is not None]


def of_ndjson(text: str) -> Line | None:
    """Return a line of `log show --style ndjson`."""
    try:
        entry = mapping(json.loads(text))
        at = datetime.fromisoformat(strings(entry.get("timestamp"))).timestamp()
    except ValueError:
        return None
    source = clean(strings(entry.get("processImagePath")).rpartition("/")[2], 64)
    return Line(at, source, LEVELS.get(strings(entry.get("messageType")), 6), strings(entry.get("eventMessage")))
