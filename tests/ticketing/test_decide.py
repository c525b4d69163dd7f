"""The life of an incident as tables: what has happened before, what comes, what is decided and why."""

from itertools import pairwise

import pytest
from msgspec.structs import replace

from tests.ticketing.alerts import T, alert
from ticketing.alert import Alert
from ticketing.decide import DAY, DEFAULT, HOUR, Action, Decision, Reason, decide, wake_at
from ticketing.fold import Case
from ticketing.incident import Cause, Incident, PendingReason, State
from ticketing.work import Acknowledge, Act, Assign, Comment, Pend, Resolve

PERSON = "erin"


def after(*happened: Alert | tuple[float, Act]) -> Case:
    """Return the case after alerts and people's acts, each act `(seconds, act)`."""
    case = Case("acme", "key")
    numbers = iter(range(1, 1000))
    for one in happened:
        if isinstance(one, Alert):
            case.take(one, one.at, DEFAULT, numbers.__next__)
        else:
            case.perform(one[1], PERSON, T + one[0])
    return case


def incident(case: Case) -> Incident:
    assert case.incident is not None
    return case.incident


OPENED = alert()
RESOLVED = (alert(), alert("resolved", 60))
FLAPPING = (alert(), alert("resolved", 60), alert(at=120), alert("resolved", 180))

TABLE: dict[str, tuple[tuple[Alert | tuple[float, Act], ...], Alert, Action, Reason]] = {
    "first": ((), alert(), Action.OPEN, Reason.NEW_FAULT),
    "end of nothing": ((), alert("resolved"), Action.NOTHING, Reason.NO_INCIDENT),
    "no data of nothing": ((), alert("stale"), Action.NOTHING, Reason.NO_INCIDENT),
    "the same again": ((OPENED,), alert(), Action.NOTHING, Reason.DUPLICATE),
    "older": ((OPENED,), alert("resolved", -5), Action.NOTHING, Reason.LATE),
    "repeated": ((OPENED,), alert(at=9), Action.UPDATE, Reason.REPEATED),
    "new value": ((OPENED,), alert(at=9, value=95.0), Action.UPDATE, Reason.NEW_VALUE),
    "worse": ((OPENED,), alert(at=9, severity="critical"), Action.CHANGE_SEVERITY, Reason.WORSE),
    "another alert": ((OPENED,), alert(at=9, mount="/b"), Action.UPDATE, Reason.JOINED),
    "no data": ((OPENED,), alert("stale", 9), Action.UPDATE, Reason.NO_DATA),
    "still no data": ((OPENED, alert("stale", 9)), alert("stale", 19), Action.NOTHING, Reason.ALREADY),
    "data is back": ((OPENED, alert("stale", 9)), alert(at=19), Action.UPDATE, Reason.DATA_BACK),
    "better after no data": ((OPENED, alert("stale", 9)), alert("resolved", 19), Action.RESOLVE, Reason.NOBODY_WORKED),
    "untouched": ((OPENED,), alert("resolved", 60), Action.RESOLVE, Reason.NOBODY_WORKED),
    "only seen": ((OPENED, (5, Acknowledge())), alert("resolved", 60), Action.RESOLVE, Reason.NOBODY_WORKED),
    "commented": ((OPENED, (5, Comment("hm"))), alert("resolved", 60), Action.RECOVER, Reason.WORKED_ON),
    "owned": ((OPENED, (5, Assign("erin"))), alert("resolved", 60), Action.RECOVER, Reason.WORKED_ON),
    "waiting": (
        (OPENED, (5, Pend(PendingReason.PARTS))),
        alert("resolved", 60),
        Action.RECOVER,
        Reason.WORKED_ON,
    ),
    "recovered, again": (
        (OPENED, (5, Comment("hm")), alert("resolved", 60)),
        alert(at=90),
        Action.UPDATE,
        Reason.FIRING_AGAIN,
    ),
    "one of two ends": (
        (OPENED, alert(at=9, mount="/b")),
        alert("resolved", 60),
        Action.UPDATE,
        Reason.OTHERS_FIRE,
    ),
    "the worse of two ends": (
        (OPENED, alert(at=9, severity="critical")),
        alert("resolved", 60, severity="critical"),
        Action.CHANGE_SEVERITY,
        Reason.BETTER,
    ),
    "the other has no data": (
        (OPENED, alert(at=9, mount="/b"), alert("stale", 20, mount="/b")),
        alert("resolved", 60),
        Action.UPDATE,
        Reason.OTHERS_FIRE,
    ),
    "late after the end": (RESOLVED, alert(at=30, mount="/b"), Action.NOTHING, Reason.LATE),
    "ended twice": (RESOLVED, alert("resolved", 90), Action.NOTHING, Reason.ALREADY),
    "soon again": (RESOLVED, alert(at=90), Action.REOPEN, Reason.WITHIN_WINDOW),
    "last moment": (RESOLVED, alert(at=60 + DAY), Action.REOPEN, Reason.WITHIN_WINDOW),
    "a day later": (RESOLVED, alert(at=61 + DAY), Action.OPEN, Reason.REPEAT),
    "100 days later": (RESOLVED, alert(at=100 * DAY), Action.OPEN, Reason.NEW_FAULT),
    "goes on after a person": (
        (OPENED, (30, Resolve(Cause.NOT_A_FAULT))),
        alert(at=60, active_at=0),
        Action.NOTHING,
        Reason.RESOLVED_BY_PERSON,
    ),
    "gets worse after a person": (
        (OPENED, (30, Resolve(Cause.NOT_A_FAULT))),
        alert(at=60, severity="critical"),
        Action.REOPEN,
        Reason.WITHIN_WINDOW,
    ),
    "ends after a person": (
        (OPENED, (30, Resolve(Cause.FIXED))),
        alert("resolved", 60),
        Action.UPDATE,
        Reason.AFTERWARDS,
    ),
    "comes back after a person": (
        (OPENED, (30, Resolve(Cause.FIXED)), alert("resolved", 60)),
        alert(at=90),
        Action.REOPEN,
        Reason.WITHIN_WINDOW,
    ),
    "fourth change": (FLAPPING[:-1], FLAPPING[-1], Action.ENTER_FLAPPING, Reason.MANY_CHANGES),
    "fifth change": (FLAPPING, alert(at=240), Action.UPDATE, Reason.FLAPPING),
    "slow changes": (
        (alert(), alert("resolved", HOUR), alert(at=2 * HOUR)),
        alert("resolved", 3 * HOUR),
        Action.RESOLVE,
        Reason.NOBODY_WORKED,
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_decision(name: str) -> None:
    happened, comes, action, reason = TABLE[name]
    decision = decide(after(*happened).incident, comes, comes.at, DEFAULT)
    assert (decision.action, decision.reason) == (action, reason)


def test_an_alert_from_the_future_counts_as_of_now() -> None:
    case = Case("acme", "key")
    case.take(alert(at=5000), T, DEFAULT, lambda: 1)
    assert incident(case).opened_at == T


def test_what_is_waiting_for_nothing_has_no_time_to_wake() -> None:
    assert wake_at(incident(after(OPENED)), DEFAULT) is None


def test_a_resolved_incident_closes_when_it_can_no_longer_be_reopened() -> None:
    case = after(*RESOLVED)
    case.wake(T + 60 + DAY - 1, DEFAULT)
    assert incident(case).state is State.RESOLVED
    case.wake(T + 60 + 5 * DAY, DEFAULT)
    assert (incident(case).state, incident(case).closed_at) == (State.CLOSED, T + 60 + DAY)


def test_flapping_ends_half_an_hour_after_the_last_change_and_then_resolves() -> None:
    case = after(*FLAPPING)
    assert (incident(case).state, incident(case).flapping_since) == (State.OPEN, T + 180)
    case.wake(T + 10 * HOUR, DEFAULT)
    done = incident(case)
    assert (done.state, done.recovered_at, done.resolved_at) == (State.RESOLVED, T + 180, T + 180 + HOUR / 2)
    assert done.flapping_since is None


def test_flapping_that_ends_burning_stays_open() -> None:
    case = after(*FLAPPING, alert(at=240))
    case.wake(T + 10 * HOUR, DEFAULT)
    assert (incident(case).state, incident(case).flapping_since) == (State.OPEN, None)
    assert case.entries[-1].action == "leave_flapping"


def test_flapping_keeps_a_counter_and_makes_at_most_one_note_an_hour() -> None:
    case = after(*FLAPPING)
    begun = len(case.entries)
    for minute in range(6, 6 + 180):
        case.take(alert("firing" if minute % 2 else "resolved", minute * 60), T + minute * 60, DEFAULT, lambda: 2)
    assert incident(case).id == 1
    assert incident(case).count == 2 + 90
    notes = [entry for entry in case.entries[begun:] if not entry.quiet]
    assert len(notes) == 3
    assert all(later.at - earlier.at >= HOUR for earlier, later in pairwise(notes))
    assert len(case.entries) - begun <= 2 * len(notes) + 1  # between two notes one quiet entry takes in all


def test_an_acknowledgement_holds_until_things_get_worse() -> None:
    seen = after(OPENED, (5, Acknowledge()), alert(at=10, value=95.0))
    assert incident(seen).state is State.ACKNOWLEDGED
    seen.take(alert(at=20, severity="critical"), T + 20, DEFAULT, lambda: 2)
    assert (incident(seen).state, incident(seen).acknowledged_by) == (State.OPEN, None)


def test_waiting_ends_at_its_time() -> None:
    case = after(OPENED, (5, Pend(PendingReason.PARTS, until=T + 100)))
    case.wake(T + 99, DEFAULT)
    assert incident(case).state is State.PENDING
    case.wake(T + 101, DEFAULT)
    assert (incident(case).state, incident(case).updated_at) == (State.IN_PROGRESS, T + 100)


def test_priority_moves_with_severity() -> None:
    case = after(OPENED)
    assert incident(case).priority == 3
    case.take(alert(at=9, severity="critical"), T + 9, DEFAULT, lambda: 2)
    assert incident(case).priority == 1
    assert case.entries[-1].data["was"] == {"severity": "warning", "priority": 3}


def test_a_quiet_decision_is_told_as_such() -> None:
    assert decide(incident(after(OPENED)), alert(at=9), T + 9, DEFAULT) == Decision(
        Action.UPDATE, Reason.REPEATED, quiet=True
    )
    old = replace(incident(after(OPENED)), noted_at=T - 1000)
    assert not decide(old, alert(at=9, value=1.0), T + 9, DEFAULT).quiet
