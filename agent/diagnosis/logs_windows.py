"""Windows' event logs, by wevtutil: its query is written here, and times are all that is put in."""

from __future__ import annotations

import time

from agent.diagnosis.log import Try
from agent.diagnosis.logs import Line
from agent.heavy.eventlog_windows import NAMESPACE, entries
from agent.redact import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.diagnosis.catalogue import Look

LOGS = ("System", "Application")
LEVELS = {"critical": 2, "error": 3}
MOST = 300


def _iso(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(at))


def between(look: Look, start: float, end: float, source: str) -> list[Line]:
    """Return the critical events, errors and warnings of a time."""
    found: list[Line] = []
    period = f"TimeCreated[@SystemTime>='{_iso(start)}' and @SystemTime<='{_iso(end)}']"
    for log in LOGS:
        query = f"*[System[(Level=1 or Level=2 or Level=3) and {period}]]"
        told = look.command(["wevtutil", "qe", log, f"/q:{query}", "/f:RenderedXml", f"/c:{MOST}"], timeout=15.0)
        chosen = (entry for entry in entries(told.text) if source in ("", entry.source))
        found.extend(Line(one.time or start, one.source, LEVELS.get(one.level, 4), one.text) for one in chosen)
    return found


def failed_logins(look: Look, since: float) -> list[Try] | None:
    """Return the events 4625 of the log Security; None if it may not be read."""
    query = f"*[System[(EventID=4625) and TimeCreated[@SystemTime>='{_iso(since)}']]]"
    told = look.command(["wevtutil", "qe", "Security", f"/q:{query}", "/f:xml", "/c:2000", "/rd:true"], timeout=20.0)
    return None if told.code else of_xml(told.text)


def of_xml(text: str) -> list[Try]:
    """Return the failed log-ins of wevtutil's XML."""
    from xml.etree import ElementTree

    found = []
    for part in text.split("</Event>"):
        start = part.find("<Event ")
        if start < 0 or "<!DOCTYPE" in part or "<!ENTITY" in part:
            continue
        try:
            event = ElementTree.fromstring(part[start:] + "</Event>")  # noqa: S314 - no entities, see above
        except ElementTree.ParseError:
            continue
        data = {one.get("Name", ""): one.text or "" for one in event.iter(NAMESPACE + "Data")}
        created = event.find(f"{NAMESPACE}System/{NAMESPACE}TimeCreated")
        at = _time(created.get("SystemTime", "") if created is not None else "")
        source = data.get("IpAddress", "").strip("-") or data.get("WorkstationName", "").strip("-")
        found.append(Try(at, data.get("TargetUserName", ""), clean(source, 64), "security"))
    return found


def _time(text: str) -> float:
    from datetime import datetime

    try:
        return datetime.fromisoformat(text[:19] + "+00:00").timestamp()
    except ValueError:
        return 0.0
