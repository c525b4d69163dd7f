"""Which fault is a part of which: pure, the same whatever order the alerts arrived in.

A scene holds the unresolved incidents of a customer that matter to each other, as marks. `Scene.above(mark)` names the
incident that a mark belongs under, and why; whoever has a new scene asks it for every mark that may be moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec

from ticketing.decide import Policy, Reason
from ticketing.incident import Hold, Incident, Kind, Severity, State
from ticketing.meaning import DEPENDS_ON, depends_on, fed_by, runs_on, topic
from ticketing.topology import Device, Place, Topology

_SITES: Final = frozenset({Kind.SITE, Kind.INTERNET})
_AWAY: Final = frozenset({Kind.UNREACHABLE, Kind.SITE})
_MADE: Final = frozenset({Kind.GROUP, Kind.RACK})  # incidents that are nothing but their members
SITE_DOWN: Final = "SiteDown"
_JOIN: Final = 4 * 3600.0  # seconds that a group of devices with the same fault takes in further ones


class Mark(msgspec.Struct, frozen=True, gc=False):
    """What correlation reads of an incident; a structure as the incident is, for a storm makes as many."""

    id: int
    key: str
    customer: str
    site: str
    device: str
    klass: str
    alertname: str
    kind: Kind
    about: str
    state: State
    severity: Severity
    priority: int
    parent: int | None
    hold: Hold | None
    hold_until: float | None
    active_at: float
    opened_at: float
    recovered_at: float | None
    depends: frozenset[str]
    touched: bool  # a person works on it
    placed: bool  # a person has said where it belongs
    flapping: bool

    @property
    def standing(self) -> bool:
        """Tell whether the fault is still there, or may be back at any moment."""
        return self.state not in {State.RECOVERED, State.RESOLVED, State.CLOSED}

    @property
    def place(self) -> Place:
        """Return where it is."""
        return Place(self.customer, self.site, self.device)

    @property
    def site_wide(self) -> bool:
        """Tell whether its rule makes one incident for a whole site."""
        return self.key.split("/", 3)[2] == "-"

    @property
    def identity(self) -> str:
        """Return which instance on the device it is about, "" if the device itself."""
        parts = self.key.split("/", 4)
        return parts[4] if len(parts) > 4 else ""


@dataclass(frozen=True, slots=True)
class Bond:
    """The incident that a mark belongs under, and why."""

    parent: Mark
    reason: Reason


def mark_of(incident: Incident) -> Mark:
    """Return what correlation reads of an incident."""
    return Mark(
        id=incident.id,
        key=incident.key,
        customer=incident.customer,
        site=incident.site,
        device=incident.device,
        klass=incident.klass,
        alertname=incident.alertname,
        kind=incident.kind,
        about=incident.about,
        state=incident.state,
        severity=incident.severity,
        priority=incident.priority,
        parent=incident.parent,
        hold=incident.hold,
        hold_until=incident.hold_until,
        active_at=incident.active_at,
        opened_at=incident.opened_at,
        recovered_at=incident.recovered_at,
        depends=depends_on(incident.annotations.get(DEPENDS_ON)),
        touched=incident.worked_on,
        placed=incident.placed_by is not None,
        flapping=incident.flapping_since is not None,
    )


@dataclass(slots=True)
class Scene:
    """The marks of one customer, by what they are looked for."""

    topology: Topology
    policy: Policy
    marks: dict[int, Mark] = field(default_factory=dict)
    _on: dict[Place, dict[int, None]] = field(default_factory=dict)  # ordered, so that the same log gives the same
    _wide: dict[int, None] = field(default_factory=dict)  # those that reach beyond their device

    def put(self, marks: Iterable[Mark]) -> None:
        """Add marks, or what is now known of them."""
        for mark in marks:
            self.marks[mark.id] = mark
            self._on.setdefault(mark.place, {})[mark.id] = None
            if mark.site_wide or mark.kind in _SITES | _MADE | {Kind.POWER}:
                self._wide[mark.id] = None

    def above(self, mark: Mark) -> Bond | None:
        """Return what a mark belongs under, None if it stands for itself."""
        if not self._wide and _is_plain(mark):
            return None
        for parent, reason in self._candidates(mark):
            there = parent.standing or reason is Reason.AFTERMATH_OF
            if parent.id != mark.id and there and not self._is_within(parent, mark):
                return Bond(parent, reason)
        return None

    def at(self, place: Place) -> Iterator[Mark]:
        """Yield the marks of a device, the oldest first."""
        return (self.marks[number] for number in sorted(self._on.get(place, ())))

    def _candidates(self, mark: Mark) -> Iterator[tuple[Mark, Reason]]:
        device = self.topology.find(mark.place)
        yield from self._depended_on(mark)
        if mark.kind in _AWAY | {Kind.INTERNET}:
            yield from self._same_device(mark)
        if mark.kind is Kind.UNREACHABLE:
            yield from self._ways_to(mark, device)
            yield from self._around(mark, device)
        if mark.kind in {Kind.SITE, Kind.RACK}:
            yield from self._power_and_line(mark)
        if mark.kind is Kind.PORT and device is not None:
            yield from self._beyond_port(mark, device)
        if mark.kind is Kind.INTERNET:
            yield from self._other_lines(mark)
        if mark.kind is Kind.AFTERMATH:
            yield from self._outages(mark)
        if mark.about and mark.kind in {Kind.NONE, Kind.GROUP, Kind.UNREACHABLE}:
            yield from self._missed(mark)
        if mark.kind not in _MADE | _SITES:
            yield from self._same_thing(mark)
            yield from self._same_moment(mark)
            yield from self._alike(mark)

    def _depended_on(self, mark: Mark) -> Iterator[tuple[Mark, Reason]]:
        if not mark.depends:
            return
        here = [other for other in self.at(mark.place) if other.alertname in mark.depends]
        for other in here:
            if not mark.identity or not other.identity or mark.identity == other.identity:
                yield other, Reason.DEPENDS_ON
        for other in self._widely(mark):
            if other.site_wide and other.alertname in mark.depends:
                yield other, Reason.DEPENDS_ON

    def _same_device(self, mark: Mark) -> Iterator[tuple[Mark, Reason]]:
        for other in self.at(mark.place):
            if other.kind in _AWAY and other.id < mark.id and self._together(mark, other):
                yield other, Reason.SAME_DEVICE

    def _ways_to(self, mark: Mark, device: Device | None) -> Iterator[tuple[Mark, Reason]]:
        """Yield what cuts a device off: its port, and whatever is dead on the way to it."""
        if device is None:
            return
        below = device
        for above in self.topology.above(device):
            for other in self.at(above.place):
                if other.kind in _AWAY and self._together(mark, other):
                    yield other, Reason.PARENT_DOWN
            for other in self.at(above.place):
                cut = other.kind is Kind.PORT and _same_port(other.about, below.port) and other.id < mark.id
                if cut and self._together(mark, other):
                    yield other, Reason.PORT_DOWN
            below = above

    def _around(self, mark: Mark, device: Device | None) -> Iterator[tuple[Mark, Reason]]:
        """Yield what takes many devices with it: a site, its line, its power, a rack."""
        for other in self._widely(mark):
            if not self._together(mark, other):
                continue
            if other.kind is Kind.SITE:
                yield other, Reason.SITE_DOWN
            elif other.kind is Kind.INTERNET:
                yield other, Reason.INTERNET_LOST
            elif other.kind is Kind.RACK and self._is_part(mark, device, other):
                yield other, Reason.RACK_DOWN
            elif other.kind is Kind.POWER and self._feeds(other, device):
                yield other, Reason.POWER_LOST

    def _power_and_line(self, mark: Mark) -> Iterator[tuple[Mark, Reason]]:
        """Yield what a whole site can be gone for."""
        for other in self._widely(mark):
            if other.kind is Kind.POWER and self._together(mark, other):
                yield other, Reason.POWER_LOST
            if other.kind is Kind.INTERNET and self._together(mark, other):
                yield other, Reason.INTERNET_LOST
            if other.kind is Kind.SITE and mark.kind is Kind.RACK and self._together(mark, other):
                yield other, Reason.SITE_DOWN

    def _beyond_port(self, mark: Mark, device: Device) -> Iterator[tuple[Mark, Reason]]:
        """Yield the death of what hangs on a port that has gone down."""
        for child in self.topology.on(device):
            if _same_port(mark.about, child.port):
                for other in self.at(child.place):
                    if other.kind in _AWAY and other.id < mark.id and self._together(mark, other):
                        yield other, Reason.PORT_DOWN

    def _other_lines(self, mark: Mark) -> Iterator[tuple[Mark, Reason]]:
        """Yield the line of the same site, or the peer behind it, that was lost at the same moment."""
        for other in self._widely(mark):
            at_once = abs(mark.active_at - other.active_at) <= self.policy.moment
            if other.kind is Kind.INTERNET and other.id < mark.id and at_once:
                yield other, Reason.INTERNET_LOST

    def _same_thing(self, mark: Mark) -> Iterator[tuple[Mark, Reason]]:
        """Yield what another rule, of another source perhaps, says of the same part of the same device."""
        for other in self.at(mark.place):
            older = other.id < mark.id and other.alertname != mark.alertname and mark.device != ""
            if older and self._together(mark, other) and _is_same(mark, other):
                yield other, Reason.SAME_THING

    def _same_moment(self, mark: Mark) -> Iterator[tuple[Mark, Reason]]:
        """Yield the one that stands for several of a device: ports at one moment, or many of its services."""
        port = mark.kind is Kind.PORT
        if not mark.device or not (port or runs_on(mark.alertname)):
            return
        within, enough = (self.policy.moment, 2) if port else (self.policy.together, self.policy.alike)
        alike = [other for other in self.at(mark.place) if self._is_like(other, mark, within)]
        if len(alike) < enough:
            return
        # One whose cause is known already, else the oldest.
        among = {None, *(other.id for other in alike)}
        first = min(alike, key=lambda other: (other.parent in among, other.id))
        if first.id < mark.id or first.parent not in among:
            yield first, Reason.SAME_MOMENT

    def _is_like(self, other: Mark, mark: Mark, within: float) -> bool:
        near = abs(other.active_at - mark.active_at) <= within
        return other.alertname == mark.alertname and other.standing and near and not other.placed

    def _outages(self, mark: Mark) -> Iterator[tuple[Mark, Reason]]:
        """Yield the outage that a device says it comes back from, over or not."""
        earliest = mark.active_at - self.policy.aftermath
        here = [other for other in self.at(mark.place) if other.kind in _AWAY]
        near = [other for other in self._widely(mark) if other.kind is Kind.POWER]
        for other in (*reversed(here), *near):
            if other.recovered_at is None or other.recovered_at >= earliest:
                yield other, Reason.AFTERMATH_OF

    def _missed(self, mark: Mark) -> Iterator[tuple[Mark, Reason]]:
        target = self.topology.devices.get(mark.about)
        if target is None:
            return
        faults = [other for other in self.at(target.place) if other.severity is not Severity.INFO]
        for other in sorted(faults, key=lambda fault: (fault.kind not in _AWAY, fault.id)):
            if self._together(mark, other):
                yield other, Reason.TARGET_DOWN

    def _alike(self, mark: Mark) -> Iterator[tuple[Mark, Reason]]:
        for number in self._wide:
            other = self.marks[number]
            same = other.kind is Kind.GROUP and (other.alertname, other.klass) == (mark.alertname, mark.klass)
            same = same and other.about == (mark.about if mark.kind is Kind.NONE else "")
            if same and self._together(mark, other) and mark.active_at <= other.active_at + _JOIN:
                yield other, Reason.MANY_DEVICES

    def _widely(self, mark: Mark) -> Iterator[Mark]:
        """Yield the marks of the same site that reach beyond their device."""
        for number in self._wide:
            other = self.marks[number]
            if other.site == mark.site:
                yield other

    def _together(self, mark: Mark, parent: Mark) -> bool:
        """Tell whether a mark did not begin so long before another that it has a cause of its own."""
        return mark.active_at >= parent.active_at - self.policy.together

    def _is_part(self, mark: Mark, device: Device | None, rack: Mark) -> bool:
        """Tell whether a device fell silent with a rack, or with others of its site that nothing else explains."""
        if rack.about:
            return device is not None and device.rack == rack.about
        return mark.active_at <= rack.active_at + self.policy.together

    def _feeds(self, power: Mark, device: Device | None) -> bool:
        ups = self.topology.find(power.place)
        if ups is None or device is None or ups.instance == device.instance:
            return True
        return any(other.instance == device.instance for other in fed_by(ups, self.topology))

    def _is_within(self, parent: Mark, mark: Mark) -> bool:
        """Tell whether a parent is itself, through whatever, under the mark."""
        seen: set[int] = set()
        while parent.parent is not None and parent.parent not in seen:
            if parent.parent == mark.id:
                return True
            seen.add(parent.parent)
            above = self.marks.get(parent.parent)
            if above is None:
                return False
            parent = above
        return False


def _is_plain(mark: Mark) -> bool:
    """Tell whether nothing but a fault of many devices could have to do with a mark, as with most of a storm."""
    said = mark.kind is not Kind.NONE or mark.depends or mark.about
    return not said and not runs_on(mark.alertname) and not topic(mark.alertname)


def _is_same(one: Mark, other: Mark) -> bool:
    if one.kind is not other.kind:
        return False
    if one.kind is Kind.PORT:
        return _same_port(one.about, other.about)
    if one.kind is Kind.POWER:
        return True
    about = topic(one.alertname)
    same = not one.identity or not other.identity or one.identity == other.identity
    return about != "" and about == topic(other.alertname) and same


def _same_port(one: str, other: str) -> bool:
    """Tell whether two names mean one port: Gi0/3 is GigabitEthernet0/3."""
    if not one or not other:
        return False
    return one.lower() == other.lower() or _short(one) == _short(other)


def _short(port: str) -> str:
    letters = "".join(character for character in port if character.isalpha()).lower()
    return letters[:2] + "".join(character for character in port if not character.isalpha() and character != " ")
