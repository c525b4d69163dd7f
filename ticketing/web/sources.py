"""What the pages need from elsewhere: devices, their health, graphs. The collector gives it, the pages only read.

Every method takes the viewer's scope and answers for that scope alone: a device of another customer is None, is not
listed and is not counted. The methods are called from worker threads, several at once, and must not block for long.
Words that people read (labels, facts) are data: they are shown as given, escaped by the pages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from ticketing.diagnosis.asked import Subject
from ticketing.incident import Incident
from ticketing.store import Scope

Level = Literal["ok", "warning", "critical", "none"]


@dataclass(frozen=True, slots=True)
class DeviceView:
    """A watched device as the register and the fleet know it now."""

    id: int
    customer: str  # slug
    site: str  # slug
    name: str
    klass: str  # desktop|server|network|ups|printer
    role: str = ""
    os: str = ""
    version: str = ""  # of the agent
    alive: bool = False  # heard within three of its intervals
    excused: str = ""  # while an announced absence runs: its reason (stop|restart|update|shutdown|sleep), else ""
    last_seen: float | None = None  # Unix seconds, None: never
    facts: Sequence[tuple[str, str]] = ()  # more of the register, in the order shown: ("Model", "PowerEdge R740")


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of a device's health, such as CPU 12 %."""

    label: str  # "CPU", "Memory", "/var", "D:"
    value: float  # in `unit`; NaN: no value now
    unit: str  # "%", "B", "B/s", "s", "°C", "" (a plain number)
    fraction: float | None = None  # 0…1 of the whole where there is a whole: drawn as a bar
    level: Level = "none"


@dataclass(frozen=True, slots=True)
class Graph:
    """The value that an incident is about, around the fault; oldest first."""

    times: Sequence[float]  # Unix seconds
    values: Sequence[float]  # as long as times; NaN: a gap
    unit: str  # as in Reading
    title: str = ""  # what is drawn: "Free space on D:"
    threshold: float | None = None
    above: bool = True  # the fault is above (True) or below (False) the threshold
    normal: float | None = None  # what is usual here


@dataclass(frozen=True, slots=True)
class EventView:
    """Something that happened on a device; type, source and text are data."""

    id: int
    at: float  # Unix seconds
    type: str  # log, kernel, service, login …
    source: str
    level: str  # critical|error|warning|info
    text: str


@dataclass(frozen=True, slots=True)
class EventsSought:
    """Which events of a device a page asks for; "" and None leave open."""

    type: str = ""
    text: str = ""
    since: float | None = None
    before: int | None = None  # an id: only what came before it


@dataclass(frozen=True, slots=True)
class PartView:
    """A part of what a device consists of: "disks", with a line for each."""

    name: str
    things: Sequence[str]


@dataclass(frozen=True, slots=True)
class LinkView:
    """What a device hangs on, how that is known, and since when."""

    parent: int  # the id of a device
    port: str = ""  # of the parent
    how: str = ""  # manual|lldp|cdp|mac|arp|route|agent
    evidence: str = ""
    since: float | None = None  # Unix seconds
    address: str = ""  # of the device itself


@dataclass(frozen=True, slots=True)
class StrangerView:
    """A machine on a customer's network that is not in the register; names and places are data."""

    id: int
    customer: str
    site: str
    address: str
    mac: str
    maker: str
    where: str  # the device and port that saw it
    names: Sequence[str]
    ports: Sequence[int]  # TCP, open
    state: str  # new|denied|ignored|approved
    first_seen: float  # Unix seconds
    last_seen: float


@dataclass(frozen=True, slots=True)
class Summary:
    """How the part of the fleet that a viewer may see is doing, and whether the collector itself is well."""

    devices: int
    alive: int
    excused: int  # not alive, absence announced
    judged_at: float | None  # when the rules were last evaluated, Unix seconds
    problem: str = ""  # one sentence if the collector itself is unwell

    @property
    def silent(self) -> int:
        """Devices that are neither alive nor excused."""
        return max(0, self.devices - self.alive - self.excused)


class Sources(Protocol):
    """Given to `ticketing.web.app.routes` by the collector."""

    def devices(self, scope: Scope) -> Sequence[DeviceView]:
        """Return every device in scope; cheap (no readings), in any order."""

    def device(self, scope: Scope, device_id: int) -> DeviceView | None:
        """Return one device, None if it does not exist in this scope."""

    def find(self, scope: Scope, customer: str, site: str, name: str) -> DeviceView | None:
        """Return the device that an incident names, None if the register does not know it in this scope."""

    def subject(self, scope: Scope, device_id: int) -> Subject | None:
        """Return how a device can be asked for a diagnosis, None if it does not exist in this scope."""

    def health(self, scope: Scope, device_ids: Sequence[int]) -> Mapping[int, Sequence[Reading]]:
        """Return the readings of the devices that one page shows (at most 200); ids outside the scope are left out."""

    def events(self, scope: Scope, device_id: int, sought: EventsSought, limit: int) -> Sequence[EventView]:
        """Return the newest events of a device that are sought, the newest first; none outside the scope."""

    def inventory(self, scope: Scope, device_id: int) -> Sequence[PartView]:
        """Return what a device of the scope consists of; nothing if it never told."""

    def links(self, scope: Scope) -> Mapping[int, LinkView]:
        """Return what each device of the scope hangs on, where that is known; parents are of the scope, too."""

    def hang(self, scope: Scope, device_id: int, parent_id: int | None, port: str) -> None:
        """Note what a person says a device hangs on (None: on nothing).

        Raises:
            Refused: it cannot be, or is not of this scope.
        """

    def strangers(self, scope: Scope) -> Sequence[StrangerView]:
        """Return the machines of the scope's sites that are not in the register, by site and address."""

    def decide(self, scope: Scope, stranger_id: int, decision: str, name: str = "", klass: str = "") -> None:
        """Deny or ignore a machine, let it be new again, or approve it: it goes into the register under that name.

        Raises:
            Refused: it cannot be, or is not of this scope.
        """

    def graph(self, scope: Scope, incident: Incident) -> Graph | None:
        """Return the incident's value around its fault, at most 2,000 points; None if there is nothing to draw."""

    def summary(self, scope: Scope) -> Summary:
        """Return the fleet's health; called for every page, so it must be cheap."""
