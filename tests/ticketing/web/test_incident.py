"""The page of an incident: what it says, and what people do on it."""

import re

import pytest

from tests.ticketing.web.world import Visitor, World
from ticketing.incident import State
from ticketing.scope import EVERYTHING
from ticketing.web.sources import Graph


def version(page: str) -> int:
    found = re.search(r'name="version" value="(\d+)"', page)
    assert found
    return int(found[1])


def do(person: Visitor, incident: int, deed: str, **fields: str) -> int:
    """Do what the page offers now, and return the status."""
    page = person.get(f"/incidents/{incident}").text
    assert f'action="/incidents/{incident}/{deed}"' in page
    return person.post(f"/incidents/{incident}/{deed}", **{"version": str(version(page)), **fields}).status_code


def state(world: World, incident: int) -> State:
    found = world.store.incident(EVERYTHING, incident)
    assert found is not None
    return found.state


def words(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_the_first_line_says_who_and_what_and_the_rest_follows_the_ideal_ticket(world: World) -> None:
    incident = world.alert("acme-fs01", mountpoint="/srv")
    text = world.person("nora").get(f"/incidents/{incident}").text
    (headline,) = re.findall(r"<h1>.*?</h1>", text, re.DOTALL)
    assert words(headline) == "acme-fs01 /srv is 96% full"
    labels = [
        words(label)
        for label in re.findall(r"<dt>(.*?)</dt>", re.findall(r'<dl class="fields">.*?</dl>', text, re.DOTALL)[0])
    ]
    assert labels == ["Do now", "Impact", "What", "Since", "Closes", "Key"]
    for said in (
        "See what has grown.",
        "Programs that write to it fail.",
        "Less than 90% is used.",
        "threshold 90%",
        "mountpoint /srv",
    ):
        assert said in words(text)
    assert "file server" in text


def test_in_chinese_the_rule_speaks_chinese_where_it_can(world: World) -> None:
    incident = world.alert("acme-fs01", mountpoint="/zh", first_steps_zh="先查明是什么占用了空间。")
    nora = world.person("nora")
    nora.post("/preferences", set="language:zh_CN")
    text = words(nora.get(f"/incidents/{incident}").text)
    assert "acme-fs01 /zh 已使用 96%" in text
    assert "先查明是什么占用了空间。" in text
    assert "Programs that write to it fail." in text


def test_the_whole_life_by_hand(world: World) -> None:
    incident = world.fault("acme-fs01")
    nora = world.person("nora")
    for deed, fields, expected in (
        ("acknowledge", {}, State.ACKNOWLEDGED),
        ("assign", {}, State.ACKNOWLEDGED),
        ("start", {}, State.IN_PROGRESS),
        ("pend", {"reason": "waiting_for_parts", "text": "new disk ordered"}, State.PENDING),
        ("resume", {}, State.IN_PROGRESS),
        ("assign", {"owner": "nobody"}, State.IN_PROGRESS),
        ("resolve", {"cause": "fixed", "text": "deleted old dumps"}, State.RESOLVED),
        ("reopen", {"text": "not quite"}, State.IN_PROGRESS),
    ):
        assert do(nora, incident, deed, **fields) == 303, deed
        assert state(world, incident) is expected, deed
    story = words(nora.get(f"/incidents/{incident}").text)
    for said in (
        "nora acknowledged it",
        "nora took it",
        "waiting for parts",
        "new disk ordered",
        "nora gave it back",
        "deleted old dumps",
        "fixed",
        "nora reopened",
    ):
        assert said in story, said


def test_the_newest_change_is_first_and_says_what_moved(world: World) -> None:
    incident = world.alert("acme-fs01", mountpoint="/worse", severity="warning")
    world.alert("acme-fs01", mountpoint="/worse", severity="critical")
    text = world.person("nora").get(f"/incidents/{incident}").text
    (newest,) = re.findall(r'<li id="newest".*?</li>', text, re.DOTALL)
    assert "it got worse" in newest
    assert "warning → critical" in words(newest)


def test_who_comes_second_is_told_so_and_keeps_what_was_typed(world: World) -> None:
    incident = world.fault("acme-fs01")
    nora = world.person("nora")
    seen = version(nora.get(f"/incidents/{incident}").text)
    world.person("nora").post(f"/incidents/{incident}/acknowledge", version=seen)
    typed = "Replaced the disk <in bay 3> & rebuilt."
    answer = nora.post(f"/incidents/{incident}/resolve", version=seen, cause="workaround", text=typed)
    assert answer.status_code == 409
    assert "somebody changed this incident" in answer.text
    assert "Replaced the disk &lt;in bay 3&gt; &amp; rebuilt.</textarea>" in answer.text
    assert re.search(r'<details id="resolve" open>', answer.text)
    assert re.search(r'value="workaround" selected', answer.text)
    assert f'data-self="/incidents/{incident}"' in answer.text
    assert state(world, incident) is State.ACKNOWLEDGED
    again = nora.post(f"/incidents/{incident}/resolve", version=version(answer.text), cause="workaround", text=typed)
    assert again.status_code == 303
    assert state(world, incident) is State.RESOLVED


def test_a_comment_is_taken_whatever_happened_meanwhile(world: World) -> None:
    incident = world.fault("acme-fs01")
    nora = world.person("nora")
    nora.get(f"/incidents/{incident}")
    world.person("nora").post(f"/incidents/{incident}/acknowledge", version=1)
    assert nora.post(f"/incidents/{incident}/comment", text="first\r\nsecond").status_code == 303
    assert "first\nsecond" in nora.get(f"/incidents/{incident}").text


@pytest.mark.parametrize(
    ("deed", "fields", "status"),
    [
        ("comment", {"text": "  \r\n "}, 400),
        ("resolve", {"cause": "boredom"}, 400),
        ("resolve", {"cause": ""}, 400),
        ("pend", {"reason": "lunch"}, 400),
        ("acknowledge", {"version": "x"}, 400),
        ("acknowledge", {"version": "-1"}, 400),
        ("acknowledge", {"version": "99"}, 409),
        ("reopen", {}, 409),
        ("delete", {}, 404),
        ("Acknowledge", {}, 404),
    ],
)
def test_what_does_not_fit_changes_nothing(world: World, deed: str, fields: dict[str, str], status: int) -> None:
    incident = world.fault("acme-fs01")
    before = world.store.incident(EVERYTHING, incident)
    assert before is not None
    nora = world.person("nora")
    answer = nora.post(f"/incidents/{incident}/{deed}", **{"version": str(before.version), **fields})
    assert answer.status_code == status
    assert world.store.incident(EVERYTHING, incident) == before


def test_only_what_the_state_has_room_for_is_offered(world: World) -> None:
    incident = world.fault("acme-fs01")
    nora = world.person("nora")
    assert do(nora, incident, "resolve", cause="fixed") == 303
    offered = set(re.findall(rf'action="/incidents/{incident}/(\w+)"', nora.get(f"/incidents/{incident}").text))
    assert offered == {"comment", "reopen", "diagnose"}


def test_the_graph_shows_the_value_the_threshold_and_the_moments(world: World) -> None:
    incident = world.fault("acme-fs01")
    found = world.store.incident(EVERYTHING, incident)
    assert found is not None
    times = [found.opened_at + 60.0 * i for i in range(-30, 31)]
    world.fleet.drawn = Graph(times, [70 + i / 2 for i in range(61)], "%", "<b>/var</b> used", threshold=90.0)
    try:
        text = world.person("nora").get(f"/incidents/{incident}").text
    finally:
        world.fleet.drawn = None
    (figure,) = re.findall(r'<figure class="graph">.*?</figure>', text, re.DOTALL)
    assert figure.count('<svg class="wide"') == figure.count('<svg class="narrow"') == 1
    assert figure.count('class="line"') >= 2
    assert 'class="limit"' in figure
    assert 'class="opened"' in figure
    assert "&lt;b&gt;/var&lt;/b&gt; used" in figure
    assert re.search(r'data-at="\d{4}-\d\d-\d\dT', figure)
    assert 'href="#' not in figure


def test_a_device_that_the_register_does_not_know(world: World) -> None:
    incident = world.fault("acme-gone")
    text = world.person("nora").get(f"/incidents/{incident}").text
    assert "The register does not know this device." in text


def test_times_are_in_utc_for_those_without_script(world: World) -> None:
    incident = world.fault("acme-fs01")
    text = world.person("nora").get(f"/incidents/{incident}").text
    assert re.search(
        r'<time datetime="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z" data-as="clock">\d+ \w+ \d\d:\d\d:\d\d UTC</time>',
        text,
    )
