"""Evaluates the log again, beside a collector or after it: the same log gives the same state and the same incidents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from collector import alerts
from collector.log import MergedReader, Record, RecordKind
from collector.log.segments import segments
from collector.state import State
from ticketing.alert import Alert
from ticketing.database import connect
from ticketing.incident import Incident
from ticketing.incident import State as IncidentState
from ticketing.models import Base
from ticketing.scope import EVERYTHING
from ticketing.store import Filter, Order, Store

_PAGE: Final = 1_000
_CONSUMER: Final = "replay"

Opened = tuple[str, str, float]  # customer, key, when it was opened


@dataclass(frozen=True, slots=True)
class Run:
    """One evaluation of the log: from which record on, and what came out. `digest` is of the whole state, in hex."""

    name: str
    first: int
    digest: str
    records: int


@dataclass(slots=True)
class Report:
    """What evaluations of one log have come to.

    Attributes:
        until: the last record that was evaluated.
        whole: whether the log holds its first record, so that it can be evaluated from nothing.
        missing, surplus: incidents that the database has and the replay has not, and the other way round; only of a
            whole log.
    """

    until: int
    whole: bool
    runs: list[Run] = field(default_factory=list)
    incidents: int = 0
    missing: list[Opened] = field(default_factory=list)
    surplus: list[Opened] = field(default_factory=list)
    lost_bytes: int = 0
    lost_records: int = 0
    until_time: float = 0.0  # when that record was written: what a collector did since is not compared

    @property
    def same(self) -> bool:
        """Whether all evaluations gave one state, bit for bit, and the incidents are those of the database."""
        return len({run.digest for run in self.runs}) <= 1 and not self.missing and not self.surplus


def replay(log: Path, *, until: int, snapshot: bytes | None, store: Store | None) -> Report:
    """Evaluate the records up to `until`: from nothing, where the log is whole; then halfway, put down and taken up
    again; and from the snapshot, if it is given and not newer. `store` has the incidents to compare with.

    Raises:
        ValueError: the snapshot is damaged or of another version.
    """
    found = segments(log)
    report = Report(until, whole=bool(found) and found[0].first == 1)
    if report.whole:
        memory = _memory()
        _run(report, "from nothing", State(), log, memory)
        _run(report, "put down and taken up halfway", _halfway(log, until // 2), log)
        if store is not None:
            _compare(report, memory, store)
    if snapshot is not None:
        state = State()
        state.restore(snapshot)
        if state.position <= until:
            _run(report, "from the snapshot", state, log)
    return report


def _run(report: Report, name: str, state: State, log: Path, memory: Store | None = None) -> None:
    first, count = state.position + 1, 0
    reader = MergedReader(log, first)
    pending: list[Alert] = []
    for record in _records(reader, report.until):
        count += 1
        report.until_time = max(report.until_time, record.received)
        pending += alerts.from_transitions(state.apply(record))
        if memory is not None and record.kind == RecordKind.TICK and pending:
            memory.apply(pending, consumer=_CONSUMER, position=record.number, now=record.received)
            pending = []
    report.runs.append(Run(name, first, state.digest(), count))
    report.lost_bytes = max(report.lost_bytes, reader.lost_bytes)
    report.lost_records = max(report.lost_records, reader.lost_records)


def _halfway(log: Path, until: int) -> State:
    state, again = State(), State()
    for record in _records(MergedReader(log), until):
        state.apply(record)
    again.restore(state.dump())
    return again


def _records(reader: MergedReader, until: int) -> Iterator[Record]:
    while (block := reader.read_block(until + 1)) is not None:
        for record in block.records():
            if record.number > until:
                return
            yield record


def _memory() -> Store:
    engine = connect("sqlite://")
    Base.metadata.create_all(engine)
    return Store(engine)


def _compare(report: Report, memory: Store, store: Store) -> None:
    ours, theirs = (
        {(i.customer, i.key, i.opened_at) for i in _incidents(one) if i.opened_at <= report.until_time}
        for one in (memory, store)
    )
    report.incidents = len(ours)
    report.missing, report.surplus = sorted(theirs - ours), sorted(ours - theirs)


def _incidents(store: Store) -> Iterator[Incident]:
    after: str | None = None
    while True:
        page = store.incidents(
            EVERYTHING, Filter(states=frozenset(IncidentState)), order=Order.NEWEST, after=after, limit=_PAGE
        )
        yield from page.incidents
        after = page.after
        if after is None:
            return
