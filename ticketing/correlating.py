"""Finds which incidents of a batch belong under others, and which come out from under them, in its transaction.

What matters to the incidents that changed is read as marks; `scene.py` and `groups.py` say what follows; the cases of
the batch carry it out. A move that another one follows from is made in the same batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Select, func, select

from ticketing import bulk, groups
from ticketing.alert import Alert
from ticketing.decide import Action, Decision, Policy, Reason, verdict_at
from ticketing.fold import Case
from ticketing.incident import Hold, Incident, Kind, State
from ticketing.key import key
from ticketing.life import working_state
from ticketing.marks import Marks
from ticketing.meaning import DEPENDS_ON
from ticketing.priority import priority
from ticketing.rows import INCIDENTS
from ticketing.scene import Bond, Mark, Scene, mark_of
from ticketing.surroundings import Surroundings

_MADE: Final = frozenset({Kind.GROUP, Kind.RACK})
_POWERED: Final = frozenset({Kind.POWER, Kind.RACK, Kind.SITE})  # after which machines start anew
_ROUNDS: Final = 6
_ENOUGH_BACK: Final = 0.5  # of its members: then a site or rack is back, and what is left stands for itself

Load = Callable[[Select[Any]], list[Case]]


@dataclass(slots=True)
class Correlation:
    """One look at the incidents of a customer that a batch has changed; `cases` grows by those that are moved."""

    connection: Connection
    customer: str
    cases: list[Case]
    around: Surroundings
    policy: Policy
    now: float
    load: Load  # cases of a query, locked
    take: Callable[[Alert], Case]  # an alert that correlation itself raises
    _by_id: dict[int, Case] = field(default_factory=dict)
    _keys: set[str] = field(default_factory=set)
    _fresh: set[int] = field(default_factory=set)
    _scene: Scene = field(init=False)
    _marks: Marks = field(init=False)

    def run(self) -> None:
        """Move what belongs elsewhere now."""
        fresh = [case for case in self.cases if self._is_fresh(case)]
        if not fresh:
            return
        self._by_id = {case.incident.id: case for case in self.cases if case.incident is not None}
        self._keys = {case.key for case in self.cases}
        self._fresh = {case.incident.id for case in fresh if case.incident is not None}
        self._scene = Scene(self.around.topology, self.policy)
        self._marks = Marks(self.connection, self.customer, self.around, self.policy, self.now, self._scene)
        self._scene.put(mark_of(case.incident) for case in self.cases if case.incident is not None)
        self._marks.read([self._scene.marks[number] for number in sorted(self._fresh)])
        for _ in range(_ROUNDS):
            moved = self._bind()
            if not self._gather() and not moved:
                break
        self._take_over()
        self._end_made()
        self._let_go()
        self._give_verdicts()
        self._raise()

    def _is_fresh(self, case: Case) -> bool:
        """Tell whether others may have to do with what became of an incident."""
        incident, stored = case.incident, case.stored
        if incident is None or (incident is stored and self._due(incident) is None):
            return False
        if stored is None or stored.id != incident.id or self._due(incident) is not None:
            return True
        return (incident.state, incident.parent, incident.hold, incident.priority) != (
            *(stored.state, stored.parent, stored.hold),
            stored.priority,
        )

    def _due(self, incident: Incident) -> float | None:
        at = verdict_at(incident, self.policy)
        return at if at is not None and at <= self.now else None

    # Who belongs under whom.

    def _bind(self) -> bool:
        """Put every mark that may be moved under what it belongs to; whether any was."""
        moved = False
        for mark in sorted(self._scene.marks.values(), key=lambda mark: mark.id):
            if not self._is_movable(mark):
                continue
            bond = self._scene.above(mark)
            if bond is not None and (mark.parent != bond.parent.id or mark.hold is not Hold.PARENT):
                moved = self._suppress(mark, bond) or moved
        return moved

    def _is_movable(self, mark: Mark) -> bool:
        if not mark.standing or mark.touched or mark.placed:
            return False
        if mark.parent is None:
            recent = mark.opened_at >= self.now - self.policy.together or mark.id in self._fresh
            return recent or bool(mark.depends) or mark.kind is Kind.GROUP
        due = mark.hold_until is not None and mark.hold_until <= self.now
        return mark.hold is Hold.AFTER_PARENT and (due or self._is_back_down(mark))

    def _is_back_down(self, mark: Mark) -> bool:
        parent = self._scene.marks.get(mark.parent or 0)
        return parent is not None and parent.standing

    def _suppress(self, mark: Mark, bond: Bond) -> bool:
        case = self._case(mark.id)
        if case is None or case.incident is None or case.incident.worked_on:
            return False
        if case.incident.hold in {Hold.MAINTENANCE, Hold.SILENCE}:
            return False  # it waits for the end of that first
        news: dict[str, Any] = {"state": State.SUPPRESSED, "parent": bond.parent.id, "hold": Hold.PARENT}
        news["hold_until"] = None
        if bond.reason is Reason.AFTERMATH_OF and not bond.parent.standing:
            news |= {"hold": Hold.AFTER_PARENT, "hold_until": self.now + self.policy.aftermath}
        self._place(case, Decision(Action.SUPPRESS, bond.reason), self.now, news, _because(bond))
        return True

    def _take_over(self) -> None:
        """Put what ended in this very batch under what its rule says takes it over, such as a full disk."""
        for number in sorted(self._fresh):
            mark = self._scene.marks[number]
            if mark.state is not State.RESOLVED or mark.parent is not None or mark.placed or not mark.depends:
                continue
            bond, case = self._scene.above(mark), self._case(number)
            if bond is not None and bond.reason is Reason.DEPENDS_ON and case is not None:
                news = {"parent": bond.parent.id}
                self._place(case, Decision(Action.SUPPRESS, bond.reason), self.now, news, _because(bond))

    # Faults of many devices at once.

    def _gather(self) -> bool:
        """Raise the alerts of sites, racks and groups; whether there is a new one."""
        fresh = [self._scene.marks[number] for number in sorted(self._fresh)]
        opened = False
        for alert in groups.found(self._scene, fresh, self.now):
            case = self._case_of(alert)
            before = case.incident
            case = self.take(alert)
            self._keep(case)
            if case.incident is not None and (before is None or not mark_of(before).standing):
                self._fresh.add(case.incident.id)
                self._marks.put(self._marks.free() & (INCIDENTS.c.alertname == case.incident.alertname))
                opened = True
        return opened

    def _case_of(self, alert: Alert) -> Case:
        wanted = key(alert)
        return next((case for case in self.cases if case.key == wanted), Case(alert.customer, wanted))

    def _end_made(self) -> None:
        """Tell sites, racks and groups how many of their members are left, and that they are over."""
        parents = {self._scene.marks[number].parent for number in self._fresh}
        ids = sorted(number for number in parents if number is not None)
        if any(number not in self._scene.marks for number in ids):
            self._marks.put(INCIDENTS.c.id.in_(ids))
        for number in ids:
            mark = self._scene.marks.get(number)
            if mark is None or not mark.standing or not _is_made(mark):
                continue
            left, total = self._members(mark)
            over = left == 0 or (mark.kind is not Kind.GROUP and left <= total * _ENOUGH_BACK)
            case = self._case(number)
            if case is None or case.incident is None or (not over and case.incident.value == float(left)):
                continue
            self._keep(self.take(_told(case.incident, left, self.now, "resolved" if over else "firing")))
            self._fresh.add(number)

    def _members(self, parent: Mark) -> tuple[int, int]:
        """Return how many members a parent has left, and had in this stretch, with what the batch holds in memory."""
        mine = (INCIDENTS.c.parent == parent.id) & (INCIDENTS.c.customer == self.customer)
        unresolved = INCIDENTS.c.resolved_at.is_(None)
        since = unresolved | (INCIDENTS.c.resolved_at >= parent.active_at)
        counts = select(func.count(), func.count().filter(unresolved)).where(mine & since)
        total, left = self.connection.execute(counts).one()
        for case in self._by_id.values():
            for incident, sign in ((case.stored, -1), (case.incident, 1)):
                if incident is not None and incident.parent == parent.id:
                    total += sign
                    left += sign * incident.unresolved
        return left, total

    # Out from under.

    def _let_go(self) -> None:
        """Give the children of what is over a while to recover; take those back whose parent is down again."""
        changed = [self._scene.marks[number] for number in sorted(self._fresh)]
        over = [mark.id for mark in changed if not mark.standing]
        back = [mark.id for mark in changed if mark.standing and not mark.parent]
        self._load_members(over, Hold.PARENT)
        self._load_members(back, Hold.AFTER_PARENT)
        for case in list(self._by_id.values()):
            incident = case.incident
            if incident is None or incident.state is not State.SUPPRESSED or incident.parent is None:
                continue
            if incident.hold is Hold.PARENT and incident.parent in over:
                news = {"hold": Hold.AFTER_PARENT, "hold_until": self.now + self._grace(incident, incident.parent)}
                decision = Decision(Action.SUPPRESS, Reason.PARENT_OVER, quiet=True)
                self._place(case, decision, self.now, news)

    def _grace(self, child: Incident, parent: int) -> float:
        """Return how long a child has to recover after its parent: machines that had no power have to start."""
        if child.kind is not Kind.UNREACHABLE:
            return self.policy.dependent_grace if child.annotations.get(DEPENDS_ON) else self.policy.grace
        above = self._scene.marks.get(parent)
        starts = above is not None and (above.kind in _POWERED or above.klass == "server")
        return self.policy.dependent_grace if starts else self.policy.grace

    def _load_members(self, parents: Sequence[int], hold: Hold) -> None:
        if not parents:
            return
        mine = bulk.among(self.connection, INCIDENTS.c.parent, parents) & INCIDENTS.c.resolved_at.is_(None)
        mine &= (INCIDENTS.c.hold == hold.value) & (INCIDENTS.c.customer == self.customer)
        ids = list(self.connection.scalars(select(INCIDENTS.c.id).where(mine)))
        unknown = [number for number in ids if number not in self._by_id]
        if unknown:
            query = select(INCIDENTS).where(bulk.among(self.connection, INCIDENTS.c.id, unknown))
            for case in self.load(query):
                self._keep(case)

    def _give_verdicts(self) -> None:
        """Open what waited and belongs under nothing, at the moment until which it waited."""
        for number in sorted(self._by_id):
            case = self._by_id[number]
            incident = case.incident
            while incident is not None and (at := self._due(incident)) is not None:
                self._give_verdict(case, incident, at)
                if case.incident is incident:
                    break
                incident = case.incident

    def _give_verdict(self, case: Case, incident: Incident, at: float) -> None:
        quiet = self.around.quiet(
            incident.customer,
            incident.site,
            incident.device,
            incident.alertname,
            dict(incident.labels),
            incident.key,
            at,
        )
        if quiet is not None and quiet.until > at:
            news = {"hold": quiet.hold, "hold_until": quiet.until}
            self._place(case, Decision(Action.SUPPRESS, quiet.reason, quiet=True), at, news)
            return
        if incident.hold is Hold.MAINTENANCE and incident.kind is Kind.AFTERMATH:
            decision = Decision(Action.SUPPRESS, Reason.MAINTENANCE, quiet=True)
            self._place(case, decision, at, {"hold_until": None})  # what was done there is no news afterwards
            return
        bond = None if incident.placed_by is not None else self._scene.above(mark_of(incident))
        if bond is not None and bond.reason is not Reason.AFTERMATH_OF:
            news = {"hold": Hold.PARENT, "hold_until": None, "parent": bond.parent.id}
            self._place(case, Decision(Action.SUPPRESS, bond.reason), at, news, _because(bond))
            return
        news = {"hold": None, "hold_until": None, "hidden_since": None, "parent": None}
        news |= {"state": working_state(incident), "placed_by": None}
        if incident.hidden_since is not None or incident.acknowledged_at is None:
            news["opened_at"] = at
        self._place(case, Decision(Action.RELEASE, _RELEASED[incident.hold or Hold.VERDICT]), at, news)

    def _raise(self) -> None:
        """Give parents at least the priority of their worst members."""
        worst: dict[int, int] = {}
        for number in sorted(self._fresh | set(self._by_id)):
            mark = self._scene.marks.get(number)
            if mark is not None and mark.standing and mark.parent is not None and mark.hold is Hold.PARENT:
                worst[mark.parent] = min(mark.priority, worst.get(mark.parent, mark.priority))
        for number, most in sorted(worst.items()):
            parent = self._scene.marks.get(number)
            if parent is not None and most >= parent.priority:
                continue
            case = self._case(number)
            if case is None or case.incident is None or most >= case.incident.priority:
                continue
            haste = priority(case.incident.impact, case.incident.urgency)
            news: dict[str, Any] = {"worst_member": most, "priority": min(most, haste)}
            if case.incident.state is State.ACKNOWLEDGED:
                news |= {"state": State.OPEN, "acknowledged_at": None, "acknowledged_by": None}
            self._place(case, Decision(Action.RAISE, Reason.MEMBERS), self.now, news)

    # Marks and cases.

    def _place(self, case: Case, decision: Decision, at: float, news: Mapping[str, Any], because: str = "") -> None:
        case.place(decision, at, news, because)
        self._keep(case)

    def _keep(self, case: Case) -> None:
        if case.incident is None:
            return
        if case.incident.id not in self._by_id and case.key not in self._keys:
            self.cases.append(case)
            self._keys.add(case.key)
        self._by_id[case.incident.id] = case
        self._scene.put([mark_of(case.incident)])

    def _case(self, number: int) -> Case | None:
        """Return the case of an incident, loaded if the batch has not had it yet; None if it has gone."""
        if number not in self._by_id:
            for case in self.load(select(INCIDENTS).where(INCIDENTS.c.id == number)):
                self._keep(case)
        return self._by_id.get(number)


_RELEASED: Final = {
    Hold.VERDICT: Reason.NO_PARENT_DOWN,
    Hold.PARENT: Reason.STILL_BROKEN,
    Hold.AFTER_PARENT: Reason.STILL_BROKEN,
    Hold.MAINTENANCE: Reason.MAINTENANCE_OVER,
    Hold.SILENCE: Reason.SILENCE_OVER,
}


def _is_made(mark: Mark) -> bool:
    """Tell whether an incident is nothing but its members."""
    return mark.kind in _MADE or (mark.kind is Kind.SITE and mark.device == "")


def _because(bond: Bond) -> str:
    parent = bond.parent
    where = ".".join(part for part in (parent.device, parent.site, parent.customer) if part)
    return f"INC-{parent.id} {parent.alertname} {where}"


def _told(incident: Incident, left: int, now: float, state: str) -> Alert:
    """Return the alert by which an incident that is nothing but its members hears how many are left."""
    feed = next(iter(incident.alerts.values()))
    return Alert(
        customer=incident.customer,
        site=incident.site,
        device=incident.device,
        name=incident.alertname,
        severity=feed.severity.value,
        labels=incident.labels,
        annotations=incident.annotations,
        state="firing" if state == "firing" else "resolved",
        value=float(left),
        at=now,
        active_at=incident.active_at,
        fingerprint=feed.fingerprint,
    )
