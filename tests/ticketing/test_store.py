"""The store on real databases: exactly once, all or nothing, walls between customers, people and lists."""

import dataclasses
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import func, select

from tests import postgres
from tests.ticketing.alerts import T, alert
from ticketing.database import connect
from ticketing.errors import Conflict, Refused, Unavailable
from ticketing.incident import MACHINE, Cause, Incident, State
from ticketing.models import Base, IncidentRow
from ticketing.scope import EVERYTHING, Scope
from ticketing.store import Filter, Order, Store
from ticketing.work import Acknowledge, Act, Assign, Comment, Reopen, Resolve, Start

CHARLIE = Scope("charlie")
DONE = Filter(states=frozenset({State.RESOLVED, State.CLOSED}))


def opened(store: Store, count: int = 1, customer: str = "acme") -> list[Incident]:
    """Open incidents of a customer, and one of charlie, who is in every test."""
    mine = [alert(mount=f"/{number:04}", customer=customer) for number in range(count)]
    position = store.position("test") + 1
    store.apply([*mine, alert(customer="charlie")], consumer="test", position=position, now=T)
    return store.incidents(Scope(customer), order=Order.NEWEST, limit=1000).incidents


def rows(engine: sqlalchemy.Engine, table: type[Base]) -> int:
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0


def test_a_position_has_its_effect_once(store: Store, engine: sqlalchemy.Engine) -> None:
    assert store.position("test") == 0
    assert len(store.apply([alert()], consumer="test", position=7, now=T)) == 1
    for position in (7, 6, 0):
        assert store.apply([alert(mount="/other")], consumer="test", position=position, now=T) == []
    assert (store.position("test"), rows(engine, IncidentRow)) == (7, 1)
    assert len(store.apply([alert(mount="/other")], consumer="another", position=1, now=T)) == 1


def test_an_empty_batch_moves_the_cursor_and_lets_time_work(store: Store) -> None:
    store.apply([alert(), alert("resolved", 60)], consumer="test", position=1, now=T + 60)
    changed = store.apply([], consumer="test", position=2, now=T + 2 * 86_400)
    assert store.position("test") == 2
    assert [one.state for one in store.incidents(EVERYTHING, DONE).incidents] == [State.CLOSED]
    assert len(changed) == 1
    assert store.sweep(T + 3 * 86_400) == []


def test_the_database_itself_refuses_a_second_open_incident(store: Store, engine: sqlalchemy.Engine) -> None:
    opened(store)
    table = IncidentRow.metadata.tables["incidents"]
    with engine.begin() as connection:
        row = connection.execute(select(table).where(table.c.customer == "acme")).one()._asdict()
    with pytest.raises(sqlalchemy.exc.IntegrityError), engine.begin() as connection:
        connection.execute(table.insert().values({**row, "id": 999}))


def test_quiet_changes_share_one_entry_and_the_newest_entry_has_the_greatest_number(store: Store) -> None:
    opened(store)
    for second in range(1, 6):
        changed = alert(at=second, mount="/0000", value=90.0 + second)
        store.apply([changed], consumer="test", position=100 + second, now=T + second)
    [only] = store.incidents(Scope("acme")).incidents
    entries = store.timeline(EVERYTHING, only.id) or []
    assert [(entry.action, entry.quiet) for entry in entries] == [("open", False), ("update", True)]
    assert (entries[-1].data["times"], only.value) == (5, 95.0)
    assert store.last_change(EVERYTHING) == entries[-1].id


def test_changes_come_in_order_and_only_those_of_the_scope(store: Store) -> None:
    before = store.last_change(EVERYTHING)
    [mine] = opened(store)
    store.act(EVERYTHING, mine.id, Comment("for us", internal=True), actor="erin", now=T + 1)
    every = store.changes(EVERYTHING, before)
    assert [entry.id for entry in every] == sorted(entry.id for entry in every)
    assert len(every) == 3
    assert [entry.incident for entry in store.changes(Scope("acme"), before)] == [mine.id]  # not what is internal
    assert mine.id not in {entry.incident for entry in store.changes(CHARLIE, before)}
    assert store.changes(EVERYTHING, every[-1].id) == []


ACTS: list[Act] = [Acknowledge(), Assign("mallory"), Start(), Comment("x"), Resolve(Cause.FIXED), Reopen()]


@pytest.mark.parametrize("act", ACTS)
def test_a_foreign_incident_does_not_exist(store: Store, act: Act) -> None:
    [mine] = opened(store)
    assert store.act(CHARLIE, mine.id, act, actor="mallory", now=T + 1) is None
    assert store.incident(CHARLIE, mine.id) is None
    assert store.timeline(CHARLIE, mine.id) is None
    assert store.earlier(CHARLIE, mine.id) == []
    asked = Filter(customer="acme")
    assert store.incidents(CHARLIE, asked).incidents == []
    assert {one.customer for one in store.incidents(CHARLIE).incidents} == {"charlie"}
    assert store.counts(CHARLIE).total == 1
    unchanged = store.incident(EVERYTHING, mine.id)
    assert unchanged is not None
    assert unchanged.version == 1


def test_an_incident_that_does_not_exist_is_none(store: Store) -> None:
    assert store.incident(EVERYTHING, 12345) is None
    assert store.timeline(EVERYTHING, 12345) is None
    assert store.act(EVERYTHING, 12345, Start(), actor="erin", now=T) is None


def test_a_person_acts_on_the_version_that_they_saw(store: Store) -> None:
    [seen] = opened(store)
    store.apply([alert(at=9, mount="/0000", severity="critical")], consumer="test", position=50, now=T + 9)
    with pytest.raises(Conflict):
        store.act(EVERYTHING, seen.id, Resolve(Cause.FIXED), actor="erin", now=T + 10, version=seen.version)
    done = store.act(EVERYTHING, seen.id, Resolve(Cause.FIXED, "new disk"), actor="erin", now=T + 10)
    assert done is not None
    assert (done.state, done.resolved_by, done.cause) == (State.RESOLVED, "erin", Cause.FIXED)
    last = (store.timeline(EVERYTHING, seen.id) or [])[-1]
    assert (last.actor, last.action, last.data["text"]) == ("erin", "resolve", "new disk")
    with pytest.raises(Refused):
        store.act(EVERYTHING, seen.id, Start(), actor="erin", now=T + 11)


def test_an_old_incident_is_not_reopened_beside_a_newer_one(store: Store) -> None:
    [old] = opened(store)
    store.act(EVERYTHING, old.id, Resolve(Cause.FIXED), actor="erin", now=T + 1)
    again = store.act(EVERYTHING, old.id, Reopen(), actor="erin", now=T + 2)
    assert again is not None
    assert again.state is State.IN_PROGRESS
    store.act(EVERYTHING, old.id, Resolve(Cause.FIXED), actor="erin", now=T + 3)
    store.apply([alert("resolved", 5, mount="/0000")], consumer="test", position=60, now=T + 5)
    later = alert(at=3 * 86_400, mount="/0000")
    store.apply([later], consumer="test", position=61, now=later.at)
    with pytest.raises(Refused):
        store.act(EVERYTHING, old.id, Reopen(), actor="erin", now=later.at)
    newer = store.incidents(Scope("acme")).incidents
    assert [one.previous for one in newer] == [old.id]
    assert [one.id for one in store.earlier(EVERYTHING, newer[0].id)] == [old.id]


def test_what_the_machine_did_is_the_machines(store: Store) -> None:
    [mine] = opened(store)
    assert [entry.actor for entry in store.timeline(EVERYTHING, mine.id) or []] == [MACHINE]


def test_pages_go_on_where_the_last_one_ended(store: Store) -> None:
    worse = [alert(mount=f"/{number:04}", severity="critical") for number in range(0, 30, 3)]
    opened(store, 30)
    store.apply([], consumer="test", position=70, now=T)
    later = [dataclasses.replace(one, at=T + 9) for one in worse]
    store.apply(later, consumer="test", position=71, now=T + 9)
    for order in Order:
        whole = store.incidents(EVERYTHING, order=order, limit=100).incidents
        assert len(whole) == 31
        paged: list[Incident] = []
        after: str | None = None
        while True:
            page = store.incidents(EVERYTHING, order=order, after=after, limit=7)
            paged += page.incidents
            after = page.after
            if after is None:
                break
        assert paged == whole
    assert [one.priority for one in store.incidents(EVERYTHING, limit=10).incidents] == [1] * 10
    assert store.counts(EVERYTHING).priorities == {1: 10, 3: 21}


@pytest.mark.parametrize("after", ["", "1", "x.y", "1.-2", "1.2.3", "1." + "9" * 30, "1.２"])
def test_a_page_that_nobody_was_on_is_refused(store: Store, after: str) -> None:
    with pytest.raises(ValueError, match="does not continue a list"):
        store.incidents(EVERYTHING, after=after)


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (Filter(), 4),
        (Filter(customer="acme"), 3),
        (Filter(customer="acme", site="hq", device="fs01"), 3),
        (Filter(customer="acme", site="hq", device="fs0"), 0),
        (Filter(site="elsewhere"), 0),
        (Filter(priority=3), 4),
        (Filter(priority=1), 0),
        (Filter(owner="erin"), 1),
        (Filter(states=frozenset({State.OPEN})), 3),
        (Filter(states=frozenset({State.IN_PROGRESS})), 1),
        (Filter(text="/0001"), 1),
        (Filter(text="DISKFULL"), 4),
        (Filter(text="%"), 0),
        (Filter(text="inc-1"), 1),
        (DONE, 0),
    ],
)
def test_filters(store: Store, wanted: Filter, count: int) -> None:
    mine = opened(store, 3)
    store.act(EVERYTHING, mine[-1].id, Start(), actor="erin", now=T + 1)
    assert len(store.incidents(EVERYTHING, wanted).incidents) == count


def test_a_locked_database_is_unavailable_and_nothing_is_written(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'a.db'}", busy_seconds=0.1)
    Base.metadata.create_all(engine)
    store = Store(engine)
    with sqlite3.connect(tmp_path / "a.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable):
            store.apply([alert()], consumer="test", position=1, now=T)
        assert store.position("test") == 0  # who only reads waits for nobody
        other.execute("ROLLBACK")
    assert len(store.apply([alert()], consumer="test", position=1, now=T)) == 1
    engine.dispose()
    other.close()


def test_a_crashed_server_is_unavailable_and_loses_nothing() -> None:
    with postgres.running() as server:
        engine = connect(server.database())
        Base.metadata.create_all(engine)
        store = Store(engine)
        store.apply([alert()], consumer="test", position=1, now=T)
        server.crash()
        with pytest.raises(Unavailable):
            store.apply([alert("resolved", 60)], consumer="test", position=2, now=T + 60)
        with pytest.raises(Unavailable):
            store.counts(EVERYTHING)
        server.start()
        assert store.position("test") == 1
        store.apply([alert("resolved", 60)], consumer="test", position=2, now=T + 60)
        assert [one.state for one in store.incidents(EVERYTHING, DONE).incidents] == [State.RESOLVED]
        engine.dispose()


def test_another_database_is_refused() -> None:
    with pytest.raises(sqlalchemy.exc.ArgumentError):
        connect("mysql://localhost/x")
