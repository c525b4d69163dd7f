"""What one look at a customer's incidents has to know of the others: their marks, as they are in the database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, func, select

from ticketing import bulk
from ticketing.decide import Policy
from ticketing.incident import Hold, Kind, Severity, State
from ticketing.meaning import depends_on, runs_on, topic
from ticketing.rows import INCIDENTS
from ticketing.scene import Mark, Scene
from ticketing.surroundings import Surroundings

_WIDE: Final = (Kind.SITE, Kind.INTERNET, Kind.POWER, Kind.GROUP, Kind.RACK)
_DEVICES: Final = 100  # with the same fault: so many tell enough
_MANY: Final = 5_000  # marks that one look reads at most
_READ: Final = (
    *("id", "key", "customer", "site", "device", "klass", "alertname", "kind", "about", "state", "severity"),
    *("priority", "parent", "hold", "hold_until", "active_at", "opened_at", "recovered_at", "placed_by"),
    *("flapping_since", "owner", "comments", "depends_on"),
)
_COLUMNS: Final = tuple(INCIDENTS.c[name] for name in _READ)


@dataclass(slots=True)
class Marks:
    """Reads into a scene what may have to do with the incidents that a batch has changed."""

    connection: Connection
    customer: str
    around: Surroundings
    policy: Policy
    now: float
    scene: Scene

    def read(self, fresh: Sequence[Mark]) -> None:
        """Read the marks that the fresh ones may have to do with."""
        open_ = (INCIDENTS.c.customer == self.customer) & INCIDENTS.c.resolved_at.is_(None)
        wide = open_ & INCIDENTS.c.kind.in_([kind.value for kind in _WIDE])
        self.put(wide)
        sites = sorted({mark.site for mark in fresh if mark.kind is not Kind.NONE and mark.kind is not Kind.COMING})
        if sites:
            here = INCIDENTS.c.site.in_(sites) & (INCIDENTS.c.kind == Kind.UNREACHABLE.value)
            self.put(open_ & here & (INCIDENTS.c.kind != ""))
        devices = sorted(self._neighbours(fresh))
        telling = (INCIDENTS.c.kind != "") | (INCIDENTS.c.depends_on != "")
        wanted = sorted(frozenset().union(*(mark.depends for mark in fresh)))
        names = sorted({mark.alertname for mark in fresh if runs_on(mark.alertname)})
        about = {found for mark in fresh if (found := topic(mark.alertname))}
        if about:
            here = open_ & bulk.among(self.connection, INCIDENTS.c.device, devices)
            known = self.connection.scalars(select(INCIDENTS.c.alertname).where(here).distinct())
            names += [name for name in known if topic(name) in about]
        wanted = sorted({*wanted, *names})
        if wanted:
            telling |= INCIDENTS.c.alertname.in_(wanted)
        self.put(open_ & bulk.among(self.connection, INCIDENTS.c.device, devices) & telling)
        self._read_alike(fresh)
        if any(mark.kind is Kind.AFTERMATH for mark in fresh):
            recent = INCIDENTS.c.resolved_at >= self.now - self.policy.aftermath - 600.0
            away = INCIDENTS.c.kind.in_([Kind.UNREACHABLE.value, Kind.SITE.value, Kind.POWER.value])
            self.put((INCIDENTS.c.customer == self.customer) & recent & away & (INCIDENTS.c.kind != ""))

    def free(self) -> ColumnElement[bool]:
        """Return the condition that an incident is unresolved and stands for itself."""
        mine = (INCIDENTS.c.customer == self.customer) & INCIDENTS.c.resolved_at.is_(None)
        return mine & INCIDENTS.c.parent.is_(None) & INCIDENTS.c.hidden_since.is_(None)

    def _read_alike(self, fresh: Sequence[Mark]) -> None:
        """Read one mark of each further device that has the same fault, and those who miss a device."""
        free = self.free()
        names = sorted({mark.alertname for mark in fresh if mark.standing})
        if names:
            since = min(mark.active_at for mark in fresh if mark.standing) - self.policy.together
            same = free & INCIDENTS.c.alertname.in_(names) & (INCIDENTS.c.active_at >= since)
            columns = (
                INCIDENTS.c.alertname,
                INCIDENTS.c.klass,
                INCIDENTS.c.about,
                INCIDENTS.c.site,
                INCIDENTS.c.device,
            )
            first = select(func.min(INCIDENTS.c.id)).where(same).group_by(*columns).limit(_DEVICES)
            self.put(INCIDENTS.c.id.in_(list(self.connection.scalars(first))))
        topology = self.around.topology
        targets = {found.instance for mark in fresh if mark.standing and (found := topology.find(mark.place))}
        if targets:
            self.put(free & bulk.among(self.connection, INCIDENTS.c.about, sorted(targets)))

    def _neighbours(self, fresh: Iterable[Mark]) -> set[str]:
        """Return the names of the devices that these may depend on, or that may depend on them."""
        topology = self.around.topology
        names: set[str] = set()
        for mark in fresh:
            names.add(mark.device)
            device = topology.find(mark.place)
            if device is not None and mark.kind is not Kind.NONE:
                names.update(above.name for above in topology.above(device))
                names.update(child.name for child in topology.on(device))
            if mark.about in topology.devices:
                names.add(topology.devices[mark.about].name)
        return names - {""}

    def put(self, wanted: ColumnElement[bool]) -> None:
        """Put the marks of further incidents of the customer into the scene."""
        known = self.scene.marks
        self.scene.put(mark for mark in self._marks(wanted) if mark.id not in known)

    def _marks(self, wanted: ColumnElement[bool]) -> list[Mark]:
        query = select(*_COLUMNS).where(wanted & (INCIDENTS.c.customer == self.customer))
        return [_mark(row) for row in self.connection.execute(query.order_by(INCIDENTS.c.id).limit(_MANY))]


def parents_of(connection: Connection, number: int) -> set[int]:
    """Return what an incident is under, directly or not."""
    found: set[int] = set()
    parent: int | None = number
    while (parent := connection.scalar(select(INCIDENTS.c.parent).where(INCIDENTS.c.id == parent))) is not None:
        if parent in found:
            break
        found.add(parent)
    return found


def _mark(row: Any) -> Mark:
    return Mark(
        id=row.id,
        key=row.key,
        customer=row.customer,
        site=row.site,
        device=row.device,
        klass=row.klass,
        alertname=row.alertname,
        kind=Kind(row.kind),
        about=row.about,
        state=State(row.state),
        severity=Severity(row.severity),
        priority=row.priority,
        parent=row.parent,
        hold=None if row.hold is None else Hold(row.hold),
        hold_until=row.hold_until,
        active_at=row.active_at,
        opened_at=row.opened_at,
        recovered_at=row.recovered_at,
        depends=depends_on(row.depends_on),
        touched=row.owner is not None or row.comments > 0 or row.state in {State.IN_PROGRESS, State.PENDING},
        placed=row.placed_by is not None,
        flapping=row.flapping_since is not None,
    )
