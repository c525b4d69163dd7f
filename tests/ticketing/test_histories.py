"""Generated histories: what must hold whatever comes, and that the timeline alone gives the incident back."""

import dataclasses
import itertools
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.ticketing.alerts import T, alert
from ticketing.alert import Alert
from ticketing.database import connect
from ticketing.decide import DAY, DEFAULT
from ticketing.errors import Refused
from ticketing.fold import Case
from ticketing.incident import UNRESOLVED, Cause, Incident, PendingReason, State, TimelineEntry
from ticketing.key import key
from ticketing.models import Base
from ticketing.rebuild import rebuild
from ticketing.scope import EVERYTHING, Scope
from ticketing.store import Filter, Order, Store
from ticketing.work import Acknowledge, Act, Assign, Comment, Pend, Reopen, Resolve, Resume, Start

Step = Alert | tuple[float, Act]

ACTS: list[Act] = [
    Acknowledge(),
    Assign("erin"),
    Assign(None),
    Start(),
    Comment("looked at it"),
    Pend(PendingReason.PARTS),
    Resume(),
    Resolve(Cause.FIXED, "new disk"),
    Reopen(),
]
gaps = st.sampled_from([1.0, 60.0, 400.0, 1800.0, 7200.0, DAY + 1])


@st.composite
def alerts(draw: st.DrawFn) -> list[Alert]:
    """Alerts of two customers' disks, in the order of time; values and severities wander."""
    time, found = 0.0, []
    for _ in range(draw(st.integers(1, 25))):
        time += draw(gaps)
        found.append(
            alert(
                draw(st.sampled_from(["firing", "firing", "stale", "resolved", "resolved"])),
                time,
                severity=draw(st.sampled_from(["warning", "critical"])),
                mount=draw(st.sampled_from(["/a", "/b"])),
                customer=draw(st.sampled_from(["acme", "acme", "charlie"])),
                value=draw(st.sampled_from([1.0, 91.5, float("nan"), float("inf")])),
            )
        )
    return found


@st.composite
def steps(draw: st.DrawFn) -> list[Step]:
    """Alerts of one key, and people's acts between them."""
    mixed: list[Step] = []
    for one in draw(alerts()):
        mixed.append(dataclasses.replace(one, labels={**one.labels, "mountpoint": "/a"}))
        if draw(st.booleans()):
            mixed.append((one.at - T + 0.5, draw(st.sampled_from(ACTS))))
    return mixed


@contextmanager
def stored() -> Iterator[Store]:
    with tempfile.TemporaryDirectory() as folder:
        engine = connect(f"sqlite:///{Path(folder) / 'a.db'}")
        Base.metadata.create_all(engine)
        yield Store(engine)
        engine.dispose()


def everything(store: Store, scope: Scope = EVERYTHING) -> list[Incident]:
    """Return all incidents of a scope with their alerts, by number."""
    listed = store.incidents(scope, Filter(states=frozenset(State)), order=Order.NEWEST, limit=1000).incidents
    found = [store.incident(scope, one.id) for one in listed]
    return sorted((one for one in found if one is not None), key=lambda one: one.id)


def folded(history: Sequence[Step]) -> Case:
    """Return the case of one key after a history; acts that are refused have no effect."""
    case, numbers = Case("acme", "key"), itertools.count(1)
    for step in history:
        if isinstance(step, Alert):
            case.take(step, step.at, DEFAULT, numbers.__next__)
        elif case.incident is not None:
            case.wake(T + step[0], DEFAULT)
            try:
                case.perform(step[1], "erin", T + step[0])
            except Refused:
                continue
    return case


@given(steps())
@settings(max_examples=150, deadline=None)
def test_the_timeline_alone_gives_the_incident_back(history: list[Step]) -> None:
    case = folded(history)
    for incident in case.changed():
        entries: list[TimelineEntry] = [entry for entry in case.entries if entry.incident == incident.id]
        assert rebuild(entries) == incident


@given(steps())
@settings(max_examples=150, deadline=None)
def test_times_and_versions_make_sense(history: list[Step]) -> None:
    case = folded(history)
    for incident in case.changed():
        assert incident.unresolved == (incident.state in UNRESOLVED)
        assert incident.resolved_at is None or incident.opened_at <= incident.resolved_at
        assert (incident.state is State.PENDING) == (incident.pending_reason is not None)
        versions = [entry.version for entry in case.entries if entry.incident == incident.id]
        assert versions == sorted(set(versions))
        assert versions[-1] == incident.version


@given(alerts())
@settings(max_examples=100, deadline=None)
def test_nothing_but_a_recovery_ends_an_untouched_incident(history: list[Alert]) -> None:
    kept = [one for one in history if one.state != "resolved"]
    for name, case in cases(kept).items():
        assert case.incident is None or case.incident.unresolved, name


@given(alerts())
@settings(max_examples=100, deadline=None)
def test_hearing_everything_twice_changes_nothing(history: list[Alert]) -> None:
    twice = list(itertools.chain.from_iterable((one, one) for one in history))
    assert incidents(cases(twice)) == incidents(cases(history))


@given(alerts(), st.sampled_from(["info", "critical", "page"]), st.floats())
def test_severity_value_and_time_are_no_part_of_the_key(history: list[Alert], severity: str, value: float) -> None:
    for one in history:
        labels = {**one.labels, "severity": severity, "value": str(value), "instance": "x", "job": "y"}
        other = dataclasses.replace(one, severity=severity, labels=labels, value=value, at=0.0, state="stale")
        assert key(other) == key(one)


@given(alerts(), st.lists(st.integers(1, 4), min_size=25, max_size=25))
@settings(max_examples=30, deadline=None)
def test_batches_do_not_matter_and_the_store_says_what_the_fold_says(history: list[Alert], sizes: list[int]) -> None:
    with stored() as store:
        rest, position = history, 0
        for size in sizes:
            part, rest, position = rest[:size], rest[size:], position + 1
            if part:
                store.apply(part, consumer="test", position=position, now=part[-1].at)
                assert_one_open_for_each_key(store)
        found = everything(store)
        expected = incidents(cases(history), until=history[-1].at)
        assert [bare(one) for one in sorted(found, key=by_key)] == expected
        for incident in found:
            entries = store.timeline(EVERYTHING, incident.id)
            assert entries is not None
            assert rebuild(entries) == incident
            assert store.incident(Scope("charlie"), incident.id) == (
                incident if incident.customer == "charlie" else None
            )


def cases(history: Sequence[Alert]) -> dict[str, Case]:
    """Return what a history makes of each key, without any database."""
    found: dict[str, Case] = {}
    numbers = itertools.count(1)
    for one in history:
        case = found.setdefault(key(one), Case(one.customer, key(one)))
        case.take(one, one.at, DEFAULT, numbers.__next__)
    return found


def incidents(found: dict[str, Case], until: float = 0.0) -> list[Incident]:
    """Return the incidents of all keys, without what depends on the order of numbers; time goes on until then."""
    for case in found.values():
        case.wake(until, DEFAULT)
    return [bare(one) for one in sorted((one for case in found.values() for one in case.changed()), key=by_key)]


def bare(incident: Incident) -> Incident:
    return replace(incident, id=0, previous=None if incident.previous is None else 0)


def by_key(incident: Incident) -> tuple[str, float]:
    return incident.key, incident.opened_at


def assert_one_open_for_each_key(store: Store) -> None:
    page = store.incidents(EVERYTHING, limit=1000).incidents
    assert max(Counter((one.customer, one.key) for one in page).values(), default=1) == 1


@pytest.mark.parametrize(
    ("drop", "words"), [(slice(1, None), "does not begin"), (slice(0, 0), "no entries"), (None, "does not follow")]
)
def test_a_timeline_that_is_not_whole_is_refused(drop: slice | None, words: str) -> None:
    entries = folded([alert(), alert("resolved", 60)]).entries
    with pytest.raises(ValueError, match=words):
        rebuild(entries[drop] if drop is not None else [entries[0], entries[0]])
