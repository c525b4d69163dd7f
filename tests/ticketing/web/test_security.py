"""Who sees what: each route, found by this test itself, for two customers, a stranger and nobody."""

import re

import httpx
import pytest
from starlette.routing import Route

from tests.ticketing.web.world import NOBODYS_ID, World
from ticketing.scope import EVERYTHING
from ticketing.web.app import routes
from ticketing.web.visit import MAX_BODY
from ticketing.work import Deed

PUBLIC = {("GET", "/login"), ("POST", "/login"), ("GET", "/static/{name}")}
# What the others' things are called; none of it may ever be in an answer to bob or charlie.
ACMES = (r"acme|suzhou", r"fs01|pc7|acme-")
GLOBEXS = (r"globex|berlin", r"-mail|sw1|globex-")


def every_route(world: World) -> list[tuple[str, str]]:
    """Return (method, path) of all routes that the application has."""
    found = []
    for route in routes(world.store, world.accounts, world.fleet, live=world.live):
        assert isinstance(route, Route)
        found += [(method, route.path) for method in sorted(route.methods or ()) if method != "HEAD"]
    return found


def filled(path: str, *, incident: int, device: int, deed: str = "comment", name: str = "watchdesk.css") -> str:
    """Return a path with its parameters filled in; one that this test does not know is an error."""
    others = {"delivery": 1, "what": "drop", "number": 1, "stranger": 7, "decision": "denied"}
    return path.format(incident=incident, device=device, deed=deed, name=name, **others)


def test_the_test_knows_the_routes(world: World) -> None:
    assert len(every_route(world)) == 30
    assert set(every_route(world)) >= PUBLIC


def test_nothing_without_signing_in_but_the_login_and_the_static_files(world: World) -> None:
    incident = world.fault()
    stranger = world.visitor()
    for method, path in every_route(world):
        answer = stranger.client.request(
            method, filled(path, incident=incident, device=1), data={"text": "x"} if method == "POST" else None
        )
        if (method, path) in PUBLIC:
            assert answer.status_code in {200, 403}, path
        elif path.startswith(("/api", "/events")):
            assert answer.status_code == 401, path
        else:
            assert answer.status_code == 303, path
            assert answer.headers["location"].startswith("/login"), path
        assert not re.search(ACMES[1], answer.text), path


@pytest.mark.parametrize("name", ["bob", "charlie"])
def test_a_foreign_incident_or_device_is_a_404_like_one_that_does_not_exist(world: World, name: str) -> None:
    incident = world.fault()
    before = world.store.incident(EVERYTHING, incident)
    person = world.person(name)
    for method, path in every_route(world):
        if "{incident}" not in path and "{device}" not in path:
            continue
        for deed in Deed:
            answers = []
            for number, device in ((incident, 1), (NOBODYS_ID, NOBODYS_ID)):
                address = filled(path, incident=number, device=device, deed=deed.value)
                answers.append(person.get(address) if method == "GET" else act(person.client, person.token(), address))
            assert [answer.status_code for answer in answers] == [404, 404], (path, deed)
            bodies = [re.sub(r"\d{6,}|data-\w+=\"[^\"]*\"|value=\"[^\"]*\"", "", answer.text) for answer in answers]
            assert bodies[0] == bodies[1], (path, deed)
    assert world.store.incident(EVERYTHING, incident) == before


def act(client: httpx.Client, token: str, address: str) -> httpx.Response:
    """Send a form that has everything any deed may need; it even names its victim's customer."""
    fields = {"text": "mine now", "version": "1", "reason": "waiting_for_parts", "cause": "fixed"}
    return client.post(address, data={"csrf": token, "customer": "acme", **fields})


@pytest.mark.parametrize(
    ("name", "foreign"),
    [("bob", ACMES), ("alice", GLOBEXS), ("charlie", ACMES), ("charlie", GLOBEXS)],
)
def test_lists_show_nothing_of_others(world: World, name: str, foreign: tuple[str, str]) -> None:
    world.alert("acme-fs01")
    world.alert("globex-mail")
    person = world.person(name)
    slugs, devices = foreign
    for method, path in every_route(world):
        if method != "GET" or "{" in path or path == "/events":
            continue
        assert not re.search(slugs, person.get(path).text), path
        for query in (
            "customer=acme",
            "customer=globex",
            "site=berlin",
            "show=all",
            "q=a",
            "after=1.999999",
            "state=alive",
        ):
            assert not re.search(devices, person.get(f"{path}?{query}").text), (path, query)


def test_a_customer_sees_its_own(world: World) -> None:
    incident = world.fault("acme-fs01")
    alice = world.person("alice")
    assert "acme-fs01" in alice.get("/").text
    assert alice.get(f"/incidents/{incident}").status_code == 200
    assert alice.get("/devices/1").status_code == 200
    listed = alice.get("/api/incidents").json()["incidents"]
    assert incident in {one["id"] for one in listed}
    assert {one["customer"] for one in listed} == {"acme"}


def test_a_customer_may_comment_and_do_nothing_else(world: World) -> None:
    incident = world.fault("acme-fs01")
    alice = world.person("alice")
    for deed in Deed:
        answer = act(alice.client, alice.token(), f"/incidents/{incident}/{deed.value}")
        assert answer.status_code == (303 if deed is Deed.COMMENT else 404), deed
    assert "acknowledge" not in alice.get(f"/incidents/{incident}").text


def test_an_internal_comment_is_for_the_staff_alone(world: World) -> None:
    incident = world.fault("acme-fs01")
    nora, alice = world.person("nora"), world.person("alice")
    nora.post(f"/incidents/{incident}/comment", text="they never pay", internal=1)
    alice.post(f"/incidents/{incident}/comment", text="please hurry", internal=1)
    assert "they never pay" in nora.get(f"/incidents/{incident}").text
    for path in (f"/incidents/{incident}", f"/api/incidents/{incident}"):
        assert "they never pay" not in alice.get(path).text
        assert "please hurry" in alice.get(path).text


def test_every_answer_carries_the_security_headers(world: World) -> None:
    incident = world.fault()
    for visitor in (world.visitor(), world.person("nora")):
        for method, path in every_route(world):
            address = filled(path, incident=incident, device=1)
            with visitor.client.stream(method, address) as answer:
                policy = answer.headers["content-security-policy"]
                assert "default-src 'none'" in policy
                assert "frame-ancestors 'none'" in policy
                assert "unsafe" not in policy
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert answer.headers["referrer-policy"] == "same-origin"
                kept = "immutable" in answer.headers["cache-control"]
                assert answer.headers["cache-control"] in {"no-store", "no-cache"} or (kept and "static" in path)


def test_pages_hold_no_script_and_no_style_of_their_own(world: World) -> None:
    incident = world.fault()
    nora = world.person("nora")
    for path in ("/", f"/incidents/{incident}", "/devices", "/devices/1", "/nowhere"):
        text = nora.get(path).text
        assert not re.search(
            r"<script(?! type=\"module\" src=\"/static/watchdesk.js\?v=[0-9a-f]{12}\"></script>)", text
        )
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text)
        assert not re.search(r"(?:src|href)=\"(?:https?:)?//", text)


def test_a_form_without_our_token_is_refused(world: World) -> None:
    incident = world.fault()
    nora, other = world.person("nora"), world.person("nora")
    before = world.store.incident(EVERYTHING, incident)
    for method, path in every_route(world):
        if method != "POST":
            continue
        address = filled(path, incident=incident, device=1)
        fields = {"text": "forged", "name": "nora", "password": "x", "set": "theme:dark"}
        for token in ({}, {"csrf": ""}, {"csrf": "0" * 64}, {"csrf": other.token()}, {"csrf": "é"}):
            assert nora.client.post(address, data={**fields, **token}).status_code == 403, path
        crossing = nora.client.post(
            address, data={**fields, "csrf": nora.token()}, headers={"Sec-Fetch-Site": "cross-site"}
        )
        assert crossing.status_code == 403, path
    assert world.store.incident(EVERYTHING, incident) == before


def test_bodies_are_bounded(world: World) -> None:
    nora = world.person("nora")
    incident = world.fault()
    path, token = f"/incidents/{incident}/comment", nora.token()
    fits = {"csrf": token, "text": "x" * 7_000}
    assert nora.client.post(path, data=fits).status_code == 303
    assert nora.client.post(path, data={**fits, "text": "x" * 9_000}).status_code == 400
    assert nora.client.post(path, data={**fits, "text": "x" * MAX_BODY}).status_code == 413

    def endless() -> object:
        while True:
            yield b"text=" + b"x" * 65536

    urlencoded = {"Content-Type": "application/x-www-form-urlencoded"}
    try:
        answer = nora.client.post(path, content=endless(), headers=urlencoded)  # type: ignore[arg-type]
    except httpx.TransportError:
        pass  # the server answered and hung up while this was still sending
    else:
        assert answer.status_code == 413
    many = "&".join(f"f{i}=1" for i in range(100))
    assert nora.client.post(path, content=many, headers=urlencoded).status_code == 400
    assert nora.client.post(path, content=b"text=%ff", headers=urlencoded).status_code == 400
    assert nora.client.post(path, content=b"\xff", headers=urlencoded).status_code == 400
    assert nora.client.post(path, json={"csrf": token}).status_code == 400
    assert nora.client.post(path, data=fits, files={"f": b"x"}).status_code == 400


def test_paths_that_are_no_paths_of_ours(world: World) -> None:
    nora = world.person("nora")
    for path in (
        "/incidents/0x1",
        "/incidents/-1",
        "/incidents/１",
        f"/incidents/{10**30}",
        "/devices/1e3",
        "/incidents/a%00b",
    ):
        assert nora.get(path).status_code == 404, path
    for name in ("..%2f..%2fapp.py", "nothing.js", "%2e%2e"):
        assert nora.get(f"/static/{name}").status_code == 404, name


@pytest.mark.parametrize(
    "where", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\r\nX: y"]
)
def test_after_signing_in_the_way_leads_nowhere_else(world: World, where: str) -> None:
    visitor = world.visitor()
    answer = visitor.post("/login", page="/login", name="nora", password="correct horse battery staple", next=where)
    assert answer.headers["location"] == "/"
