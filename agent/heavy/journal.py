"""Errors in systemd's journal: the text as evidence, without what is private; and how many of each source."""

from __future__ import annotations

import json

from agent.events import Event
from agent.heavy.tools import NOT_FOUND, mapping, number, strings
from agent.probes import NoData
from agent.probes.series import labels
from agent.redact import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.heavy.tools import Found, Task

MOST = 1_000  # entries of one look
MAX_SOURCES = 50
EVENTS_OF_SOURCE = 3
LEVELS = {"0": "critical", "1": "critical", "2": "critical", "3": "error"}
OTHER = "other"


def read(task: Task) -> Iterator[Found]:
    """journalctl, from where it was left the last time; the kernel's own messages are told by /dev/kmsg.

    Metrics:
        watchdesk_log_messages_total (counter): Errors and worse in the journal, by source, since it is looked at.
    """
    words = ["journalctl", "--quiet", "--no-pager", "--output=json", "--priority=err", f"--lines={MOST}"]
    cursor = str(task.memory.get("cursor", ""))
    words += [f"--after-cursor={cursor}"] if cursor else ["--since=-1min"]
    told = task.command(words)
    if told.code == NOT_FOUND:
        raise NoData("journalctl")
    counts = {str(name): number(count) or 0.0 for name, count in mapping(task.memory.get("counts")).items()}
    shown: dict[str, int] = {}
    for line in told.text.splitlines():
        entry = _entry(line)
        if not entry:
            continue
        task.memory["cursor"] = strings(entry.get("__CURSOR"))
        if entry.get("_TRANSPORT") == "kernel":
            continue
        source = source_of(entry)
        key = source if source in counts or len(counts) < MAX_SOURCES else OTHER
        counts[key] = counts.get(key, 0.0) + 1
        shown[source] = shown.get(source, 0) + 1
        if shown[source] <= EVENTS_OF_SOURCE:
            yield event(entry, source)
    task.memory["counts"] = counts
    for source, count in counts.items():
        yield "watchdesk_log_messages_total" + labels(source=source), count


def _entry(line: str) -> dict[str, object]:
    try:
        return mapping(json.loads(line))
    except ValueError:
        return {}


def source_of(entry: dict[str, object]) -> str:
    """Return the unit that wrote it, else the program; what is counted apart for each process is put together."""
    unit = strings(entry.get("_SYSTEMD_UNIT") or entry.get("UNIT"))
    if unit and not unit.endswith(".scope") and not unit.startswith("user@"):
        return clean(unit.partition("@")[0] if "@" in unit else unit, 64)
    return clean(strings(entry.get("SYSLOG_IDENTIFIER") or entry.get("_COMM") or OTHER), 64)


def event(entry: dict[str, object], source: str) -> Event:
    """Return an entry as event; a message that is no text comes as a list of bytes."""
    message = entry.get("MESSAGE")
    if isinstance(message, list):
        message = bytes(byte for byte in message if isinstance(byte, int) and 0 <= byte < 256).decode(
            "utf-8", "replace"
        )
    level = LEVELS.get(strings(entry.get("PRIORITY")), "error")
    time = number(entry.get("__REALTIME_TIMESTAMP"))
    return Event("log", source, level, strings(message), {}, None if time is None else time / 1e6)
