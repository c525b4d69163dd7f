"""One cause, one ticket: what alerts make of incidents, on SQLite and on PostgreSQL, seen from outside."""

import dataclasses
import multiprocessing
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from sqlalchemy import func, select

from tests import postgres
from ticketing.alert import Alert, fingerprint
from ticketing.database import connect
from ticketing.incident import Incident, Severity, State
from ticketing.models import Base, IncidentRow
from ticketing.scope import EVERYTHING, Scope
from ticketing.store import Filter, Order, Store

T = 1_760_000_000.0
ANY = Filter(states=frozenset(State))


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Postgres]:
    with postgres.running() as started:
        yield started


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database with the tables."""
    if request.param == "sqlite":
        made = f"sqlite:///{tmp_path / 'watchdesk.db'}"
    else:
        made = request.getfixturevalue("server").database()
    engine = connect(made)
    Base.metadata.create_all(engine)
    engine.dispose()
    return made


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    engine = connect(url)
    yield Store(engine)
    engine.dispose()


def alert(state: str = "firing", at: float = 0.0, *, name: str = "DiskFull", **labels: str) -> Alert:
    """An alert of acme's file server, or of another customer's if the labels say so."""
    every = {
        "customer": "acme",
        "site": "hq",
        "class": "server",
        "severity": "warning",
        "mountpoint": "/data",
        **labels,
    }
    every = {"alertname": name, "instance": f"fs01.{every['site']}.{every['customer']}", **every}
    return Alert(
        customer=every["customer"],
        site=every["site"],
        device="fs01",
        name=name,
        severity=every["severity"],
        labels=every,
        annotations={"summary": "it is full"},
        state=state,  # type: ignore[arg-type]
        value=91.0,
        at=T + at,
        active_at=T,
        fingerprint=fingerprint(every),
    )


class Story:
    """Alerts as they come, one transaction each."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.position = 0

    def hear(self, *alerts: Alert) -> None:
        self.position += 1
        now = max((one.at for one in alerts), default=T)
        self.store.apply(alerts, consumer="test", position=self.position, now=now)

    def all(self, scope: Scope = EVERYTHING) -> list[Incident]:
        found = self.store.incidents(scope, ANY, order=Order.NEWEST, limit=100).incidents
        return sorted(found, key=lambda incident: incident.id)

    def states(self) -> list[str]:
        return [incident.state.value for incident in self.all()]


@pytest.fixture
def story(store: Store) -> Story:
    return Story(store)


def test_a_fault_opens_one_ticket_and_its_end_resolves_it(story: Story) -> None:
    story.hear(alert())
    assert story.states() == ["open"]
    story.hear(alert("resolved", 60))
    [only] = story.all()
    assert (only.state, only.resolved_at, only.count) == (State.RESOLVED, T + 60, 1)
    entries = story.store.timeline(EVERYTHING, only.id)
    assert entries is not None
    assert [entry.action for entry in entries] == ["open", "resolve"]


def test_warning_and_critical_are_one_ticket_whose_severity_moves(story: Story) -> None:
    story.hear(alert())
    story.hear(alert(at=10, severity="critical"))
    assert [(one.severity, one.state) for one in story.all()] == [(Severity.CRITICAL, State.OPEN)]
    story.hear(alert("resolved", 20, severity="critical"))
    assert [(one.severity, one.state) for one in story.all()] == [(Severity.WARNING, State.OPEN)]
    story.hear(alert("resolved", 30))
    assert story.states() == ["resolved"]


def test_no_data_is_not_a_recovery(story: Story) -> None:
    story.hear(alert())
    story.hear(alert("stale", 300))
    [only] = story.all()
    assert (only.state, only.stale_since is not None) == (State.OPEN, True)
    story.hear(alert("resolved", 600))
    assert story.states() == ["resolved"]


def test_what_was_heard_before_has_no_effect(story: Story) -> None:
    story.hear(alert())
    before = story.all()
    story.hear(alert())
    story.store.apply([alert(at=5)], consumer="test", position=story.position, now=T + 5)
    assert story.all() == before
    assert story.store.position("test") == story.position


def test_a_late_alert_never_reopens(story: Story) -> None:
    story.hear(alert())
    story.hear(alert("resolved", 60))
    story.hear(alert(at=30))
    assert story.states() == ["resolved"]


def test_the_same_fault_soon_reopens_and_much_later_is_a_new_ticket_that_knows_the_old(story: Story) -> None:
    story.hear(alert())
    story.hear(alert("resolved", 60))
    story.hear(dataclasses.replace(alert(at=3600), active_at=T + 3600))
    assert story.states() == ["open"]
    story.hear(alert("resolved", 3700))
    later = 3 * 86400.0
    story.hear(dataclasses.replace(alert(at=later), active_at=T + later))
    first, second = story.all()
    assert (second.previous, second.repeat) == (first.id, True)


def test_other_disks_devices_and_customers_have_tickets_of_their_own(story: Story) -> None:
    story.hear(alert(), alert(mountpoint="/"), alert(customer="other"), alert(name="CpuHigh"))
    assert len({one.key for one in story.all()}) == 4
    assert {one.customer for one in story.all(Scope("other"))} == {"other"}
    [foreign] = story.all(Scope("other"))
    assert story.store.incident(Scope("acme"), foreign.id) is None
    assert story.store.timeline(Scope("acme"), foreign.id) is None


def test_flapping_keeps_one_ticket_open(story: Story) -> None:
    for turn in range(12):
        story.hear(dataclasses.replace(alert(at=60 * turn), active_at=T + 60 * turn))
        story.hear(alert("resolved", 60 * turn + 30))
    [only] = story.all()
    assert only.flapping_since is not None
    assert only.resolved_at is None
    entries = story.store.timeline(EVERYTHING, only.id)
    assert entries is not None
    assert len([entry for entry in entries if not entry.quiet]) < 14


def test_hostile_text_is_kept_as_data(story: Story) -> None:
    nasty = "<script>\u202e\x1b[31m\r\n=cmd|' /C calc'!A0{{7*7}}"
    story.hear(alert(mountpoint=nasty))
    [only] = story.all()
    assert not set(only.labels["mountpoint"]) & {"\x1b", "\r", "\n", "\u202e"}
    assert "<script>" in only.labels["mountpoint"]


def _raise_all(url: str, count: int, worker: int, barrier: Barrier) -> None:
    engine = connect(url)
    store = Store(engine)
    barrier.wait()
    for number in range(count):
        one = alert(at=1, mountpoint=f"/disk{number}")
        store.apply([one], consumer=f"worker{worker}", position=number + 1, now=T + 1)
    engine.dispose()


def test_many_workers_that_see_the_same_faults_open_one_ticket_each(url: str) -> None:
    workers, conditions = 4, 40
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(workers)
    started = [context.Process(target=_raise_all, args=(url, conditions, worker, barrier)) for worker in range(workers)]
    for process in started:
        process.start()
    for process in started:
        process.join(100)
        assert process.exitcode == 0
    engine = connect(url)
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(IncidentRow)) == conditions
    engine.dispose()
