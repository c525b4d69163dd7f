"""What a customer lets be asked: it can only take away from what the machines' own policies allow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from ticketing.models import ConsentRow

_TABLE: Final = ConsentRow.metadata.tables["diagnosis_consent"]


@dataclass(frozen=True, slots=True)
class Consent:
    """The privacy classes that are never asked for, and whether the customer's own people see what was found."""

    never: frozenset[str] = field(default_factory=frozenset)
    shown: bool = True


def consent_of(connection: Connection, customer: str) -> Consent:
    """Return a customer's setting, or what holds without one."""
    row = connection.execute(select(_TABLE).where(_TABLE.c.customer == customer)).one_or_none()
    return Consent() if row is None else Consent(frozenset(row.never), row.shown)


def write_consent(connection: Connection, customer: str, consent: Consent) -> None:
    """Let a setting hold."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    values = {"never": sorted(consent.never), "shown": consent.shown}
    placed = insert(_TABLE).values(customer=customer, **values)
    connection.execute(placed.on_conflict_do_update(index_elements=["customer"], set_=values))
