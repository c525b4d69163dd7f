"""The queue and the devices: what is shown, in which order, and how it is narrowed."""

import re
from collections.abc import Iterator

import pytest

from tests.ticketing.web.world import World, served
from ticketing.scope import EVERYTHING
from ticketing.web.devices import read_sought
from ticketing.web.queue import Wanted, read_wanted


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world with no incident yet."""
    with served(tmp_path_factory.mktemp("queue")) as made:
        yield made


def rows(text: str) -> list[int]:
    return [int(number) for number in re.findall(r'<li id="i(\d+)">', text)]


def test_an_empty_queue_says_that_all_is_watched(own: World) -> None:
    text = own.person("nora").get("/").text
    assert "All quiet" in text
    assert re.search(r"4 devices are watched,\s+2 alive\.", text)
    assert re.search(r"<b>1</b> silent", text)
    assert re.search(r"<b>1</b> away as announced", text)
    assert "<title>Queue" in text


def test_the_gravest_come_first_and_the_resolved_last(own: World) -> None:
    mild = own.alert("acme-pc7", severity="info")
    grave = own.alert("acme-fs01", severity="critical")
    over = own.alert("globex-mail")
    own.alert("globex-mail", state="resolved")
    text = own.person("nora").get("/").text
    assert rows(text) == [grave, mild, over]
    assert text.index("Resolved lately") < text.index(f'id="i{over}"')
    assert "<title>(2) Queue" in text
    assert "All quiet" not in text


def test_a_line_says_who_what_how_bad_and_where_it_stands(own: World) -> None:
    incident = own.alert("acme-fs01")
    own.person("nora").post(f"/incidents/{incident}/assign", version=1)
    text = own.person("nora").get("/").text
    (line,) = re.findall(r'<li id="i\d+">.*?</li>', text, re.DOTALL)
    words = " ".join(re.sub(r"<[^>]+>", " ", line).split())
    priority = own.store.incident(EVERYTHING, incident)
    assert priority is not None
    assert f"P{priority.priority}" in words
    for word in (str(incident), "acme-fs01", "acme/suzhou", "/var is 96% full", "nora", "sec"):
        assert word in words, words
    assert 'aria-label="critical"' in line


def test_tabs_and_filters_narrow(own: World) -> None:
    first, second = own.alert("acme-fs01"), own.alert("globex-mail", mountpoint="/srv")
    nora = own.person("nora")
    nora.post(f"/incidents/{second}/assign", version=1)
    expected = {
        "/": {first, second},
        "/?customer=acme": {first},
        "/?site=berlin": {second},
        "/?q=srv": {second},
        f"/?q=INC-{first}": {first},
        "/?show=mine": {second},
        "/?show=resolved": set(),
        "/?show=all&customer=globex": {second},
        "/?customer=nobody": set(),
        "/?show=nonsense&priority=9&after=rubbish": {first, second},
    }
    for path, wanted in expected.items():
        assert set(rows(nora.get(path).text)) == wanted, path
    assert "No incident fits" in nora.get("/?customer=nobody").text


def test_pages_follow_each_other_without_gap_or_overlap(own: World) -> None:
    made = {own.alert("acme-fs01", mountpoint=f"/m{i}") for i in range(130)}
    nora = own.person("nora")
    seen: list[int] = []
    path = "/"
    for _ in range(5):
        text = nora.get(path).text
        seen += rows(text)
        following = re.search(r'rel="next" href="([^"]+)"', text)
        if following is None:
            break
        path = following[1].replace("&amp;", "&")
    assert len(seen) == len(set(seen)) == len(made)
    assert set(seen) == made


def test_the_json_list_is_what_the_command_prints(own: World) -> None:
    incident = own.alert("acme-fs01")
    answer = own.person("nora").get("/api/incidents?customer=acme").json()
    assert answer["after"] is None
    (one,) = answer["incidents"]
    assert (one["id"], one["device"], one["state"]) == (incident, "acme-fs01", "open")
    assert own.person("nora").get("/api/incidents?after=rubbish").status_code == 400


def test_devices_are_shown_with_their_health_and_faults(own: World) -> None:
    incident = own.alert("acme-fs01")
    text = own.person("nora").get("/devices").text
    assert text.index("globex-sw1") < text.index("acme-pc7") < text.index("acme-fs01")  # silent, away, alive
    assert "shut down" in text
    assert "never heard" in text
    assert 'width="91.0"' in text
    assert f'href="/incidents/{incident}"' in text
    alone = own.person("nora").get("/devices/1").text
    assert "acme-fs01" in alone
    assert f'href="/incidents/{incident}"' in alone


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("state=silent", {"globex-sw1"}),
        ("state=away", {"acme-pc7"}),
        ("customer=globex", {"globex-sw1", "globex-mail"}),
        ("q=MAIL", {"globex-mail"}),
        ("q=nothing", set()),
        ("state=odd&start=x", {"acme-fs01", "acme-pc7", "globex-mail", "globex-sw1"}),
        ("start=2", {"acme-fs01", "globex-mail"}),
        ("start=99", set()),
    ],
)
def test_devices_are_narrowed(world: World, query: str, names: set[str]) -> None:
    text = world.person("nora").get(f"/devices?{query}").text
    assert set(re.findall(r'<h2><a href="/devices/\d+"><bdi>([^<]+)', text)) == names


def test_links_keep_the_filter() -> None:
    wanted = read_wanted({"customer": "acme", "q": " a&b ", "priority": "2", "after": "3.7"})
    assert wanted == Wanted(priority=2, customer="acme", text="a&b", after="3.7")
    assert wanted.link() == "/?priority=2&customer=acme&q=a%26b"
    assert wanted.link(show="mine") == "/?show=mine&priority=2&customer=acme&q=a%26b"
    assert wanted.link(clear=True) == "/"
    assert Wanted().link() == "/"
    assert read_sought({"state": "away", "start": "120"}).link(state="") == "/devices"
