"""The stream: who hears what, from where on, and that it ends."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import httpx
import pytest

from tests.ticketing.web.world import WAIT, Visitor, World, running, served
from ticketing.scope import EVERYTHING
from ticketing.web.live import Live


class Stream:
    """Reads a stream in the background: (event, data) in the order in which they came."""

    def __init__(self, response: httpx.Response) -> None:
        self.heard: list[tuple[str, dict[str, object]]] = []
        self.ended = threading.Event()
        self._response = response
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        kind = ""
        try:
            for line in self._response.iter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    self.heard.append((kind, json.loads(value)))
        except httpx.HTTPError:
            pass
        self.ended.set()

    def of(self, kind: str) -> list[dict[str, object]]:
        return [data for name, data in self.heard if name == kind]

    def incidents(self) -> set[int]:
        return {number for data in self.of("change") for number in data["incidents"]}  # type: ignore[attr-defined]


def eventually(holds: object) -> None:
    deadline = time.monotonic() + WAIT
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


@contextmanager
def stream(person: Visitor, query: str = "", **headers: str) -> Iterator[Stream]:
    with person.client.stream("GET", f"/events{query}", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Stream(response)


def test_a_change_is_told_to_those_who_may_know_and_to_nobody_else(world: World) -> None:
    with (
        stream(world.person("nora")) as nora,
        stream(world.person("alice")) as alice,
        stream(world.person("bob")) as bob,
    ):
        eventually(lambda: nora.of("beat") and alice.of("beat") and bob.of("beat"))
        incident = world.fault("acme-fs01")
        eventually(lambda: incident in nora.incidents() and incident in alice.incidents())
        beats = len(bob.heard)
        eventually(lambda: len(bob.heard) > beats + 2)
        assert bob.of("change") == []
        assert len({data["position"] for data in bob.of("beat")}) == 1


def test_an_internal_comment_is_not_told_to_the_customer(world: World) -> None:
    incident = world.fault("acme-fs01")
    with stream(world.person("nora")) as nora, stream(world.person("alice")) as alice:
        eventually(lambda: nora.of("beat") and alice.of("beat"))
        world.person("nora").post(f"/incidents/{incident}/comment", text="psst", internal=1)
        eventually(lambda: incident in nora.incidents())
        beats = len(alice.of("beat"))
        eventually(lambda: len(alice.of("beat")) > beats + 1)
        assert alice.of("change") == []


def test_a_stream_goes_on_where_it_was_cut_off(world: World) -> None:
    nora = world.person("nora")
    with stream(nora) as before:
        eventually(lambda: before.of("beat"))
        position = before.of("beat")[-1]["position"]
    missed = {world.alert("acme-fs01", mountpoint=f"/missed{i}") for i in range(3)}
    with stream(nora, **{"Last-Event-ID": str(position)}) as after:
        eventually(lambda: missed <= after.incidents())
    with stream(nora, f"?after={position}") as asked:
        eventually(lambda: missed <= asked.incidents())


def test_a_position_from_the_future_hears_what_comes_all_the_same(world: World) -> None:
    with (
        stream(world.person("alice"), "?after=999999999999999999") as alice,
        stream(world.person("nora"), "?after=x") as nora,
    ):
        eventually(lambda: alice.of("beat") and nora.of("beat"))
        incident = world.fault("acme-fs01")
        eventually(lambda: incident in alice.incidents() and incident in nora.incidents())


def test_very_many_changes_are_told_as_many(world: World) -> None:
    with stream(world.person("nora"), "?after=0") as first:
        eventually(lambda: first.of("beat"))
        position = first.of("beat")[-1]["position"]
    for i in range(120):
        world.alert("acme-fs01", mountpoint=f"/many{i}")
    with stream(world.person("nora"), f"?after={position}") as nora:
        eventually(lambda: nora.of("change"))
        assert nora.of("change")[0]["incidents"] == []
        assert nora.of("change")[0]["position"] == world.store.last_change(EVERYTHING)


def test_the_fleet_is_told_when_it_changes(world: World) -> None:
    with stream(world.person("nora")) as nora, stream(world.person("bob")) as bob:
        eventually(lambda: len(nora.of("beat")) > 1 and len(bob.of("beat")) > 1)
        whole = world.fleet.known
        world.fleet.known = [replace(one, alive=False) if one.customer == "acme" else one for one in whole]
        try:
            eventually(lambda: nora.of("fleet"))
            assert bob.of("fleet") == []
        finally:
            world.fleet.known = whole


def test_signing_out_ends_the_stream(world: World) -> None:
    nora = world.person("nora")
    token = nora.token()
    with stream(nora) as heard:
        eventually(lambda: heard.of("beat"))
        second = world.visitor()
        second.client.cookies.update(nora.client.cookies)
        second.client.post("/logout", data={"csrf": token})
        assert heard.ended.wait(WAIT)


def test_a_closed_browser_leaves_nothing_behind(world: World) -> None:
    eventually(lambda: world.live.open == 0)
    with stream(world.person("nora")) as nora:
        eventually(lambda: nora.of("beat"))
        assert world.live.open == 1
    eventually(lambda: world.live.open == 0)


def test_streams_are_bounded_for_each_and_for_all(tmp_path_factory: pytest.TempPathFactory) -> None:
    with served(tmp_path_factory.mktemp("live")) as world:
        world.live._each, world.live._most = 2, 3
        nora = world.person("nora")
        with stream(nora), stream(nora):
            refused = nora.get("/events")
            assert refused.status_code == 503
            assert refused.headers["retry-after"] == "5"
            with stream(world.person("bob")):
                assert world.person("alice").get("/events").status_code == 503


def test_stopping_ends_the_streams_at_once_and_takes_no_more(tmp_path_factory: pytest.TempPathFactory) -> None:
    with served(tmp_path_factory.mktemp("live")) as world, stream(world.person("nora")) as nora:
        eventually(lambda: nora.of("beat"))
        world.live.close()
        assert nora.ended.wait(WAIT)
        assert world.person("nora").get("/events").status_code == 503
        world.live.close()


def test_the_server_stops_while_streams_are_open(tmp_path_factory: pytest.TempPathFactory) -> None:
    with served(tmp_path_factory.mktemp("live")) as world:
        second = World(world.store, world.accounts, world.fleet, Live(world.store, world.fleet))
        with running(second):
            people = [second.person("nora") for _ in range(3)]
            opened = [person.client.stream("GET", "/events") for person in people]
            streams = [Stream(one.__enter__()) for one in opened]
            eventually(lambda: all(one.of("beat") for one in streams))
        for one in streams:
            assert one.ended.wait(WAIT)
        second.close()
