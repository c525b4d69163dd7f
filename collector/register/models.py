"""Tables of the register."""

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, text
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
