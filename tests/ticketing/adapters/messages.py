"""Messages for the adapters' tests, made from real decisions."""

from __future__ import annotations

from pathlib import Path

from tests.ticketing.alerts import T, alert
from ticketing.adapters.adapter import Message
from ticketing.alert import Alert
from ticketing.database import connect
from ticketing.evidence import Evidence, Happening
from ticketing.models import Base
from ticketing.outbox.compose import thread
from ticketing.rebuild import rebuild
from ticketing.scope import EVERYTHING
from ticketing.store import Store

EVIDENCE = Evidence(
    unit="%",
    threshold=90.0,
    normal=21.0,
    times=(T - 120, T - 60, T),
    values=(80.0, 88.0, 96.0),
    rate=4.1,
    left=9 * 3600.0,
    changes=(Happening(T - 600, "software", "info", "installed: backup 2.1"),),
)
ANNOTATIONS = {
    "summary": "fs01: /data is 96% full",
    "summary_zh": "fs01：/data 已使用 96%",
    "impact": "File share; 42 users",
    "first_steps": "Extend /data",
    "closes": "Less than 90% is used.",
    "value_unit": "percent",
    "threshold": "90",
}


def message(folder: Path, *alerts: Alert, first: int = 1, language: str = "en") -> Message:
    """Return the message about what these alerts did, from the version `first` of the incident on."""
    engine = connect(f"sqlite:///{folder / 'watchdesk.db'}")
    Base.metadata.create_all(engine)
    store = Store(engine)
    for one in alerts or (alert(annotations=ANNOTATIONS, value=96.0),):
        store.apply([one], consumer="test", position=store.position("test") + 1, now=one.at)
    incident, entries = store.incident(EVERYTHING, 1), store.timeline(EVERYTHING, 1)
    engine.dispose()
    assert incident is not None
    assert entries is not None
    return Message(
        key=f"noc/1/{first}",
        thread=thread("desk.example", incident),
        sequence=first - 1,
        opening=rebuild(entries[:1]),
        incident=incident,
        entries=tuple(entry for entry in entries if entry.version >= first),
        evidence=EVIDENCE,
        at=incident.updated_at,
        language=language,
        domain="desk.example",
        url="https://desk.example/incidents/1",
    )
