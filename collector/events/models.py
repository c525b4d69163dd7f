"""Tables of events and inventories. Times are Unix seconds."""

from typing import Any

from sqlalchemy import JSON, BigInteger, Double, Index, Integer, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from collector.register.models import Base

_Id = BigInteger().with_variant(Integer, "sqlite")


class EventRow(Base):
    """An event. `customer` is the slug of the one whose device it is: what queries are narrowed by."""

    __tablename__ = "events"
    __table_args__ = (
        Index("events_of_a_device", "device", "at"),
        Index("events_of_a_customer", "customer", "at"),
        Index("events_in_time", "at"),
    )

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    device: Mapped[int] = mapped_column(BigInteger)
    customer: Mapped[str] = mapped_column(String(63))
    at: Mapped[float] = mapped_column(Double)
    type: Mapped[str] = mapped_column(String(16))
    source: Mapped[str] = mapped_column(String(128))
    level: Mapped[str] = mapped_column(String(16))
    text: Mapped[str] = mapped_column(Text)
    attributes: Mapped[dict[str, Any]] = mapped_column(JSON)


class MarkRow(Base):
    """The frames with events that were taken of a device: epoch → the highest seq. Written with what they held."""

    __tablename__ = "event_marks"

    device: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    epochs: Mapped[dict[str, int]] = mapped_column(JSON)


class InventoryRow(Base):
    """What a device consisted of from `at` on: JSON, compressed with zstd."""

    __tablename__ = "inventories"
    __table_args__ = (Index("inventories_of_a_device", "device", "id"),)

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    device: Mapped[int] = mapped_column(BigInteger)
    customer: Mapped[str] = mapped_column(String(63))
    at: Mapped[float] = mapped_column(Double)
    packed: Mapped[bytes] = mapped_column(LargeBinary)
