"""Rules over recorded samples, through the decisions of ticketing: which incidents would there have been?

The same rules engine and the same store as live, the store in memory; time comes from the samples. What time alone
does to an incident (flapping ends, it is closed) happens at its own moment as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from collector import alerts
from collector.recorded import Heartbeats, Levels
from collector.register.book import Book
from rules.backtest import Replay, Samples
from rules.baseline import METRIC as BASELINE
from rules.baseline import Baselines
from ticketing.alert import Alert
from ticketing.database import connect
from ticketing.incident import Incident, State, TimelineEntry, rfc3339, to_json
from ticketing.models import Base
from ticketing.rows import rebuilt
from ticketing.scope import EVERYTHING
from ticketing.store import Filter, Order, Store
from ticketing.topology import Topology

VALUES_EVERY: Final = 300.0  # seconds between the values of alerts that go on: as often as the timeline notes them
Table = tuple[str, str]

_CONSUMER: Final = "backtest"
_WORDS: Final = {
    "open": "opened",
    "reopen": "reopened",
    "update": "updated",
    "change_severity": "severity_changed",
    "recover": "recovered",
    "resolve": "resolved",
    "enter_flapping": "flapping",
    "leave_flapping": "steady",
    "resume": "resumed",
    "close": "closed",
    "suppress": "held_back",
    "release": "released",
    "raise": "raised",
}
_TOLD: Final = frozenset({"close"})  # although they are no note to anybody


@dataclass(frozen=True, slots=True)
class Around:
    """What a collector would have besides rules and samples; tables as (text, file), None for none.

    `book` is the register, which gives devices their labels; `liveness` makes `up` and what goes with it for devices
    that do not send it.
    """

    book: Book | None = None
    thresholds: Table | None = None
    baselines: Table | None = None
    liveness: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """A change of an incident: what happened, why, and the incident as it was then."""

    at: float
    event: str
    reason: str
    incident: Incident

    def to_json(self) -> dict[str, Any]:
        """Return it as `watchdesk backtest --events --json` prints it."""
        return {"at": rfc3339(self.at), "event": self.event, "reason": self.reason, **to_json(self.incident)}


class Backtest:
    """A run: iterate over `ticks`, and then ask what became of it.

    Raises:
        RuleFileError, TableError: a file is refused; nothing was evaluated.
    """

    def __init__(
        self, files: Mapping[str, str], samples: Samples, around: Around, *, step: float | None = None
    ) -> None:
        engine = connect("sqlite://")
        Base.metadata.create_all(engine)
        self._store = Store(engine)
        self._topology = around.book.topology() if around.book else Topology()
        self._replay = Replay(files, samples, around.book.targets() if around.book else None, step=step)
        self._before(around)
        self._wake: float | None = None
        self._values_at = 0.0
        self._position = 0
        self.ended: float | None = None

    def _before(self, around: Around) -> None:
        replay = self._replay
        if around.liveness:
            replay.before.append(Heartbeats(replay).tick)
        if around.thresholds:
            replay.before.append(Levels(replay, *around.thresholds).tick)
        if around.baselines:
            baselines = Baselines(replay.fleet)
            baselines.load(*around.baselines)
            replay.before.append(baselines.tick)
            replay.metrics.add(BASELINE)

    def run(self) -> None:
        """Play all samples."""
        for tick in self._replay:
            self.ended = tick.at
            changes = alerts.from_transitions(tick.changes)
            if tick.at - self._values_at >= VALUES_EVERY:
                self._values_at = tick.at
                changes += alerts.from_active(self._replay.engine.active(), tick.at)
            if changes or (self._wake is not None and self._wake <= tick.at):
                self._apply(changes, tick.at)
        if self.ended is not None:
            self._apply(alerts.from_active(self._replay.engine.active(), self.ended), self.ended)

    def _apply(self, changes: list[Alert], now: float) -> None:
        self._position += 1
        self._store.apply(changes, consumer=_CONSUMER, position=self._position, now=now, topology=self._topology)
        self._wake = self._store.next_wake()

    def incidents(self, *, hidden: bool = False) -> list[Incident]:
        """Return the incidents as they are at the end, in the order in which they were opened.

        `hidden` are those too that were held back (under a parent, in maintenance) until they were over.
        """
        found: list[Incident] = []
        after: str | None = None
        wanted = Filter(states=frozenset(State), children=True, hidden=hidden)
        while True:
            page = self._store.incidents(EVERYTHING, wanted, order=Order.NEWEST, after=after, limit=1000)
            found += page.incidents
            after = page.after
            if after is None:
                return sorted(found, key=lambda one: (one.opened_at, one.id))

    def events(self) -> Iterator[Event]:
        """Yield what happened, in the order of time; mere values are left out."""
        known: dict[int, dict[str, Any]] = {}
        for entry in sorted(self._entries(), key=lambda entry: (entry.at, entry.id)):
            values = known.setdefault(entry.incident, {"alerts": {}})
            values |= {**entry.data.get("set", {}), "id": entry.incident, "version": entry.version}
            if not entry.quiet or entry.action in _TOLD:
                yield _event(entry, rebuilt(values))

    def _entries(self) -> list[TimelineEntry]:
        found: list[TimelineEntry] = []
        while more := self._store.changes(EVERYTHING, found[-1].id if found else 0, limit=10_000):
            found += more
        return found

    def problems(self) -> list[str]:
        """Return a sentence for each rule that failed when it was evaluated last."""
        rules = self._replay.engine.rules()
        return [f"{rule.file}:{rule.line}: {rule.name}: {rule.last_error}" for rule in rules if rule.health == "err"]


def _event(entry: TimelineEntry, incident: Incident) -> Event:
    action = "suppress" if entry.action == "open" and incident.hold is not None else entry.action
    word = _WORDS.get(action, action)
    return Event(entry.at, word, entry.reason, incident)
