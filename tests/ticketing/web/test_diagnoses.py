"""Diagnoses on the pages: asked by the provider's people, shown as they get on, in words first; the audit beside it."""

import time

import httpx

from tests.ticketing.web.world import WAIT, World
from ticketing.diagnosis.asked import Result, State
from ticketing.diagnosis.consent import Consent
from ticketing.scope import EVERYTHING

WICKED = "<b>/var/log</b> grew {{7*7}} =cmd"


def asked(world: World, incident: int, what: str = "disk.top_dirs path=/var/log count=3") -> int:
    return world.person("nora").post(f"/incidents/{incident}/diagnose", what=what).status_code


def answer(world: World, device: int, result: Result) -> None:
    for one in world.store.diagnoses.take(device, time.time()):
        world.store.diagnoses.answer(device, one.uid, result, time.time())


def test_a_diagnosis_from_asking_to_the_finding(world: World) -> None:
    incident = world.fault("acme-fs01")
    nora = world.person("nora")
    assert 'value="disk.top_dirs"' in nora.get(f"/incidents/{incident}").text
    assert asked(world, incident) == 303
    assert "waiting for the device" in nora.get(f"/incidents/{incident}").text
    done = Result(State.DONE, finding=WICKED, data='{"directories": [{"path": "/var/log/<app>"}]}', seconds=1.5)
    answer(world, 1, done)
    for path in (f"/incidents/{incident}", "/devices/1"):
        text = nora.get(path).text
        assert "&lt;b&gt;/var/log&lt;/b&gt; grew {{7*7}} =cmd" in text, path
        assert "<b>/var/log" not in text
    text = nora.get(f"/incidents/{incident}").text
    assert "/var/log/&lt;app&gt;" in text
    assert text.index("grew {{7*7}}") < text.index("<dt>Impact</dt>")
    (found,) = nora.get(f"/api/incidents/{incident}").json()["evidence"]["diagnoses"]
    assert (found["finding"], found["by"], found["data"]) == (
        WICKED,
        "person:nora",
        {"directories": [{"path": "/var/log/<app>"}]},
    )
    assert asked(world, incident) == 303  # again


def test_what_cannot_be_asked_is_told_plainly(world: World) -> None:
    incident = world.fault("acme-fs01")
    nora = world.person("nora")
    before = world.store.diagnoses.audit(EVERYTHING)
    for what, why in (
        ("shell.run command=ls", "there is no diagnosis"),
        ("disk.top_dirs path=../../etc", "path cannot be"),
        ("disk.top_dirs count=9999", "count is between 1 and 50"),
        ("snmp.interface", "cannot be asked for snmp.interface"),
        ("; rm -rf /", "that is no diagnosis"),
        ("", "that is no diagnosis"),
    ):
        for path in (f"/incidents/{incident}/diagnose", "/devices/1/diagnose"):
            answered = nora.post(path, what=what)
            assert (answered.status_code, why in answered.text) == (409, True), (what, answered.text)
    assert world.store.diagnoses.audit(EVERYTHING) == before


def test_denied_is_told_plainly(world: World) -> None:
    incident = world.fault("acme-fs01")
    asked(world, incident)
    answer(world, 1, Result(State.DENIED, "the user said no"))
    text = world.person("nora").get(f"/incidents/{incident}").text
    assert "not allowed on this device: the user said no" in text


def test_customers_see_theirs_if_they_are_let_and_ask_nothing(world: World) -> None:
    incident = world.fault("acme-fs01")
    asked(world, incident)
    answer(world, 1, Result(State.DONE, finding="it grew"))
    alice, bob = world.person("alice"), world.person("bob")
    assert "it grew" in alice.get(f"/incidents/{incident}").text
    for path in (f"/incidents/{incident}/diagnose", "/devices/1/diagnose"):
        assert alice.post(path, what="disk.top_dirs").status_code == 404
        assert bob.post(path, what="disk.top_dirs").status_code == 404
    assert "disk.top_dirs" in alice.get("/audit").text
    assert "disk.top_dirs" not in bob.get("/audit").text
    world.store.diagnoses.set_consent("acme", Consent(shown=False), by="person:nora", now=time.time())
    for path in (f"/incidents/{incident}", f"/api/incidents/{incident}", "/devices/1"):
        found = alice.get(path).text
        assert "Raw" not in found
        assert '"diagnoses": [{' not in found
    assert "consent" in alice.get("/audit").text


def test_the_audit_goes_on_over_pages(world: World) -> None:
    for _ in range(120):
        world.store.diagnoses.set_consent("acme", Consent(), by="person:nora", now=time.time())
    alice = world.person("alice")
    first = alice.get("/audit").text
    following = first.partition('href="/audit?before=')[2].partition('"')[0]
    assert ">120<" in first
    assert ">20<" in alice.get(f"/audit?before={following}").text
    for before in ("x", "-1", "9" * 30):
        assert alice.get(f"/audit?before={before}").status_code == 200


def test_open_pages_hear_of_each_step(world: World) -> None:
    incident = world.fault("acme-fs01")
    nora = world.person("nora")
    with nora.client.stream("GET", "/events", timeout=httpx.Timeout(WAIT)) as stream:
        lines = stream.iter_lines()
        next(line for line in lines if line.startswith("event: beat"))
        asked(world, incident)
        assert next(line for line in lines if f'"incidents": [{incident}]' in line)
