"""Tables of the register."""

from typing import Any

from sqlalchemy import JSON, Double, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The register's metadata."""


class CustomerRow(Base):
    """A company whose devices are looked after."""

    __tablename__ = "customers"

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(63), unique=True)
    name: Mapped[str] = mapped_column(String(200))


class SiteRow(Base):
    """A place of a customer."""

    __tablename__ = "sites"
    __table_args__ = (UniqueConstraint("customer_id", "slug"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    slug: Mapped[str] = mapped_column(String(63))
    name: Mapped[str] = mapped_column(String(200))
    people: Mapped[int] = mapped_column(default=0, server_default="0")
    contact: Mapped[dict[str, str]] = mapped_column(JSON, default=dict, server_default="{}")
    networks: Mapped[list[str]] = mapped_column(JSON, default=list, server_default="[]")  # in CIDR: what may be scanned
    timezone: Mapped[str] = mapped_column(String(64), default="", server_default="")


class DeviceRow(Base):
    """Anything watched. A retired device keeps its row; its name may be given again."""

    __tablename__ = "devices"
    __table_args__ = (
        Index(
            "one_live_device_of_a_name",
            "site_id",
            "name",
            unique=True,
            sqlite_where=text("retired_at IS NULL"),
            postgresql_where=text("retired_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id"))
    name: Mapped[str] = mapped_column(String(63))
    kind: Mapped[str] = mapped_column("class", String(20))
    role: Mapped[str] = mapped_column(String(63), default="")
    os: Mapped[str] = mapped_column(String(20), default="")
    enrolled_at: Mapped[float]
    retired_at: Mapped[float | None]
    address: Mapped[str] = mapped_column(String(255), default="", server_default="")  # IP address or host name
    polling: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict, server_default="{}")  # book.Polling
    origin: Mapped[str] = mapped_column(String(20), default="agent", server_default="agent")
    # How much it matters, what it hangs on and how that is known, what feeds it, and what runs on it for whom.
    criticality: Mapped[int | None]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("devices.id", name="fk_devices_parent_id"), index=True)
    port: Mapped[str] = mapped_column(String(255), default="", server_default="")
    how: Mapped[str] = mapped_column(String(10), default="", server_default="")
    evidence: Mapped[str] = mapped_column(String(1000), default="", server_default="")
    since: Mapped[float | None] = mapped_column(Double)
    rack: Mapped[str] = mapped_column(String(255), default="", server_default="")
    power_id: Mapped[int | None] = mapped_column(ForeignKey("devices.id", name="fk_devices_power_id"))
    services: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list, server_default="[]")


class DeviceTokenRow(Base):
    """What a device reports with: the SHA-256 of its token, in hex."""

    __tablename__ = "device_tokens"

    hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id"), index=True)
    created_at: Mapped[float]
    revoked_at: Mapped[float | None]


class EnrolTokenRow(Base):
    """What lets one device, or a number of them, into the register, for a short time."""

    __tablename__ = "enrol_tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    hash: Mapped[str] = mapped_column(String(64), unique=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id"))
    kind: Mapped[str] = mapped_column("class", String(20), default="")
    role: Mapped[str] = mapped_column(String(63), default="")
    created_at: Mapped[float]
    expires_at: Mapped[float]
    uses_left: Mapped[int]
    revoked_at: Mapped[float | None]


class WriterRow(Base):
    """What a Prometheus may write with: the SHA-256 of its token, the site whose devices it tells of."""

    __tablename__ = "remote_write_tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    hash: Mapped[str] = mapped_column(String(64), unique=True)
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id"))
    name: Mapped[str] = mapped_column(String(63))
    max_devices: Mapped[int]
    created_at: Mapped[float]
    revoked_at: Mapped[float | None]
