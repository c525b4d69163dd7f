"""Errors of Windows' event logs: counted by source, the text as evidence without what is private."""

from __future__ import annotations

from datetime import datetime
from xml.etree import ElementTree

from agent.events import Event
from agent.heavy.tools import NOT_FOUND, mapping, number
from agent.probes import NoData
from agent.probes.series import labels
from agent.redact import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.heavy.tools import Found, Task

LOGS = ("System", "Application")
MOST = 300
MAX_SOURCES = 50
OTHER = "other"
EVENTS_OF_SOURCE = 3
NAMESPACE = "{http://schemas.microsoft.com/win/2004/08/events/event}"
LEVELS = {"1": "critical", "2": "error"}


class Entry:
    """An event of the log."""

    __slots__ = ("id", "level", "record", "source", "text", "time")

    def __init__(self, source: str, id: str, level: str, record: int, time: float | None, text: str) -> None:  # noqa: A002
        self.source = source
        self.id = id
        self.level = level
        self.record = record
        self.time = time
        self.text = text


def read(task: Task) -> Iterator[Found]:
    """wevtutil, from the record where it was left the last time; at first, of the last hour.

    Metrics:
        watchdesk_log_messages_total (counter): Errors and worse in the event log, by source, since it is looked at.
    """
    counts = {str(name): number(count) or 0.0 for name, count in mapping(task.memory.get("counts")).items()}
    records = mapping(task.memory.get("records"))
    for log in LOGS:
        last = int(number(records.get(log)) or 0)
        newer = f"EventRecordID>{last}" if last else "TimeCreated[timediff(@SystemTime)<=3600000]"
        query = f"*[System[(Level=1 or Level=2) and {newer}]]"
        told = task.command(["wevtutil", "qe", log, f"/q:{query}", "/f:RenderedXml", f"/c:{MOST}"], timeout=20.0)
        if told.code == NOT_FOUND:
            raise NoData("wevtutil")
        shown: dict[str, int] = {}
        for entry in entries(told.text):
            last = max(last, entry.record)
            key = entry.source if entry.source in counts or len(counts) < MAX_SOURCES else OTHER
            counts[key] = counts.get(key, 0.0) + 1
            shown[entry.source] = shown.get(entry.source, 0) + 1
            if shown[entry.source] <= EVENTS_OF_SOURCE:
                yield Event("log", entry.source, entry.level, entry.text, {"log": log, "id": entry.id}, entry.time)
        records = {**records, log: last}
    task.memory.update(counts=counts, records=records)
    for source, count in counts.items():
        yield "watchdesk_log_messages_total" + labels(source=source), count


def entries(text: str) -> Iterator[Entry]:
    """Yield the events of wevtutil's output: XML elements one after the other, without a root."""
    for part in text.split("</Event>"):
        start = part.find("<Event ")
        if start < 0 or "<!DOCTYPE" in part or "<!ENTITY" in part:
            continue
        try:
            element = ElementTree.fromstring(part[start:] + "</Event>")  # noqa: S314 - no entities, see above
        except ElementTree.ParseError:
            continue
        yield _entry(element)


def _entry(event: ElementTree.Element) -> Entry:
    system = event.find(NAMESPACE + "System")
    if system is None:
        return Entry(OTHER, "", "error", 0, None, "")

    def told(name: str, attribute: str = "") -> str:
        found = system.find(NAMESPACE + name)
        if found is None:
            return ""
        return found.get(attribute, "") if attribute else (found.text or "")

    message = event.findtext(f"{NAMESPACE}RenderingInfo/{NAMESPACE}Message") or " ".join(
        data.text or "" for data in event.iter(NAMESPACE + "Data")
    )
    record = told("EventRecordID")
    source = clean(told("Provider", "Name"), 64) or OTHER
    level = LEVELS.get(told("Level"), "error")
    time = _time(told("TimeCreated", "SystemTime"))
    return Entry(source, told("EventID"), level, int(record) if record.isdigit() else 0, time, message)


def _time(text: str) -> float | None:
    """Return the time of 2026-11-23T10:11:12.1234567Z."""
    try:
        return datetime.fromisoformat(text[:19] + "+00:00").timestamp()
    except ValueError:
        return None
