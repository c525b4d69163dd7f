"""How agents get requests and give results: held calls, signatures, bounds, and never another device's."""

import gzip
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.collector.diagnosis.conftest import Desk, Device
from tests.e2e.desk import eventually
from ticketing.scope import EVERYTHING


def push(desk: Desk, device: Device) -> dict[str, str]:
    """Push a row, and return the headers of the answer."""
    rows = {"series": ["node_load1"], "rows": [[time.time(), 1.0]]}
    status, _, headers = desk.request("POST", "/v1/push", rows, token=device.token, Content_Type="application/json")
    assert status == 204
    return {name.lower(): value for name, value in headers.items()}


def test_enrolment_and_the_key_of_a_device_are_the_same(desk: Desk) -> None:
    secret = desk.collector.register.create_enrol_token("acme", "hq", now=desk.collector.clock())
    wish = {"token": secret, "hostname": "keyed", "os": "linux"}
    _, answer, _ = desk.request("POST", "/v1/enrol", wish)
    assert answer["diagnosis_key"] == desk.collector.diagnosis_key.public
    assert desk.request("GET", "/v1/diagnosis-key", token=answer["token"])[1] == {
        "diagnosis_key": answer["diagnosis_key"]
    }
    assert (desk.collector.data / "diagnosis.key").stat().st_mode & 0o777 == 0o600


def test_a_held_call_is_answered_as_soon_as_somebody_asks(desk: Desk) -> None:
    device = desk.enrol()
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(desk.fetch, device, 55)
        eventually(lambda: desk.collector.desk.holding == 1)
        one = desk.ask(device, path="/var")
        (payload,) = held.result(30)
    assert payload == {
        "v": 1,
        "kind": "diagnosis",
        "id": one.uid,
        "device": device.instance,
        "name": "disk.top_dirs",
        "arguments": {"path": "/var"},
        "ticket": "",
        "by": "person:anna",
        "nonce": payload["nonce"],
        "issued": payload["issued"],
        "expires": payload["issued"] + 300,
    }
    assert len(payload["nonce"]) == 32
    assert desk.fetch(device) == []


def test_who_holds_no_call_is_told_by_the_answer_to_a_push(desk: Desk) -> None:
    device = desk.enrol(kind="desktop")
    desk.ask(device)
    eventually(lambda: push(desk, device).get("watchdesk-requests") == "1")
    assert len(desk.fetch(device)) == 1
    assert "watchdesk-requests" not in push(desk, device)


def test_those_who_should_hold_are_told_and_there_is_room_for_so_many(desk: Desk) -> None:
    devices = [desk.enrol() for _ in range(4)]
    eventually(lambda: any(push(desk, device).get("watchdesk-hold") == "55" for device in devices), seconds=60)
    advised = [device for device in devices if "watchdesk-hold" in push(desk, device)]
    assert len(advised) <= 3
    with ThreadPoolExecutor(4) as pool:
        held = [pool.submit(desk.fetch, device, 55) for device in devices[:3]]
        eventually(lambda: desk.collector.desk.holding == 3)
        started = time.monotonic()
        status, _, headers = desk.request("GET", "/v1/requests?hold=55", token=devices[3].token)
        assert (status, time.monotonic() - started < 30) == (204, True)
        assert headers["Watchdesk-Hold"] is not None
        for device in devices[:3]:  # a second call ends the first
            assert desk.fetch(device) == []
        assert [one.result(30) for one in held] == [[], [], []]


def test_a_request_for_somebody_who_has_gone_waits_for_them(desk: Desk) -> None:
    device = desk.enrol()
    with ThreadPoolExecutor(1) as pool:
        gone = pool.submit(desk.fetch, device, 1)
        assert gone.result(30) == []
    one = desk.ask(device)
    assert [each["id"] for each in desk.fetch(device, 55)] == [one.uid]


def test_results_are_taken_for_a_devices_own_requests_alone(desk: Desk) -> None:
    device, other, stranger = desk.enrol(), desk.enrol(), desk.enrol("globex")
    one = desk.ask(device)
    desk.fetch(device)
    assert desk.result(device, one.uid, "running") == 204
    for thief in (other, stranger):
        assert desk.result(thief, one.uid, finding="all is well") == 404
    assert desk.request("POST", "/v1/results", {"id": one.uid, "state": "done"})[0] == 401
    data = {"dirs": [{"path": "/var/log/app", "bytes": 24}]}
    assert desk.result(device, one.uid, finding="it grew", data=data, seconds=1.5) == 204
    for _ in range(3):
        assert desk.result(device, one.uid, finding="it grew", data=data, seconds=1.5) == 204
    assert desk.result(device, one.uid, "failed") == 409
    found = desk.store.diagnoses.find(EVERYTHING, one.uid)
    assert found is not None
    assert (found.finding, found.seconds) == ("it grew", 1.5)
    assert found.data == '{"dirs":[{"path":"/var/log/app","bytes":24}]}'


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"id": "x", "state": "done"}, 400),
        ({"id": "0" * 36, "state": "waiting"}, 400),
        ({"id": "0" * 36, "state": "done", "finding": "x" * 5000}, 400),
        ({"id": "0" * 36, "state": "done", "finding_values": {"a": [1]}}, 400),
        ({"id": "0" * 36, "state": "done", "sha256": "short"}, 400),
        ({"id": "0" * 36, "state": "done", "data": "x" * (300 << 10)}, 400),
        ({"id": "0" * 36, "state": "done", "data": "x" * (600 << 10)}, 413),
        ([1], 400),
        ({"id": "0" * 36, "state": "done"}, 404),
    ],
    ids=range(9),
)
def test_results_are_bounded_before_they_are_parsed(desk: Desk, body: Any, status: int) -> None:
    device = desk.enrol()
    assert desk.request("POST", "/v1/results", body, token=device.token)[0] == status


def test_a_bomb_and_deep_json_are_refused(desk: Desk) -> None:
    device = desk.enrol()
    bomb = gzip.compress(b" " * (64 << 20))
    found = desk.request("POST", "/v1/results", raw=bomb, token=device.token, Content_Encoding="gzip")
    assert found[0] == 413
    deep = b'{"id": "' + b"0" * 36 + b'", "state": "done", "data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert desk.request("POST", "/v1/results", raw=deep, token=device.token)[0] == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/requests"), ("GET", "/v1/requests?hold=55"), ("POST", "/v1/results"), ("GET", "/v1/diagnosis-key")],
)
def test_each_route_needs_a_token_and_its_method(desk: Desk, method: str, path: str) -> None:
    device = desk.enrol()
    wrong = "POST" if method == "GET" else "GET"
    assert desk.request(method, path)[0] == 401
    assert desk.request(method, path, token="wdd_nonsense")[0] == 401
    assert desk.request(wrong, path, token=device.token)[0] == 405
    desk.collector.register.retire(device.id, desk.collector.clock())
    eventually(lambda: desk.request(method, path, {}, token=device.token)[0] == 401)


def test_captured_bytes_have_no_effect_a_thousand_times_and_none_after_revocation(desk: Desk) -> None:
    device = desk.enrol()
    one = desk.ask(device)
    desk.fetch(device)
    assert desk.result(device, one.uid, finding="it grew") == 204
    before = desk.store.diagnoses.audit(EVERYTHING)
    for _ in range(100):  # a tenth of the count
        assert desk.result(device, one.uid, finding="it grew") == 204
        assert desk.fetch(device) == []
    assert desk.store.diagnoses.audit(EVERYTHING) == before
    desk.collector.register.retire(device.id, desk.collector.clock())
    eventually(lambda: desk.result(device, one.uid, finding="it grew") == 401)


def test_many_ask_and_answer_at_once(desk: Desk) -> None:
    devices = [desk.enrol() for _ in range(3)]
    done: list[str] = []

    def agent(device: Device) -> None:
        while len([uid for uid in done if uid]) < 12:
            for payload in desk.fetch(device, 1):
                assert payload["device"] == device.instance
                assert desk.result(device, payload["id"], finding="x") == 204
                done.append(payload["id"])

    threads = [threading.Thread(target=agent, args=(device,)) for device in devices]
    for thread in threads:
        thread.start()
    asked = [desk.ask(device, path=f"/{number}").uid for number in range(4) for device in devices]
    for thread in threads:
        thread.join(60)
    assert sorted(done) == sorted(asked)
