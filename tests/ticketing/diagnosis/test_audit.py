"""The audit finds what is missing, changed or moved, by whoever can write the database and has not the key."""

import hashlib

import pytest
import sqlalchemy

from tests.ticketing.alerts import T
from tests.ticketing.diagnosis.world import FS01
from ticketing.diagnosis.asked import Subject
from ticketing.scope import EVERYTHING, Scope
from ticketing.store import Store

KEY = "a secret"


def seal(end: bytes) -> str:
    return hashlib.sha256(KEY.encode() + end).hexdigest()


def sealed(end: bytes, found: str) -> bool:
    return seal(end) == found


@pytest.fixture
def written(engine: sqlalchemy.Engine) -> Store:
    """A store whose audit has six entries of acme and three of globex."""
    store = Store(engine, seal=seal)
    for customer in ("acme", "acme", "globex"):
        one = store.diagnoses.ask(
            Subject(1, f"fs01.hq.{customer}", customer), "disk.top_dirs", {}, by="person:anna", now=T
        )
        store.diagnoses.take(1, T + 1)
        store.diagnoses.put_back([])
        store.diagnoses.set_consent(customer, store.diagnoses.consent(customer), by="person:anna", now=T + 2)
        assert one.uid
        with engine.begin() as connection:
            connection.exec_driver_sql(f"UPDATE diagnoses SET state = 'done', done_at = 1, changed_at = {T}")
    return store


def faults(store: Store, scope: Scope = EVERYTHING) -> list[tuple[str, str]]:
    return [(fault.customer, fault.message) for fault in store.diagnoses.verify(scope, sealed)]


def test_an_audit_that_nobody_touched_is_sound(written: Store) -> None:
    assert faults(written) == []
    assert [entry.number for entry in written.diagnoses.audit(Scope("acme"))] == [6, 5, 4, 3, 2, 1]
    assert [entry.number for entry in written.diagnoses.audit(Scope("globex"))] == [3, 2, 1]
    assert written.diagnoses.verify(Scope("initech"), sealed) == []


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("DELETE FROM audit WHERE customer = 'acme' AND number = 3", ["entry 3 is missing"]),
        ("DELETE FROM audit WHERE customer = 'acme' AND number IN (2, 3)", ["entries 2 to 3 are missing"]),
        ("DELETE FROM audit WHERE customer = 'acme' AND number > 4", ["entries 5 to 6 are missing at the end"]),
        ("DELETE FROM audit WHERE customer = 'acme'", ["entries 1 to 6 are missing at the end"]),
        (
            "UPDATE audit SET body = replace(body, 'anna', 'ben') WHERE customer = 'acme' AND number = 1",
            ["entry 1 was changed"],
        ),
        ("UPDATE audit SET at = at + 60 WHERE customer = 'acme' AND number = 2", ["entry 2 was moved"]),
        ("DELETE FROM audit_heads WHERE customer = 'acme'", ["where the audit ends is not known"]),
        (
            "UPDATE audit_heads SET seal = 'x' WHERE customer = 'acme'",
            ["its end is not sealed with this collector's key"],
        ),
        ("UPDATE audit_heads SET number = 5 WHERE customer = 'acme'", ["the audit does not end as it says"]),
    ],
)
def test_what_was_done_to_it_is_found(
    written: Store, engine: sqlalchemy.Engine, statement: str, expected: list[str]
) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    found = faults(written)
    assert [customer for customer, _ in found] == ["acme"] * len(expected)
    assert [message[: len(start)] for (_, message), start in zip(found, expected, strict=True)] == expected
    assert faults(written, Scope("globex")) == []


def test_two_entries_that_changed_places_are_found(written: Store, engine: sqlalchemy.Engine) -> None:
    with engine.begin() as connection:
        for old, new in ((2, 99), (4, 2), (99, 4)):
            connection.exec_driver_sql(f"UPDATE audit SET number = {new} WHERE customer = 'acme' AND number = {old}")
    assert [message for _, message in faults(written)] == [
        "entry 2 was moved: it says number 4",
        "entry 3 does not follow on the one before it",
        "entry 4 was moved: it says number 2",
        "entry 5 does not follow on the one before it",
    ]


def test_a_chain_that_was_made_anew_lacks_the_seal(written: Store, engine: sqlalchemy.Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM audit WHERE customer = 'acme'")
        connection.exec_driver_sql("DELETE FROM audit_heads WHERE customer = 'acme'")
    Store(engine).diagnoses.ask(FS01, "disk.top_dirs", {}, by="person:mallory", now=T)
    assert faults(written) == [("acme", "its end is not sealed with this collector's key")]
