"""Tables of SNMP: credentials, and what is known of each device that is polled."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Double, ForeignKey, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from collector.register.models import Base


class CredentialRow(Base):
    """A community or a user of SNMPv3: of a customer, or of one of its sites. What is secret is encrypted."""

    __tablename__ = "snmp_credentials"
    __table_args__ = (UniqueConstraint("customer_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    site_id: Mapped[int | None] = mapped_column(ForeignKey("sites.id"))
    name: Mapped[str] = mapped_column(String(63))
    version: Mapped[str] = mapped_column(String(3))
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[float] = mapped_column(Double)


class PolledRow(Base):
    """What was found out of a device: how it speaks, and what it is."""

    __tablename__ = "snmp_devices"

    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id"), primary_key=True)
    credential_id: Mapped[int | None]
    profile: Mapped[str] = mapped_column(String(63), default="", server_default="")
    object_id: Mapped[str] = mapped_column(String(255), default="", server_default="")
    descr: Mapped[str] = mapped_column(String(1000), default="", server_default="")
    name: Mapped[str] = mapped_column(String(255), default="", server_default="")
    problem: Mapped[str] = mapped_column(String(1000), default="", server_default="")
    tried: Mapped[list[Any]] = mapped_column(JSON, default=list, server_default="[]")  # [credential, address, when]
    at: Mapped[float] = mapped_column(Double, default=0.0, server_default="0")


class CandidateRow(Base):
    """A machine that was found on a customer's network and is not in the register."""

    __tablename__ = "candidates"
    __table_args__ = (UniqueConstraint("site_id", "key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id"))
    key: Mapped[str] = mapped_column(String(63))  # its MAC address, or its IP address where that is not seen
    address: Mapped[str] = mapped_column(String(63))
    state: Mapped[str] = mapped_column(String(10), default="new", server_default="new")  # approved, denied, ignored
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict, server_default="{}")
    first_seen: Mapped[float] = mapped_column(Double)
    last_seen: Mapped[float] = mapped_column(Double)
    reported_at: Mapped[float | None] = mapped_column(Double)
