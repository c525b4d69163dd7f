"""The pages of the provider's staff: outbox, numbers of the rules, silences and maintenance; and what leaves as CSV."""

import csv
import io
import time
from typing import Any

import msgspec
import pytest

from tests.ticketing.alerts import alert
from tests.ticketing.web.test_hostile import HOSTILE, Reader
from tests.ticketing.web.world import World
from ticketing.outbox.routing import Router
from ticketing.outbox.settings import Notifications
from ticketing.scope import EVERYTHING
from ticketing.store import Store

HOOK = {"name": "hook", "kind": "webhook", "settings": {"url": "http://127.0.0.1:1/"}}


@pytest.fixture
def dead(world: World) -> int:
    """The number of a delivery that was given up."""
    settings = msgspec.convert({"recipients": [HOOK], "routes": [{"to": ["hook"]}]}, Notifications)
    store = Store(world.store._engine, router=Router(settings))
    now = time.time()
    store.apply([alert(mount=f"/dead{now}")], consumer=f"dead{now}", position=1, now=now)
    delivery = store.outbox.take("hook", now, 60)
    assert delivery is not None
    store.outbox.died(delivery, now, "HTTP 400 <b>no</b>", uncertain=True)
    return delivery.id


def state(world: World, number: int) -> str:
    return next(one.state for one in world.store.outbox.deliveries(EVERYTHING) if one.id == number)


def test_what_could_not_be_delivered_is_shown_and_can_be_tried_again_or_dropped(world: World, dead: int) -> None:
    nora = world.person("nora")
    page = Reader(nora.get("/outbox?state=dead").text)
    assert "HTTP 400 <b>no</b>" in page.text
    assert "may have arrived" in page.text
    assert page.acts == []
    assert nora.post(f"/outbox/{dead}/retry", page="/outbox").status_code == 303
    assert state(world, dead) == "waiting"
    assert nora.post(f"/outbox/{dead}/drop", page="/outbox").status_code == 303
    assert state(world, dead) == "dropped"
    assert nora.post(f"/outbox/{dead}/drop", page="/outbox").status_code == 404
    assert nora.post(f"/outbox/{dead}/explode", page="/outbox").status_code == 404


@pytest.mark.parametrize("path", ["/outbox", "/rules", "/quiet"])
def test_these_pages_are_the_staffs_alone(world: World, dead: int, path: str) -> None:
    alice = world.person("alice")
    assert alice.get(path).status_code == 404
    assert f'href="{path}"' not in alice.get("/").text
    for action in (f"/outbox/{dead}/retry", "/quiet/silence", "/quiet/maintenance", "/quiet/window/1/end"):
        assert alice.post(action).status_code == 404
    assert state(world, dead) == "dead"


def test_the_numbers_of_a_rule(world: World) -> None:
    nora = world.person("nora")
    numbers = [world.fault(name="Noisy") for _ in range(4)]
    for number, cause in zip(numbers[:2], ("not_a_fault", "threshold_too_low"), strict=True):
        answer = nora.post(f"/incidents/{number}/resolve", version=1, cause=cause)
        assert answer.status_code == 303
    world.alert(state="resolved", name="Noisy", mountpoint=mount_of(world, numbers[2]))
    (found,) = [one for one in world.store.rule_figures(EVERYTHING, 0.0) if one.alertname == "Noisy"]
    assert (found.tickets, found.open, found.unworked, found.noise, found.duplicates) == (4, 1, 1, 2, 0)
    assert found.share == 0.75
    assert "Noisy" in nora.get("/rules?days=1").text
    assert not [one for one in world.store.rule_figures(EVERYTHING, time.time() + 60) if one.alertname == "Noisy"]


def mount_of(world: World, number: int) -> str:
    incident = world.store.incident(EVERYTHING, number)
    assert incident is not None
    return incident.labels["mountpoint"]


def test_a_duplicate_names_the_other(world: World) -> None:
    nora = world.person("nora")
    first, second = world.fault(), world.fault()
    wrong = nora.post(f"/incidents/{second}/resolve", version=1, cause="duplicate", of="the other one")
    assert wrong.status_code == 400
    assert nora.post(f"/incidents/{second}/resolve", version=1, cause="duplicate", of=f"inc-{first}").status_code == 303
    told = world.store.timeline(EVERYTHING, second)
    assert told is not None
    assert told[-1].data["text"] == f"INC-{first}"


def test_a_silence_from_its_beginning_to_its_end(world: World) -> None:
    nora = world.person("nora")
    fields: dict[str, Any] = {"customer": "acme", "matchers": "alertname=Quiet\n", "hours": 2, "comment": "<i>new</i>"}
    assert nora.post("/quiet/silence", page="/quiet", **fields).status_code == 303
    (silence,) = world.store.calm.silences(EVERYTHING, time.time())
    assert (silence.owner, silence.customer) == ("nora", "acme")
    assert "<i>new</i>" in Reader(nora.get("/quiet").text).text
    for wrong in ({"matchers": "=~("}, {"matchers": "a=~("}, {"hours": 0}, {"hours": "1e9"}, {"matchers": ""}):
        answer = nora.post("/quiet/silence", page="/quiet", **{**fields, **wrong})
        assert answer.status_code == 400, wrong
    assert nora.post(f"/quiet/silence/{silence.id}/end", page="/quiet").status_code == 303
    assert world.store.calm.silences(EVERYTHING, time.time() + 1) == []
    assert nora.post(f"/quiet/silence/{silence.id}/end", page="/quiet").status_code == 404


def test_maintenance_in_local_time(world: World) -> None:
    nora = world.person("nora")
    fields: dict[str, Any] = {"customer": "acme", "site": "suzhou", "start": "2099-03-02T22:00", "minutes": 90}
    fields |= {"timezone": "Asia/Shanghai", "repeats": "weekly:mon"}
    assert nora.post("/quiet/maintenance", page="/quiet", **fields).status_code == 303
    (window,) = world.store.calm.windows(EVERYTHING, time.time())
    assert (window.starts_at, window.seconds) == (4076143200.0, 5400.0)
    assert "weekly:mon" in nora.get("/quiet").text
    for wrong in ({"timezone": "Moon"}, {"start": "soon"}, {"repeats": "often"}, {"minutes": -1}, {"customer": ""}):
        assert nora.post("/quiet/maintenance", page="/quiet", **{**fields, **wrong}).status_code == 400, wrong
    assert nora.post(f"/quiet/window/{window.id}/end", page="/quiet").status_code == 303
    assert world.store.calm.windows(EVERYTHING, time.time() + 1) == []


def test_incidents_as_a_table_of_which_no_cell_is_computed(world: World) -> None:
    formulas = ["=1+1", '=HYPERLINK("http://evil.example")', "+1", "-1", "@SUM(A1)", "\t=1", *HOSTILE]
    numbers = [world.fault(name=f"Sheet{index}", summary=text) for index, text in enumerate(formulas)]
    answer = world.person("nora").get("/incidents.csv?show=all&q=sheet")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = {row["number"]: row for row in csv.DictReader(io.StringIO(answer.text))}
    for number, text in zip(numbers, formulas, strict=True):
        cell = rows[f"INC-{number}"]["summary"]
        assert cell.replace("'", "").strip() == text.replace("'", "").strip(), text
        assert not cell.startswith(("=", "+", "-", "@", "\t")), text
    other = world.person("bob").get("/incidents.csv?show=all").text
    assert "acme" not in other


def test_the_queue_narrowed_to_a_severity(world: World) -> None:
    worse, better = world.fault(severity="critical"), world.fault(severity="warning")
    found = world.person("nora").get("/?severity=warning").text
    assert f"/incidents/{better}" in found
    assert f"/incidents/{worse}" not in found
