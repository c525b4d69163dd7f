"""A request from asking to its result: each step once, each in the audit, nothing of another device's."""

import pytest

from tests.ticketing.alerts import T, alert
from tests.ticketing.diagnosis.world import FS01
from ticketing.diagnosis.asked import Diagnosis, Result, State, Subject
from ticketing.diagnosis.book import TRIES, UNHEARD, WAITS, Budget, Gone, Over
from ticketing.diagnosis.consent import Consent
from ticketing.errors import Conflict, Refused
from ticketing.scope import EVERYTHING, Scope
from ticketing.store import Store
from ticketing.work import Acknowledge

DONE = Result(
    State.DONE,
    finding="/var/log/app grew 24 GB since 06:05",
    data='{"dirs": [{"path": "/var/log/app", "bytes": 24}]}',
    sha256="a" * 64,
)


def asked(store: Store, at: float = 0, *, incident: int | None = None, subject: Subject = FS01) -> Diagnosis:
    return store.diagnoses.ask(
        subject, "disk.top_dirs", {"path": "/var"}, by="person:anna", now=T + at, incident=incident
    )


def opened(store: Store, position: int = 1, mount: str = "/var") -> int:
    (incident,) = store.apply([alert(mount=mount)], consumer="test", position=position, now=T)
    return incident


def actions(store: Store) -> list[str]:
    return [entry.facts["action"] for entry in store.diagnoses.audit(EVERYTHING)][::-1]


def test_from_asking_to_the_ticket(store: Store) -> None:
    incident = opened(store)
    heard: list[int] = []
    store.diagnoses.asked = heard.append
    one = asked(store, incident=incident)
    assert heard == [1]
    assert store.diagnoses.devices_waiting(T) == {1}
    (taken,) = store.diagnoses.take(1, T + 1)
    assert (taken.uid, taken.what, taken.ticket) == (one.uid, "disk.top_dirs path=/var", f"INC-{incident}")
    assert store.diagnoses.devices_waiting(T + 1) == set()
    for state in (State.ASKING, State.RUNNING):
        assert store.diagnoses.answer(1, one.uid, Result(state), T + 2).state is state
    done = store.diagnoses.answer(1, one.uid, DONE, T + 3)
    assert (done.state, done.finding, done.done_at) == (State.DONE, DONE.finding, T + 3)
    assert actions(store) == ["asked", "sent", "asking", "running", "done"]
    entry = (store.timeline(EVERYTHING, incident) or [])[-1]
    assert (entry.action, entry.reason) == ("diagnose", "done")
    assert entry.data["text"] == "/var/log/app grew 24 GB since 06:05 (disk.top_dirs path=/var)"
    (found,) = store.diagnoses.of_incident(Scope("acme"), incident)
    assert found.data == DONE.data
    assert found.audit == store.diagnoses.audit(EVERYTHING)[0].hash


def test_a_device_answers_only_its_own_and_only_once(store: Store) -> None:
    one = asked(store)
    store.diagnoses.take(1, T)
    for device, uid in ((2, one.uid), (1, "0" * 36)):
        with pytest.raises(Gone):
            store.diagnoses.answer(device, uid, DONE, T)
    store.diagnoses.answer(1, one.uid, DONE, T)
    before = actions(store)
    for result in (DONE, DONE):
        assert store.diagnoses.answer(1, one.uid, result, T + 9).done_at == T
    for late in (Result(State.FAILED), Result(State.DONE, "other", sha256="b" * 64), Result(State.RUNNING)):
        with pytest.raises(Over):
            store.diagnoses.answer(1, one.uid, late, T + 9)
    assert actions(store) == before


def test_a_step_back_is_none(store: Store) -> None:
    one = asked(store)
    store.diagnoses.take(1, T)
    store.diagnoses.answer(1, one.uid, Result(State.RUNNING), T)
    assert store.diagnoses.answer(1, one.uid, Result(State.ASKING), T).state is State.RUNNING


def test_what_was_not_heard_of_is_handed_out_again_and_given_up_in_the_end(store: Store) -> None:
    one = asked(store)
    now = T
    for number in range(TRIES):
        assert [each.tries for each in store.diagnoses.take(1, now)] == [number]
        assert store.diagnoses.take(1, now + 1) == []
        assert store.diagnoses.sweep(now + 1) == []
        now += UNHEARD
    assert store.diagnoses.take(1, now) == []
    assert [each.uid for each in store.diagnoses.sweep(now)] == [one.uid]
    found = store.diagnoses.find(EVERYTHING, one.uid)
    assert found is not None
    assert (found.state, found.reason) == (State.TIMEOUT, "nothing was heard of it")


def test_what_nobody_fetched_is_given_up(store: Store) -> None:
    one = asked(store)
    assert store.diagnoses.sweep(T + WAITS - 1) == []
    assert [each.uid for each in store.diagnoses.sweep(T + WAITS)] == [one.uid]
    assert store.diagnoses.devices_waiting(T + WAITS) == set()


def test_what_nobody_was_there_to_take_waits_on(store: Store) -> None:
    asked(store)
    taken = store.diagnoses.take(1, T)
    store.diagnoses.put_back(taken)
    assert [each.tries for each in store.diagnoses.take(1, T)] == [0]


def test_what_is_under_way_is_not_asked_twice(store: Store) -> None:
    incident = opened(store)
    assert asked(store, incident=incident).uid == asked(store, incident=incident).uid
    assert asked(store).uid != asked(store, incident=incident).uid


def test_people_have_a_budget_too(store: Store) -> None:
    store.diagnoses.budget = Budget(person=2)
    for mount in ("/a", "/b"):
        store.diagnoses.ask(FS01, "disk.top_dirs", {"path": mount}, by="person:anna", now=T)
    with pytest.raises(Refused, match="2 times within ten minutes"):
        asked(store)
    assert asked(store, at=601).state is State.WAITING


def test_a_customer_may_only_tighten(store: Store) -> None:
    one = asked(store)
    store.diagnoses.set_consent("acme", Consent(frozenset({"names"}), shown=False), by="person:anna", now=T)
    found = store.diagnoses.find(EVERYTHING, one.uid)
    assert found is not None
    assert found.state is State.DENIED
    with pytest.raises(Refused, match="never lets names"):
        asked(store)
    with pytest.raises(Refused, match="content"):
        store.diagnoses.set_consent("acme", Consent(frozenset({"screen"})), by="person:anna", now=T)
    assert store.diagnoses.consent("acme") == Consent(frozenset({"names"}), shown=False)
    assert store.diagnoses.consent("globex") == Consent()
    assert store.diagnoses.ask(FS01, "net.ping", {}, by="person:anna", now=T).state is State.WAITING


def test_findings_are_for_their_customer_if_it_wants_them(store: Store) -> None:
    incident = opened(store)
    one = asked(store, incident=incident)
    assert store.diagnoses.find(Scope("globex"), one.uid) is None
    assert store.diagnoses.of_incident(Scope("globex"), incident) == []
    assert store.diagnoses.of_device(Scope("globex"), 1) == []
    assert [each.uid for each in store.diagnoses.of_device(Scope("acme"), 1)] == [one.uid]
    store.diagnoses.set_consent("acme", Consent(shown=False), by="person:anna", now=T)
    assert store.diagnoses.of_incident(Scope("acme"), incident) == []
    store.diagnoses.take(1, T)
    store.diagnoses.answer(1, one.uid, DONE, T)
    assert (store.timeline(EVERYTHING, incident) or [])[-1].internal


def test_a_finding_does_not_take_the_place_of_what_a_person_saw(store: Store) -> None:
    incident = opened(store)
    one = asked(store, incident=incident)
    store.diagnoses.take(1, T)
    store.diagnoses.answer(1, one.uid, DONE, T)
    seen = store.act(EVERYTHING, incident, Acknowledge(), actor="anna", now=T + 1, version=1)
    assert seen is not None
    assert seen.acknowledged_by == "anna"
    with pytest.raises(Conflict):
        store.act(EVERYTHING, incident, Acknowledge(), actor="ben", now=T + 2, version=1)


def test_what_devices_say_is_harmless_before_it_is_stored(store: Store) -> None:
    incident = opened(store)
    one = asked(store, incident=incident)
    store.diagnoses.take(1, T)
    wicked = Result(State.DONE, finding="\x1b[31m<b>full</b>\u202e=cmd", finding_values={"a\r\nb": "c\u2066"})
    found = store.diagnoses.answer(1, one.uid, wicked, T)
    assert found.finding == "<b>full</b>=cmd"
    assert found.finding_values == {"a b": "c"}


def test_old_data_goes_and_findings_stay(store: Store) -> None:
    one = asked(store)
    store.diagnoses.take(1, T)
    store.diagnoses.answer(1, one.uid, DONE, T)
    store.diagnoses.forget(T)
    assert getattr(store.diagnoses.find(EVERYTHING, one.uid), "data", "") == DONE.data
    store.diagnoses.forget(T + 1)
    found = store.diagnoses.find(EVERYTHING, one.uid)
    assert found is not None
    assert (found.data, found.finding) == (None, DONE.finding)
