"""Prometheus servers that may write: their tokens, and the devices that they tell of."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sqlalchemy import Engine, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from collector.errors import RegisterError
from collector.register.models import CustomerRow, DeviceRow, SiteRow, WriterRow
from collector.register.register import digest
from collector.register.sites import made_site, slug

PREFIX = "wdw_"
ORIGIN = "prometheus"


@dataclass(frozen=True, slots=True)
class Writer:
    """A sender of remote writes, without its secret. All it writes is of this one site."""

    id: int
    customer: str
    site: str
    name: str
    max_devices: int
    created_at: float
    revoked_at: float | None


class Writers:
    """The senders of remote writes, in the database of the register."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(self, customer: str, site: str, *, name: str, now: float, max_devices: int = 500) -> str:
        """Return a new token for a site, which is made if it is not there; it is shown this once.

        Raises:
            RegisterError: a name that is not valid.
        """
        token = PREFIX + secrets.token_urlsafe(32)
        with Session(self._engine) as session, session.begin():
            row = WriterRow(
                hash=digest(token),
                site_id=made_site(session, customer, site).id,
                name=slug(name),
                max_devices=max_devices,
                created_at=now,
            )
            session.add(row)
        return token

    def all(self) -> list[Writer]:
        """Return all senders, the newest first, those revoked too."""
        return [writer for _, writer in self._read()]

    def credentials(self) -> dict[str, Writer]:
        """Return the senders that may write, by the SHA-256 of their token in hex."""
        return {hashed: writer for hashed, writer in self._read() if writer.revoked_at is None}

    def _read(self) -> list[tuple[str, Writer]]:
        query = (
            select(WriterRow, SiteRow.slug, CustomerRow.slug)
            .join(SiteRow, WriterRow.site_id == SiteRow.id)
            .join(CustomerRow, SiteRow.customer_id == CustomerRow.id)
            .order_by(WriterRow.id.desc())
        )
        with Session(self._engine) as session:
            return [
                (row.hash, Writer(row.id, customer, site, row.name, row.max_devices, row.created_at, row.revoked_at))
                for row, site, customer in session.execute(query)
            ]

    def revoke(self, writer: int, now: float) -> None:
        """Refuse a token from now on; the devices stay.

        Raises:
            RegisterError: there is none of this number, or it is revoked already.
        """
        change = update(WriterRow).where(WriterRow.id == writer, WriterRow.revoked_at.is_(None)).values(revoked_at=now)
        with self._engine.begin() as connection:
            if not connection.execute(change).rowcount:
                raise RegisterError(f"There is no remote-write token {writer} that could be revoked.")

    def live(self) -> set[int]:
        """Return the numbers of all live devices."""
        with Session(self._engine) as session:
            return set(session.scalars(select(DeviceRow.id).where(DeviceRow.retired_at.is_(None))))

    def devices(self, writer: Writer) -> dict[str, int]:
        """Return the numbers of the live devices of a sender's site by their names."""
        with Session(self._engine) as session:
            query = (
                select(DeviceRow.name, DeviceRow.id)
                .join(WriterRow, WriterRow.site_id == DeviceRow.site_id)
                .where(WriterRow.id == writer.id, DeviceRow.retired_at.is_(None))
            )
            return {row.name: row.id for row in session.execute(query)}

    def admit(self, writer: Writer, names: list[str], now: float) -> dict[str, int]:
        """Return the devices of these names at the sender's site; those that are not there are made, while there
        are fewer than the sender's limit that came by a remote write.

        A name that is missing in the answer met the limit.
        """
        while True:
            found = self.devices(writer)
            missing = [name for name in names if name not in found]
            if missing:
                try:
                    found |= self._add(writer, missing, now)
                except IntegrityError:  # another process was faster
                    continue
            return {name: found[name] for name in names if name in found}

    def _add(self, writer: Writer, names: list[str], now: float) -> dict[str, int]:
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            site = session.scalars(select(WriterRow.site_id).where(WriterRow.id == writer.id)).one()
            live = select(DeviceRow.id).where(
                DeviceRow.site_id == site, DeviceRow.origin == ORIGIN, DeviceRow.retired_at.is_(None)
            )
            room = max(0, writer.max_devices - len(session.scalars(live).all()))
            rows = [
                DeviceRow(site_id=site, name=name, kind="server", role="", os="", enrolled_at=now, origin=ORIGIN)
                for name in names[:room]
            ]
            session.add_all(rows)
            session.flush()
            return {row.name: row.id for row in rows}
