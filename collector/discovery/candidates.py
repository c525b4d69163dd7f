"""Machines that were seen on a customer's networks and are not in the register: kept until somebody decides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final

from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from collector.errors import RegisterError
from collector.register.models import CustomerRow, SiteRow
from collector.snmp.models import CandidateRow

STATES: Final = ("new", "approved", "denied", "ignored")
MOST: Final = 4_096  # of a site: a flood of made-up addresses is not kept


@dataclass(frozen=True, slots=True)
class Candidate:
    """A machine that is not in the register; `where` is the device and port that saw it."""

    id: int
    customer: str
    site: str
    mac: str
    address: str
    where: str
    state: str
    first_seen: float
    last_seen: float


def inside(address: str, networks: Iterable[str]) -> bool:
    """Whether an IP address lies in one of these networks."""
    found = ip_address(address)
    return any(found in ip_network(network) for network in networks)


class Candidates:
    """The candidates in the database; a constraint keeps one row for each machine of a site."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def seen(self, customer: str, site: str, mac: str, address: str, where: str, now: float) -> bool:
        """Note that a machine was seen; whether it is the first time."""
        with Session(self._engine) as session:
            place = session.scalar(
                select(SiteRow.id)
                .join(CustomerRow, SiteRow.customer_id == CustomerRow.id)
                .where(CustomerRow.slug == customer, SiteRow.slug == site)
            )
            if place is None:
                return False
            row = session.scalar(select(CandidateRow).where(CandidateRow.site_id == place, CandidateRow.key == mac))
            if row is not None:
                row.last_seen, row.address, row.facts = now, address, {"where": where}
                session.commit()
                return False
            known = session.scalars(select(CandidateRow.id).where(CandidateRow.site_id == place).limit(MOST)).all()
            if len(known) >= MOST:
                return False
            session.add(
                CandidateRow(
                    site_id=place, key=mac, address=address, facts={"where": where}, first_seen=now, last_seen=now
                )
            )
            try:
                session.commit()
            except IntegrityError:  # another process was first
                return False
            return True

    def all(self) -> list[Candidate]:
        """Return all candidates, by site and address."""
        query = (
            select(CandidateRow, CustomerRow.slug, SiteRow.slug)
            .join(SiteRow, CandidateRow.site_id == SiteRow.id)
            .join(CustomerRow, SiteRow.customer_id == CustomerRow.id)
            .order_by(CustomerRow.slug, SiteRow.slug, CandidateRow.address)
        )
        with Session(self._engine) as session:
            return [
                Candidate(
                    row.id,
                    customer,
                    site,
                    row.key,
                    row.address,
                    str(row.facts.get("where", "")),
                    row.state,
                    row.first_seen,
                    row.last_seen,
                )
                for row, customer, site in session.execute(query)
            ]

    def decide(self, number: int, state: str) -> Candidate:
        """Note what somebody decided.

        Raises:
            RegisterError: there is no such candidate.
        """
        with Session(self._engine) as session, session.begin():
            row = session.get(CandidateRow, number)
            if row is None:
                raise RegisterError(f"There is no candidate {number}.")
            row.state = state
        return next(one for one in self.all() if one.id == number)
