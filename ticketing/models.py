"""The tables. Times are Unix seconds (UTC) as doubles, so that both databases hold exactly what Python holds.

Row classes only map; what happens to an incident is decided in `decide.py` and `work.py` and written by `writing.py`.
Rows that belong to an incident carry no foreign key: they are written in one transaction with it and go with it, and
checking each row would take a third of the time of an alert storm on PostgreSQL (measured: 1.3 of 3.7 s for 100,000).
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import JSON, BigInteger, Boolean, Double, ForeignKey, Index, Integer, MetaData, String, Text, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_NAMING: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

# SQLite numbers rows by itself only where the column is exactly INTEGER PRIMARY KEY.
Id = BigInteger().with_variant(Integer, "sqlite")
# Keys are compared and sorted as code points on both databases.
Key = String(255).with_variant(String(255, collation="C"), "postgresql")
_OPEN: Final = text("resolved_at IS NULL")
_OVER: Final = text("resolved_at IS NOT NULL")
_TICKET: Final = text("resolved_at IS NULL AND parent IS NULL AND hidden_since IS NULL")
_WAITS: Final = text("wake_at IS NOT NULL")
_CHILD: Final = text("parent IS NOT NULL")
_WAITING: Final = text("state = 'waiting'")
_KINDED: Final = text("resolved_at IS NULL AND kind <> ''")
_OUTAGE: Final = text("resolved_at IS NOT NULL AND kind <> ''")
_UNDER_WAY: Final = text("done_at IS NULL")
_OF_TICKET: Final = text("incident IS NOT NULL")


_SAME: Final = ("customer", "alertname", "active_at")


class Base(DeclarativeBase):
    """The tables of the ticketing part."""

    metadata = MetaData(naming_convention=_NAMING)


class IncidentRow(Base):
    """An incident; the columns are the members of `incident.Incident`."""

    __tablename__ = "incidents"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    customer: Mapped[str] = mapped_column(String(64))
    site: Mapped[str] = mapped_column(String(64))
    device: Mapped[str] = mapped_column(String(255))
    klass: Mapped[str] = mapped_column(String(32))
    alertname: Mapped[str] = mapped_column(String(128))
    key: Mapped[str] = mapped_column(Key)
    labels: Mapped[dict[str, str]] = mapped_column(JSON)
    annotations: Mapped[dict[str, str]] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(String(16))
    severity: Mapped[str] = mapped_column(String(16))
    impact: Mapped[int] = mapped_column(Integer)
    urgency: Mapped[int] = mapped_column(Integer)
    priority: Mapped[int] = mapped_column(Integer)
    value: Mapped[float | None] = mapped_column(Double)
    count: Mapped[int] = mapped_column(Integer)
    active_at: Mapped[float] = mapped_column(Double)
    opened_at: Mapped[float] = mapped_column(Double)
    updated_at: Mapped[float] = mapped_column(Double)
    version: Mapped[int] = mapped_column(Integer)
    acknowledged_at: Mapped[float | None] = mapped_column(Double)
    acknowledged_by: Mapped[str | None] = mapped_column(String(64))
    owner: Mapped[str | None] = mapped_column(String(64))
    comments: Mapped[int] = mapped_column(Integer)
    pending_reason: Mapped[str | None] = mapped_column(String(32))
    pending_until: Mapped[float | None] = mapped_column(Double)
    stale_since: Mapped[float | None] = mapped_column(Double)
    recovered_at: Mapped[float | None] = mapped_column(Double)
    resolved_at: Mapped[float | None] = mapped_column(Double)
    resolved_by: Mapped[str | None] = mapped_column(String(64))
    cause: Mapped[str | None] = mapped_column(String(32))
    closed_at: Mapped[float | None] = mapped_column(Double)
    flapping_since: Mapped[float | None] = mapped_column(Double)
    changes: Mapped[list[float]] = mapped_column(JSON)
    noted_at: Mapped[float | None] = mapped_column(Double)
    parent: Mapped[int | None] = mapped_column(BigInteger)
    previous: Mapped[int | None] = mapped_column(BigInteger)
    repeat: Mapped[bool] = mapped_column(Boolean)
    kind: Mapped[str] = mapped_column(String(16), server_default="")
    about: Mapped[str] = mapped_column(String(255), server_default="")
    hold: Mapped[str | None] = mapped_column(String(16))
    hold_until: Mapped[float | None] = mapped_column(Double)
    hidden_since: Mapped[float | None] = mapped_column(Double)
    placed_by: Mapped[str | None] = mapped_column(String(64))
    devices: Mapped[int] = mapped_column(Integer, server_default="0")
    people: Mapped[int] = mapped_column(Integer, server_default="0")
    worst_member: Mapped[int] = mapped_column(Integer, server_default="4")
    expected_at: Mapped[float | None] = mapped_column(Double)
    # Only for the store: what its rule depends on, when time alone will change it, whether its newest entry is quiet.
    depends_on: Mapped[str] = mapped_column(String(255), server_default="")
    wake_at: Mapped[float | None] = mapped_column(Double)
    quiet: Mapped[bool] = mapped_column(Boolean)

    __table_args__ = (
        # One cause, one ticket: the database itself refuses a second open incident of a key.
        Index("uq_incidents_open", "customer", "key", unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("ix_incidents_past", "customer", "key", "id", sqlite_where=_OVER, postgresql_where=_OVER),
        Index("ix_incidents_queue", "priority", text("id DESC"), sqlite_where=_TICKET, postgresql_where=_TICKET),
        Index(
            "ix_incidents_customer_queue",
            *("customer", "priority", text("id DESC")),
            sqlite_where=_TICKET,
            postgresql_where=_TICKET,
        ),
        Index("ix_incidents_counts", "customer", "state", "priority", sqlite_where=_TICKET, postgresql_where=_TICKET),
        Index("ix_incidents_device", "customer", "device", sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("ix_incidents_same", *_SAME, sqlite_where=_TICKET, postgresql_where=_TICKET),
        Index("ix_incidents_kind", "customer", "kind", "site", sqlite_where=_KINDED, postgresql_where=_KINDED),
        Index("ix_incidents_outages", "customer", "resolved_at", sqlite_where=_OUTAGE, postgresql_where=_OUTAGE),
        Index("ix_incidents_customer", "customer", "id"),
        Index("ix_incidents_wake", "wake_at", sqlite_where=_WAITS, postgresql_where=_WAITS),
        Index("ix_incidents_parent", "parent", "id", sqlite_where=_CHILD, postgresql_where=_CHILD),
    )


class FeedRow(Base):
    """An alert that feeds an incident."""

    __tablename__ = "incident_alerts"

    incident: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64), primary_key=True)
    severity: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    value: Mapped[float | None] = mapped_column(Double)
    at: Mapped[float] = mapped_column(Double)
    active_at: Mapped[float] = mapped_column(Double)
    labels: Mapped[dict[str, str]] = mapped_column(JSON)

    __table_args__ = ({"sqlite_with_rowid": False},)


class TimelineRow(Base):
    """An entry of an incident's timeline; `id` grows in the order of the commits."""

    __tablename__ = "timeline"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    incident: Mapped[int] = mapped_column(BigInteger)
    version: Mapped[int] = mapped_column(Integer)
    customer: Mapped[str] = mapped_column(String(64))
    at: Mapped[float] = mapped_column(Double)
    actor: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(32))
    reason: Mapped[str] = mapped_column(String(32))
    quiet: Mapped[bool] = mapped_column(Boolean)
    internal: Mapped[bool] = mapped_column(Boolean)
    data: Mapped[dict[str, Any]] = mapped_column(JSON)

    __table_args__ = (
        Index("uq_timeline_incident_version", "incident", "version", unique=True),
        Index("ix_timeline_customer", "customer", "id"),
    )


class DeliveryRow(Base):
    """One message to one recipient about one incident, written in the transaction of what it tells.

    It tells of the entries `version` to `upto`. `due_at` is when it may be tried (again); while somebody tries, it is
    when that try counts as lost. `uncertain`: an earlier try may have arrived.
    """

    __tablename__ = "outbox"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    recipient: Mapped[str] = mapped_column(String(64))
    customer: Mapped[str] = mapped_column(String(64))
    incident: Mapped[int] = mapped_column(BigInteger)
    version: Mapped[int] = mapped_column(Integer)
    upto: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(String(16))  # waiting, sent, dead, dropped
    attempts: Mapped[int] = mapped_column(Integer)
    uncertain: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[float] = mapped_column(Double)
    due_at: Mapped[float] = mapped_column(Double)
    done_at: Mapped[float | None] = mapped_column(Double)
    error: Mapped[str] = mapped_column(Text)

    __table_args__ = (
        # What an incident's change is to one recipient is written once.
        Index("uq_outbox_change", "recipient", "incident", "version", unique=True),
        Index("ix_outbox_due", "recipient", "due_at", "id", sqlite_where=_WAITING, postgresql_where=_WAITING),
        Index("ix_outbox_state", "state", "id"),
    )


class ReferenceRow(Base):
    """What a recipient calls an incident, as its first answer said: another system's ticket number."""

    __tablename__ = "outbox_references"

    recipient: Mapped[str] = mapped_column(String(64), primary_key=True)
    incident: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    reference: Mapped[str] = mapped_column(String(255))

    __table_args__ = ({"sqlite_with_rowid": False},)


class MaintenanceRow(Base):
    """A maintenance window, once or recurring; the columns are the members of `maintenance.Window`."""

    __tablename__ = "maintenance"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    customer: Mapped[str] = mapped_column(String(64))
    site: Mapped[str] = mapped_column(String(64))
    device: Mapped[str] = mapped_column(String(255))
    rule: Mapped[str] = mapped_column(String(128))
    starts_at: Mapped[float] = mapped_column(Double)
    seconds: Mapped[float] = mapped_column(Double)
    repeats: Mapped[str] = mapped_column(String(64))
    timezone: Mapped[str] = mapped_column(String(64))
    ends_at: Mapped[float | None] = mapped_column(Double, index=True)
    comment: Mapped[str] = mapped_column(Text)
    owner: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[float] = mapped_column(Double)
    cancelled_at: Mapped[float | None] = mapped_column(Double)


class SilenceRow(Base):
    """A silence; the columns are the members of `silences.Silence`."""

    __tablename__ = "silences"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    customer: Mapped[str] = mapped_column(String(64))
    matchers: Mapped[list[dict[str, str]]] = mapped_column(JSON)
    starts_at: Mapped[float] = mapped_column(Double)
    ends_at: Mapped[float] = mapped_column(Double, index=True)
    comment: Mapped[str] = mapped_column(Text)
    owner: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[float] = mapped_column(Double)
    cancelled_at: Mapped[float | None] = mapped_column(Double)
    asked_at: Mapped[float | None] = mapped_column(Double)


class DiagnosisRow(Base):
    """A request to examine a device, and what came of it; the columns are the members of `diagnosis.asked.Diagnosis`.

    `uid` is what the device knows it by. `data` is what it returned, as JSON text, until it is too old to be kept.
    """

    __tablename__ = "diagnoses"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    uid: Mapped[str] = mapped_column(String(36), unique=True)
    customer: Mapped[str] = mapped_column(String(64))
    device: Mapped[int] = mapped_column(BigInteger)  # the register's number
    instance: Mapped[str] = mapped_column(String(255))
    name: Mapped[str] = mapped_column(String(64))
    arguments: Mapped[dict[str, Any]] = mapped_column(JSON)
    privacy: Mapped[str] = mapped_column(String(16))
    incident: Mapped[int | None] = mapped_column(BigInteger)
    by: Mapped[str] = mapped_column(String(160))  # rule:NAME or person:NAME
    purpose: Mapped[str] = mapped_column(String(16))  # fault, again, recovery
    before: Mapped[int | None] = mapped_column(BigInteger)  # the diagnosis that this one is compared with
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)
    asked_at: Mapped[float] = mapped_column(Double)
    tries: Mapped[int] = mapped_column(Integer)  # how often it was handed out
    changed_at: Mapped[float] = mapped_column(Double)
    started_at: Mapped[float | None] = mapped_column(Double)
    done_at: Mapped[float | None] = mapped_column(Double)
    seconds: Mapped[float | None] = mapped_column(Double)
    finding: Mapped[str] = mapped_column(Text)
    finding_id: Mapped[str] = mapped_column(Text)
    finding_values: Mapped[dict[str, Any]] = mapped_column(JSON)
    data: Mapped[str | None] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(String(64))
    truncated: Mapped[bool] = mapped_column(Boolean)
    audit: Mapped[str] = mapped_column(String(64))  # the hash of its newest entry there

    __table_args__ = (
        Index("ix_diagnoses_under_way", "device", "id", sqlite_where=_UNDER_WAY, postgresql_where=_UNDER_WAY),
        Index("ix_diagnoses_incident", "incident", "id", sqlite_where=_OF_TICKET, postgresql_where=_OF_TICKET),
        Index("ix_diagnoses_device", "device", "id"),
        Index("ix_diagnoses_customer", "customer", "asked_at"),
    )


class AuditRow(Base):
    """An entry of a customer's audit: `body` is the exact text that `hash` is of, and holds the hash before it."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    customer: Mapped[str] = mapped_column(String(64))
    number: Mapped[int] = mapped_column(BigInteger)  # from 1 on, without a gap
    at: Mapped[float] = mapped_column(Double)
    incident: Mapped[int | None] = mapped_column(BigInteger)
    body: Mapped[str] = mapped_column(Text)
    hash: Mapped[str] = mapped_column(String(64))

    __table_args__ = (Index("uq_audit_customer_number", "customer", "number", unique=True),)


class AuditHeadRow(Base):
    """Where a customer's audit ends, sealed with the collector's key, so that an end that was cut off is missed."""

    __tablename__ = "audit_heads"

    customer: Mapped[str] = mapped_column(String(64), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str] = mapped_column(String(64))
    seal: Mapped[str] = mapped_column(String(128))


class ConsentRow(Base):
    """What a customer lets be asked at all; without a row, whatever the machines' own policies allow."""

    __tablename__ = "diagnosis_consent"

    customer: Mapped[str] = mapped_column(String(64), primary_key=True)
    never: Mapped[list[str]] = mapped_column(JSON)  # privacy classes
    shown: Mapped[bool] = mapped_column(Boolean)  # whether the customer's own people see what was found


class CursorRow(Base):
    """How far a consumer of the log has come; written in the transaction of its effects."""

    __tablename__ = "cursors"

    consumer: Mapped[str] = mapped_column(String(64), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)


class UserRow(Base):
    """A person who may log in; `password` is a scrypt hash with its parameters."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    password: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(String(16))
    customer: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[float] = mapped_column(Double)
    disabled: Mapped[bool] = mapped_column(Boolean)


class SessionRow(Base):
    """A login; of its token only the hash is kept."""

    __tablename__ = "sessions"

    token: Mapped[str] = mapped_column(String(64), primary_key=True)
    user: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[float] = mapped_column(Double)
    expires_at: Mapped[float] = mapped_column(Double, index=True)


class LoginFailureRow(Base):
    """Failed logins of a user or from an address within a window of time."""

    __tablename__ = "login_failures"

    subject: Mapped[str] = mapped_column(String(128), primary_key=True)
    count: Mapped[int] = mapped_column(Integer)
    since: Mapped[float] = mapped_column(Double)
