"""A storm of alerts of one customer: all are recorded, grouped by what they have in common, and others are as ever."""

import dataclasses

import pytest
import sqlalchemy

from tests.bench.incidents import alert as fault
from tests.ticketing.alerts import T, alert
from ticketing.alert import Alert, fingerprint
from ticketing.models import IncidentRow, TimelineRow
from ticketing.scope import EVERYTHING, Scope
from ticketing.store import Filter, Store

RULES = 20  # of which every device has one that fires


def storm(size: int, at: float) -> list[Alert]:
    """Distinct alerts of a customer: RULES rules on size / RULES devices."""
    found = []
    for number in range(size):
        one = fault(number, "firing", 91.0, T + at)
        labels = {**one.labels, "customer": "acme", "alertname": f"Rule{number % RULES}"}
        found.append(
            dataclasses.replace(
                one,
                customer="acme",
                name=labels["alertname"],
                labels=labels,
                active_at=T + at,
                fingerprint=fingerprint(labels),
            )
        )
    return found


@pytest.mark.parametrize("size", [1_000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_all_are_recorded_and_grouped_and_another_customer_is_as_ever(
    store: Store, engine: sqlalchemy.Engine, size: int
) -> None:
    alerts = storm(size, 0.0)
    parts = 10
    for part in range(parts):
        mine = alerts[part::parts]
        changes = [*mine, alert(at=part, customer="other", mount=f"/{part}")]
        store.apply(changes, consumer="test", position=part + 1, now=T + part)
    with engine.connect() as connection:
        rows = connection.scalar(sqlalchemy.select(sqlalchemy.func.count()).select_from(IncidentRow))
        opened = sqlalchemy.select(sqlalchemy.func.count()).where(TimelineRow.action == "open")
        assert connection.scalar(opened) == rows
        assert rows == size + RULES + parts
    queue = store.incidents(Scope("acme"), limit=100).incidents
    assert sorted(one.alertname for one in queue) == sorted(f"Rule{number}" for number in range(RULES))
    members = [store.incident(EVERYTHING, one.id) for one in queue]
    assert sum(len(one.members) for one in members if one) == size
    assert len(store.incidents(Scope("other"), Filter(), limit=100).incidents) == parts
    assert store.counts(Scope("acme")).total == RULES
