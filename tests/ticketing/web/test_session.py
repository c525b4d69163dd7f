"""Signing in and out, and what the cookies keep."""

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from tests.ticketing.web.world import PASSWORD, World, served
from ticketing.web.visit import Visit, local_path, preferred, set_cookie


def cookie(answer: httpx.Response, what: str) -> str:
    (found,) = [one for one in answer.headers.get_list("set-cookie") if f"watchdesk-{what}-" in one]
    return found


def test_the_session_is_a_cookie_that_scripts_and_other_sites_cannot_use(world: World) -> None:
    visitor = world.visitor()
    answer = visitor.post("/login", page="/login", name="nora", password=PASSWORD)
    kept = cookie(answer, "session")
    assert "HttpOnly" in kept
    assert "SameSite=lax" in kept
    assert "Path=/" in kept
    assert "Secure" not in kept  # this server speaks plain HTTP; see the next test


def test_signing_in_gives_a_new_session_each_time(world: World) -> None:
    first, second = world.person("nora"), world.person("nora")
    assert set(first.client.cookies.values()) & set(second.client.cookies.values()) == set()


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("nora", "wrong"),
        ("nobody", PASSWORD),
        ("nora", ""),
        ("", PASSWORD),
        ("nora", "x" * 5000),
        ("watchdesk", PASSWORD),
    ],
)
def test_what_is_wrong_is_refused_with_one_answer(world: World, name: str, password: str) -> None:
    visitor = world.visitor()
    answer = visitor.post("/login", page="/login", name=name, password=password)
    assert answer.status_code == 401
    assert "Name and password do not match." in answer.text
    assert visitor.get("/").status_code == 303


def test_after_signing_in_the_page_that_was_asked_for(world: World) -> None:
    incident = world.alert()
    visitor = world.visitor()
    first = visitor.get(f"/incidents/{incident}?x=1")
    assert first.headers["location"] == f"/login?next=%2Fincidents%2F{incident}%3Fx%3D1"
    shown = visitor.get(first.headers["location"])
    assert f'value="/incidents/{incident}?x=1"' in shown.text
    answer = visitor.post("/login", page="/login", name="nora", password=PASSWORD, next=f"/incidents/{incident}?x=1")
    assert answer.headers["location"] == f"/incidents/{incident}?x=1"


def test_a_form_without_a_session_leads_back_to_its_page(world: World) -> None:
    incident = world.fault()
    answer = world.visitor().client.post(f"/incidents/{incident}/comment", data={"text": "typed for an hour"})
    assert answer.headers["location"] == f"/login?next=%2Fincidents%2F{incident}"


def test_signing_out_ends_the_session_and_not_only_the_cookie(world: World) -> None:
    nora = world.person("nora")
    kept = dict(nora.client.cookies)
    assert nora.post("/logout").headers["location"] == "/login"
    assert nora.get("/").status_code == 303
    nora.client.cookies.update(kept)
    assert nora.get("/").status_code == 303


def test_guessing_is_throttled(tmp_path_factory: pytest.TempPathFactory) -> None:
    with served(tmp_path_factory.mktemp("throttle")) as world:
        visitor = world.visitor()
        token = visitor.token("/login")
        for _ in range(60):
            answer = visitor.client.post("/login", data={"csrf": token, "name": "charlie", "password": "guess"})
            if answer.status_code == 429:
                break
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) > 0
        assert "Too many failed attempts" in answer.text
        assert visitor.post("/login", page="/login", name="charlie", password=PASSWORD).status_code == 429


def test_language_follows_the_browser_until_the_person_chooses(world: World) -> None:
    visitor = world.visitor()
    assert "登录" in visitor.get("/login", accept_language="zh-CN,zh;q=0.9,en;q=0.8").text
    answer = visitor.post("/login", page="/login", set="language:zh_CN", next="/login")
    assert answer.headers["location"] == "/login"
    shown = visitor.get("/login", accept_language="en").text
    assert '<html lang="zh-CN">' in shown
    assert "登录" in shown


def test_colours_follow_the_system_until_the_person_chooses(world: World) -> None:
    nora = world.person("nora")
    assert "data-theme" not in nora.get("/").text
    nora.post("/preferences", set="theme:dark", next="/")
    assert '<html lang="en" data-theme="dark">' in nora.get("/").text
    nora.post("/preferences", set="theme:neon")
    assert 'data-theme="dark"' in nora.get("/").text


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh_CN"),
        ("en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("de,zh-Hans;q=0.5", "zh_CN"),
        ("zh;q=0", "en"),
        ("zh;q=nan", "en"),
        ("zh;level=1", "en"),
        ("*", "en"),
    ],
)
def test_the_preferred_language(header: str, language: str) -> None:
    assert preferred(header) == language


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/", "/"),
        ("/?show=mine&q=a+b", "/?show=mine&q=a+b"),
        ("/incidents/5#newest", "/incidents/5#newest"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/a\\b", "/"),
        ("https://evil.example", "/"),
        ("", "/"),
        ("/a b", "/"),
        ("/a\nb", "/"),
        ("/é", "/"),
        ("/" + "a" * 600, "/"),
    ],
)
def test_only_a_path_of_ours_is_gone_to(text: str, path: str) -> None:
    assert local_path(text) == path


def test_under_tls_cookies_are_for_this_host_and_for_tls_alone() -> None:
    scope = {"type": "http", "method": "GET", "scheme": "https", "path": "/", "query_string": b"", "headers": []}
    visit = Visit(Request({**scope, "server": ("desk.example", 443)}), {}, None, "", "en", "auto", 0.0)
    response = Response()
    set_cookie(visit, response, "session", "token")
    kept = cookie(httpx.Response(200, headers=response.raw_headers), "session")
    assert kept.startswith("__Host-watchdesk-session-443=token;")
    assert "Secure" in kept
    assert "Path=/" in kept
    assert "Domain" not in kept


def test_two_desks_on_one_machine_keep_apart_cookies(world: World) -> None:
    answer = world.visitor().get("/login")
    assert f"watchdesk-visitor-{httpx.URL(world.url).port}=" in answer.headers["set-cookie"]
