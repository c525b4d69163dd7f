"""Credentials of customers and sites: encrypted at rest with a key in the data folder, never logged, never shown."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import Engine, delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from collector.register.models import CustomerRow, SiteRow
from collector.register.sites import made_site
from collector.snmp.credential import VERSIONS, Credential
from collector.snmp.errors import CredentialError
from collector.snmp.models import CredentialRow, PolledRow
from collector.snmp.usm import User

KEY_FILE = "snmp.key"


class Vault:
    """The credentials in the database, and the key that opens them."""

    def __init__(self, engine: Engine, data: Path) -> None:
        """The key is made where there is none.

        Raises:
            CredentialError: the key file cannot be read or written, or holds no key.
        """
        self._engine = engine
        self._fernet = _key(data / KEY_FILE)

    def add(self, name: str, customer: str, site: str, version: str, secret: bytes | User, *, now: float) -> None:
        """Keep a credential; customer and site are made where they are not there.

        Raises:
            CredentialError: it cannot be used, or there is one of this name.
        """
        if version not in VERSIONS or isinstance(secret, User) != (version == "3"):
            raise CredentialError(f"There is no SNMP {version} with this; there are {', '.join(VERSIONS)}.")
        if isinstance(secret, User):
            secret.check()
        elif not 0 < len(secret) <= 255:
            raise CredentialError("A community has 1 to 255 characters.")
        content = secret._asdict() if isinstance(secret, User) else {"community": secret}
        try:
            with Session(self._engine) as session, session.begin():
                place = made_site(session, customer, site or "all")
                session.add(
                    CredentialRow(
                        customer_id=place.customer_id,
                        site_id=place.id if site else None,
                        name=name,
                        version=version,
                        sealed=self._fernet.encrypt(msgspec.json.encode(content)),
                        created_at=now,
                    )
                )
        except IntegrityError as error:
            raise CredentialError(f"{customer} has a credential named {name} already.") from error

    def remove(self, name: str, customer: str) -> None:
        """Forget a credential; devices that used it look for another.

        Raises:
            CredentialError: there is none of this name.
        """
        with Session(self._engine) as session, session.begin():
            found = session.scalar(
                select(CredentialRow)
                .join(CustomerRow, CredentialRow.customer_id == CustomerRow.id)
                .where(CustomerRow.slug == customer, CredentialRow.name == name)
            )
            if found is None:
                raise CredentialError(f"{customer} has no credential named {name}.")
            for row in session.scalars(select(PolledRow).where(PolledRow.credential_id == found.id)):
                row.credential_id = None
            session.execute(delete(CredentialRow).where(CredentialRow.id == found.id))

    def all(self) -> list[Credential]:
        """Return all credentials, in the order in which they were added.

        Raises:
            CredentialError: the key is not the one that they were encrypted with.
        """
        query = (
            select(CredentialRow, CustomerRow.slug, SiteRow.slug)
            .join(CustomerRow, CredentialRow.customer_id == CustomerRow.id)
            .outerjoin(SiteRow, CredentialRow.site_id == SiteRow.id)
            .order_by(CredentialRow.id)
        )
        with Session(self._engine) as session:
            return [
                Credential(row.id, row.name, customer, site or "", row.version, self._opened(row))
                for row, customer, site in session.execute(query)
            ]

    def _opened(self, row: CredentialRow) -> bytes | User:
        try:
            content: dict[str, Any] = msgspec.json.decode(self._fernet.decrypt(row.sealed))
        except InvalidToken as error:
            raise CredentialError(
                f"The credential {row.name} was encrypted with another key; restore {KEY_FILE} from a backup."
            ) from error
        if row.version == "3":
            return User(**content)
        return msgspec.convert(content["community"], bytes)


def _key(path: Path) -> Fernet:
    try:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return Fernet(path.read_bytes().strip())
        key = Fernet.generate_key()
        with os.fdopen(handle, "wb") as file:
            file.write(key + b"\n")
        return Fernet(key)
    except (OSError, ValueError) as error:
        raise CredentialError(f"{path} holds no key: {error}.") from error
