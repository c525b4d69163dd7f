"""Customers, sites, devices, and the tokens with which devices enrol and report."""

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec
from sqlalchemy import ColumnElement, Engine, Select, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from collector.errors import RegisterError
from collector.register import book, surroundings
from collector.register.book import CLASSES, Book, How, Polling
from collector.register.models import CustomerRow, DeviceRow, DeviceTokenRow, EnrolTokenRow, SiteRow
from collector.register.sites import made_site, slug
from collector.register.surroundings import POLLED, Link, Parent, Rows
from ticketing import topology
from ticketing.database import reading

OWN = "watchdesk"  # the origin, role and job of the device that stands for Watchdesk itself


@dataclass(frozen=True, slots=True)
class Device:
    """A device of the register."""

    id: int
    customer: str
    site: str
    name: str
    kind: str  # one of CLASSES
    role: str
    os: str
    enrolled_at: float
    retired_at: float | None
    origin: str = "agent"  # or "prometheus": seen first in a remote write; or "snmp": it has an address and no agent
    address: str = ""

    @property
    def instance(self) -> str:
        """The name that is unique in the whole fleet."""
        return f"{self.name}.{self.site}.{self.customer}"

    def labels(self, job: str = "agent") -> dict[str, str]:
        """Return the target labels of the device's series."""
        labels = {
            "instance": self.instance,
            "job": job,
            "customer": self.customer,
            "site": self.site,
            "class": self.kind,
        }
        if self.origin in (POLLED, OWN):
            labels["job"] = self.origin
        if self.origin == "prometheus":
            del labels["job"]  # its series bring the one of the job that scraped them
        return {**labels, "role": self.role} if self.role else labels


@dataclass(frozen=True, slots=True)
class Polled:
    """A device that is polled: where, and how."""

    device: Device
    address: str
    polling: Polling


@dataclass(frozen=True, slots=True)
class NewDevice:
    """A device that has just enrolled, and the token it reports with: shown this once."""

    device: Device
    token: str


@dataclass(frozen=True, slots=True)
class EnrolToken:
    """An enrolment token, without its secret."""

    id: int
    customer: str
    site: str
    kind: str
    expires_at: float
    uses_left: int
    revoked_at: float | None

    def state(self, now: float) -> str:
        """Return usable, used, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        if not self.uses_left:
            return "used"
        return "usable" if now < self.expires_at else "expired"


class Register:
    """The register in the database. Several processes may use it at once; constraints settle their races."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reads = reading(engine)  # somebody else may hold the one lock for writing for long

    @property
    def engine(self) -> Engine:
        """The database that it is in."""
        return self._engine

    def devices(self, *, retired: bool = False) -> list[Device]:
        """Return the devices, by customer, site and name; the retired ones only if asked for."""
        query = _devices().order_by(CustomerRow.slug, SiteRow.slug, DeviceRow.name)
        if not retired:
            query = query.where(DeviceRow.retired_at.is_(None))
        with Session(self._reads) as session:
            return [_device(*row) for row in session.execute(query)]

    def device_by_instance(self, instance: str) -> Device | None:
        """Return the live device of this `host.site.customer`."""
        return next((device for device in self.devices() if device.instance == instance), None)

    def facts(self) -> tuple[dict[int, topology.Device], list[topology.Site]]:
        """Return what correlation and priority know of each live device, by its number, and of each site."""
        with Session(self._reads) as session:
            rows = Rows.read(session)
            return rows.facts(), rows.site_facts()

    def parent(self, device: int) -> Parent | None:
        """Return what a live device hangs on and how that is known; None if nothing is known."""
        with Session(self._reads) as session:
            rows = Rows.read(session)
            row = rows.devices[device][0] if device in rows.devices else None
            if row is None or not rows.instance(row.parent_id):
                return None
            return Parent(rows.instance(row.parent_id), row.port, row.how, row.evidence, row.since)

    def links(self) -> dict[int, Link]:
        """Return what each live device hangs on, where that is known and in the register, by the device's number."""
        with Session(self._reads) as session:
            rows = session.scalars(select(DeviceRow).where(DeviceRow.retired_at.is_(None))).all()
            live = {row.id for row in rows}
            return {
                row.id: Link(row.parent_id, row.port, row.how, row.evidence, row.since)
                for row in rows
                if row.parent_id in live and row.parent_id is not None
            }

    def set_parent(
        self, device: int, parent: int | None, *, port: str = "", how: How = "manual", evidence: str = "", now: float
    ) -> bool:
        """Note what a device hangs on (None: on nothing); False if a person has said otherwise, which then holds.

        Raises:
            RegisterError: one of them is not in the register or of another customer, or it would go in a circle.
        """
        with Session(self._engine) as session, session.begin():
            return surroundings.set_parent(session, device, parent, port=port, how=how, evidence=evidence, now=now)

    def take_over(self, content: Book, now: float) -> None:
        """Bring what a file says into the register, whole or not at all; what it does not name stays.

        Raises:
            RegisterError: a name that is not valid, or parents that would go in a circle.
        """
        with _transaction(self._engine, "Somebody else has changed the register meanwhile; try again.") as session:
            surroundings.take_over(session, content, now)

    def polled(self) -> list[Polled]:
        """Return the live devices that have an address."""
        query = _devices().where(DeviceRow.retired_at.is_(None), DeviceRow.address != "").order_by(DeviceRow.id)
        with Session(self._reads) as session:
            return [
                Polled(_device(*row), row[0].address, msgspec.convert(row[0].polling, Polling))
                for row in session.execute(query)
            ]

    def networks(self) -> dict[tuple[str, str], list[str]]:
        """Return the networks of each (customer, site) that has some, in CIDR."""
        query = select(SiteRow, CustomerRow.slug).join(CustomerRow, SiteRow.customer_id == CustomerRow.id)
        with Session(self._reads) as session:
            return {(slug, row.slug): row.networks for row, slug in session.execute(query) if row.networks}

    def export(self) -> str:
        """Return the YAML file of all live devices and sites, as `take_over` takes it."""
        with Session(self._reads) as session:
            return book.dump(*Rows.read(session).forms())

    def fingerprint(self) -> int:
        """Return a number that is another one when customers, sites, devices or their tokens have changed.

        To read the rows as they are takes a tenth of the time that devices() and credentials() take.
        """
        tables = (CustomerRow, SiteRow, DeviceRow, DeviceTokenRow)
        with self._reads.connect() as connection:
            found = [connection.exec_driver_sql(f"SELECT * FROM {t.__tablename__}").fetchall() for t in tables]  # noqa: S608
        return hash(repr(found))

    def credentials(self) -> dict[str, Device]:
        """Return the live device behind each token that is not revoked, by the token's SHA-256 in hex."""
        query = (
            _devices()
            .add_columns(DeviceTokenRow.hash)
            .join(DeviceTokenRow, DeviceTokenRow.device_id == DeviceRow.id)
            .where(DeviceTokenRow.revoked_at.is_(None), DeviceRow.retired_at.is_(None))
        )
        with Session(self._reads) as session:
            return {row[-1]: _device(*row[:-1]) for row in session.execute(query)}

    def create_enrol_token(
        self, customer: str, site: str, *, now: float, life: float = 3600, uses: int = 1, kind: str = "", role: str = ""
    ) -> str:
        """Return the secret of a new enrolment token for a site, which is made if it is not there.

        Raises:
            RegisterError: a name or class that is not valid.
        """
        if kind and kind not in CLASSES:
            raise RegisterError(f"{kind!r} is no class of devices; there are {', '.join(CLASSES)}.")
        secret = secrets.token_urlsafe(32)
        with Session(self._engine) as session, session.begin():
            row = EnrolTokenRow(
                hash=digest(secret),
                site_id=made_site(session, customer, site).id,
                kind=kind,
                role=role,
                created_at=now,
                expires_at=now + life,
                uses_left=uses,
            )
            session.add(row)
        return secret

    def enrol_tokens(self) -> list[EnrolToken]:
        """Return all enrolment tokens, the newest first."""
        query = (
            select(EnrolTokenRow, SiteRow.slug, CustomerRow.slug)
            .join(SiteRow, EnrolTokenRow.site_id == SiteRow.id)
            .join(CustomerRow, SiteRow.customer_id == CustomerRow.id)
            .order_by(EnrolTokenRow.id.desc())
        )
        with Session(self._reads) as session:
            return [
                EnrolToken(row.id, customer, site, row.kind, row.expires_at, row.uses_left, row.revoked_at)
                for row, site, customer in session.execute(query)
            ]

    def revoke_enrol_token(self, token: int, now: float) -> None:
        """Make an enrolment token useless.

        Raises:
            RegisterError: there is none of this number, or it is revoked already.
        """
        with Session(self._engine) as session, session.begin():
            if not _changed(
                session, EnrolTokenRow, EnrolTokenRow.id == token, EnrolTokenRow.revoked_at.is_(None), revoked_at=now
            ):
                raise RegisterError(f"There is no enrolment token {token} that could be revoked.")

    def enrol(self, secret: str, hostname: str, *, os: str, kind: str, now: float) -> NewDevice:
        """Put a device into the register with one use of an enrolment token.

        Raises:
            PermissionError: the token is unknown, expired, used up or revoked; which of them is not told.
            RegisterError: a live device of this name is there already; the token keeps its use.
        """
        token = "wdd_" + secrets.token_urlsafe(32)
        with _transaction(
            self._engine, f"A device named {slug(hostname)} is enrolled at this site already."
        ) as session:
            usable = (
                EnrolTokenRow.hash == digest(secret),
                EnrolTokenRow.uses_left > 0,
                EnrolTokenRow.expires_at > now,
                EnrolTokenRow.revoked_at.is_(None),
            )
            if not _changed(session, EnrolTokenRow, *usable, uses_left=EnrolTokenRow.uses_left - 1):
                raise PermissionError("This enrolment token is not valid, or no longer.")
            grant = session.scalars(select(EnrolTokenRow).where(EnrolTokenRow.hash == digest(secret))).one()
            row = DeviceRow(
                site_id=grant.site_id,
                name=slug(hostname),
                kind=grant.kind or (kind if kind in CLASSES else "server"),
                role=grant.role,
                os=os,
                enrolled_at=now,
            )
            session.add(row)
            session.flush()
            session.add(DeviceTokenRow(hash=digest(token), device_id=row.id, created_at=now))
            device = _device(*session.execute(_devices().where(DeviceRow.id == row.id)).one())
        return NewDevice(device, token)

    def own_device(self, customer: str, site: str, name: str, now: float) -> int:
        """Return the id of the device that stands for Watchdesk itself; it is made where there is none."""
        found = self.device_by_instance(f"{name}.{site}.{customer}")
        if found is not None:
            return found.id
        with _transaction(self._engine, "Another process makes Watchdesk's own device; try again.") as session:
            place = made_site(session, customer, site).id
            row = DeviceRow(site_id=place, name=name, kind="server", role=OWN, enrolled_at=now, origin=OWN)
            session.add(row)
            session.flush()
            return row.id

    def retire(self, device: int, now: float) -> None:
        """Take a device out of the register and revoke its tokens; again has no effect."""
        with Session(self._engine) as session, session.begin():
            _changed(session, DeviceRow, DeviceRow.id == device, DeviceRow.retired_at.is_(None), retired_at=now)
            _changed(
                session,
                DeviceTokenRow,
                DeviceTokenRow.device_id == device,
                DeviceTokenRow.revoked_at.is_(None),
                revoked_at=now,
            )


def digest(secret: str) -> str:
    """Return what is stored of a token: a random token of 256 bits needs no salt and no stretching."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _devices() -> Select[DeviceRow, str, str]:
    return (
        select(DeviceRow, SiteRow.slug, CustomerRow.slug)
        .join(SiteRow, DeviceRow.site_id == SiteRow.id)
        .join(CustomerRow, SiteRow.customer_id == CustomerRow.id)
    )


def _device(row: DeviceRow, site: str, customer: str) -> Device:
    return Device(
        row.id,
        customer,
        site,
        row.name,
        row.kind,
        row.role,
        row.os,
        row.enrolled_at,
        row.retired_at,
        row.origin,
        row.address,
    )


def _changed(session: Session, table: type, *where: ColumnElement[bool], **values: object) -> bool:
    """Update the rows that are as `where` says, in one statement; whether there was one."""
    result = session.execute(update(table).where(*where).values(**values).execution_options(synchronize_session=False))
    return bool(getattr(result, "rowcount", 0))


@contextmanager
def _transaction(engine: Engine, conflict: str) -> Iterator[Session]:
    """Give a session whose commit turns a broken constraint into a RegisterError with these words."""
    try:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session
    except IntegrityError as error:
        raise RegisterError(conflict) from error
