"""Machines that were seen on customers' networks: those in the register, and those about which somebody has to decide.

A row for each machine of a site, by its MAC address (its IP address where that is not seen); a constraint keeps it one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any, Final, NamedTuple

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from collector.errors import RegisterError
from collector.register.models import CustomerRow, SiteRow
from collector.snmp.models import CandidateRow

STATES: Final = ("new", "approved", "denied", "ignored")
LISTED: Final = "listed"  # the state of a machine that is in the register
MOST: Final = 4_096  # of a site: a flood of made-up addresses is not kept
MOST_ADDRESSES: Final = 16  # of a machine
PRESENT_SECONDS: Final = 900.0

Place = tuple[str, str]  # customer, site


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
    maker: str = ""
    names: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()  # TCP, open


class Sight(NamedTuple):
    """A machine as it was seen: `device` is its number in the register, None if it is not there."""

    place: Place
    mac: str
    address: str
    where: str
    names: tuple[str, ...] = ()
    device: int | None = None

    @property
    def key(self) -> str:
        """What tells the machine from others of its site."""
        return self.mac or self.address


class Noted(NamedTuple):
    """What was known of a machine before it was seen now."""

    id: int
    state: str  # now
    addresses: tuple[str, ...]  # before
    device: int | None  # before
    reported: bool
    last_seen: float | None  # None: it is the first time


def inside(address: str, networks: Iterable[str]) -> bool:
    """Whether an IP address lies in one of these networks."""
    found = ip_address(address)
    return any(found in ip_network(network) for network in networks)


class Candidates:
    """The table of machines."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def note(self, sights: Iterable[Sight], now: float) -> list[Noted | None]:
        """Note what was seen, in one transaction; None for what is not kept, as its site is full or gone.

        Raises:
            sqlalchemy.exc.IntegrityError: another process was first with one of them; nothing was noted.
        """
        with Session(self._engine) as session, session.begin():
            query = select(SiteRow.id, CustomerRow.slug, SiteRow.slug).join(CustomerRow)
            sites = {(customer, site): number for number, customer, site in session.execute(query)}
            known: dict[Place, dict[str, CandidateRow]] = {}
            found: list[tuple[CandidateRow, Noted] | None] = []
            for sight in sights:
                number = sites.get(sight.place)
                if number is None:
                    found.append(None)
                    continue
                if sight.place not in known:
                    rows = session.scalars(select(CandidateRow).where(CandidateRow.site_id == number))
                    known[sight.place] = {row.key: row for row in rows}
                found.append(_note(session, known[sight.place], number, sight, now))
            session.flush()
            return [one and one[1]._replace(id=one[0].id) for one in found]

    def learn(self, number: int, facts: Mapping[str, Any], now: float) -> None:
        """Note more of a machine, and that it was reported."""
        with Session(self._engine) as session, session.begin():
            row = session.get(CandidateRow, number)
            if row is not None:
                row.facts = {**row.facts, **facts}
                row.reported_at = now

    def all(self) -> list[Candidate]:
        """Return all machines that are not in the register, by site and address."""
        query = (
            select(CandidateRow, CustomerRow.slug, SiteRow.slug)
            .join(SiteRow, CandidateRow.site_id == SiteRow.id)
            .join(CustomerRow, SiteRow.customer_id == CustomerRow.id)
            .where(CandidateRow.state != LISTED)
            .order_by(CustomerRow.slug, SiteRow.slug, CandidateRow.address)
        )
        with Session(self._engine) as session:
            return [_candidate(row, customer, site) for row, customer, site in session.execute(query)]

    def listed(self) -> dict[int, dict[str, list[str]]]:
        """Return MAC → addresses, the last at the end, of the machines in the register, by their devices' numbers."""
        found: dict[int, dict[str, list[str]]] = {}
        with Session(self._engine) as session:
            for row in session.scalars(select(CandidateRow).where(CandidateRow.state == LISTED)):
                if isinstance(number := row.facts.get("device"), int):
                    found.setdefault(number, {})[row.key] = list(row.facts.get("addresses", ()))
        return found

    def waiting(self, now: float) -> Counter[tuple[str, str]]:
        """Return how many machines of each (site.customer, state) matter: new ones, and denied ones that are there."""
        counts: Counter[tuple[str, str]] = Counter()
        for one in self.all():
            if one.state == "new" or (one.state == "denied" and now - one.last_seen < PRESENT_SECONDS):
                counts[f"{one.site}.{one.customer}", one.state] += 1
        return counts

    def decide(self, number: int, state: str) -> Candidate:
        """Note what somebody decided.

        Raises:
            RegisterError: there is no such candidate.
        """
        found = next((one for one in self.all() if one.id == number), None)
        if found is None:
            raise RegisterError(f"There is no candidate {number}.")
        with Session(self._engine) as session, session.begin():
            row = session.get_one(CandidateRow, number)
            row.state = state
            return _candidate(row, found.customer, found.site)


def _note(
    session: Session, known: dict[str, CandidateRow], site: int, sight: Sight, now: float
) -> tuple[CandidateRow, Noted] | None:
    row = known.get(sight.key)
    if row is None:
        if len(known) >= MOST:
            return None
        row = known[sight.key] = CandidateRow(
            site_id=site, key=sight.key, address=sight.address, facts={}, first_seen=now, last_seen=now, state="new"
        )
        session.add(row)
        last_seen = None
    else:
        last_seen = row.last_seen
    before = tuple(row.facts.get("addresses", [row.address] if last_seen is not None else []))
    device = row.facts.get("device")
    if sight.device is not None and row.state != "approved":
        row.state = LISTED
    elif sight.device is None and row.state == LISTED:
        row.state, row.reported_at = "new", None
    names = [*dict.fromkeys((*row.facts.get("names", ()), *sight.names))][-MOST_ADDRESSES:]
    addresses = [*(one for one in before if one != sight.address), sight.address][-MOST_ADDRESSES:]
    facts = {**row.facts, "names": names, "addresses": addresses, "where": sight.where or row.facts.get("where", "")}
    row.facts = {**facts, "device": sight.device}
    row.last_seen = now
    if ":" not in sight.address or ":" in row.address:  # of both kinds the shorter one is shown
        row.address = sight.address
    return row, Noted(0, row.state, before, device, row.reported_at is not None, last_seen)


def _candidate(row: CandidateRow, customer: str, site: str) -> Candidate:
    facts = row.facts
    return Candidate(
        row.id,
        customer,
        site,
        row.key if ":" in row.key and "." not in row.key and len(row.key) == 17 else "",
        row.address,
        str(facts.get("where", "")),
        row.state,
        row.first_seen,
        row.last_seen,
        str(facts.get("maker", "")),
        tuple(facts.get("names", ())),
        tuple(facts.get("ports", ())),
    )
