"""Alerts of others in the state machine: whose device they are of, when they are over, and a restart."""

import datetime
import json

import msgspec

from collector.facts import Facts
from collector.foreign.message import decode
from collector.log import Record, RecordKind
from collector.state import State
from rules.alerts import Transition
from ticketing.topology import Device, Site

T = 1_760_000_000.0
DEVICES = {
    1: Device("fs01.hq.acme", "acme", "hq", "fs01", klass="server"),
    2: Device("sw1.branch.acme", "acme", "branch", "sw1", klass="network"),
    3: Device("fs01.hq.other", "other", "hq", "fs01", klass="server"),
}
SITES = [Site("acme", "hq"), Site("acme", "branch"), Site("other", "hq")]


class Log:
    """A state machine and the records that it is fed."""

    def __init__(self) -> None:
        self.state = State()
        self.number = 0
        self.record(RecordKind.FACTS, msgspec.json.encode(Facts({**DEVICES}, SITES, whole=True)), T)

    def record(self, kind: RecordKind, body: bytes, now: float) -> list[Transition]:
        self.number += 1
        return self.state.apply(Record(self.number, kind, 0, now, 0.0, body))

    def says(
        self, now: float, ends: float | None = None, text: str = "", customer: str = "acme", **labels: str
    ) -> list[Transition]:
        said: dict[str, object] = {"labels": {"alertname": "Slow", **labels}}
        if text:
            said["annotations"] = {"description": text}
        if ends is not None:
            said["endsAt"] = datetime.datetime.fromtimestamp(ends, datetime.UTC).isoformat()
        post = decode(json.dumps([said]).encode(), customer, "hq", now)
        return self.record(RecordKind.ALERTS, msgspec.json.encode(post), now)

    def tick(self, now: float) -> list[Transition]:
        self.state.now = now - 1.0
        return self.record(RecordKind.TICK, b"", now)


def test_the_device_is_the_one_of_the_register() -> None:
    log = Log()
    [named] = log.says(T, instance="FS01.example.com:9100", customer="acme", site="nowhere")
    assert named.labels["instance"] == "fs01.hq.acme"
    assert named.labels["class"] == "server"
    assert named.labels["exported_instance"] == "FS01.example.com:9100"
    [elsewhere] = log.says(T, instance="10.0.0.7:9116", sysName="sw1")
    assert (elsewhere.labels["instance"], elsewhere.labels["site"]) == ("sw1.branch.acme", "branch")
    [unknown] = log.says(T, instance="db:5432")
    assert (unknown.labels["instance"], unknown.labels["site"]) == ("db.hq.acme", "hq")
    [nothing] = log.says(T)
    assert "instance" not in nothing.labels


def test_the_customer_is_the_one_of_the_credential() -> None:
    log = Log()
    post = decode(
        json.dumps([{"labels": {"customer": "other", "instance": "fs01.hq.other"}}]).encode(), "acme", "hq", T
    )
    [change] = log.record(RecordKind.ALERTS, msgspec.json.encode(post), T)
    assert change.labels["customer"] == "acme"
    assert change.labels["instance"] != "fs01.hq.other"


def test_said_again_it_is_the_same_and_news_are_told() -> None:
    log = Log()
    assert [one.state for one in log.says(T, text="five seconds\nof late")] == ["firing"]
    assert log.says(T + 60, text="five seconds\nof late") == []
    [news] = log.says(T + 120, text="nine seconds")
    assert news.annotations["summary"] == "nine seconds"
    assert news.active_at == T


def test_it_is_over_when_said_so_or_when_its_end_passes() -> None:
    log = Log()
    log.says(T)
    [over] = log.says(T + 60, ends=T + 60)
    assert over.state == "resolved"
    assert log.says(T + 61, ends=T + 60) == []
    log.says(T + 100, ends=T + 200)
    assert log.tick(T + 199) == []
    assert [one.state for one in log.tick(T + 200)] == ["resolved"]
    log.says(T + 300)
    assert log.tick(T + 599) == []
    assert [one.state for one in log.tick(T + 600)] == ["resolved"]


def test_a_restart_keeps_them_and_lets_their_sender_speak_first() -> None:
    log = Log()
    log.says(T, instance="fs01", ends=T + 60)
    restored = Log()
    restored.state = State()
    restored.state.restore(log.state.dump())
    restored.record(RecordKind.START, b"", T + 1000)
    assert restored.tick(T + 1299) == []
    assert [one.labels["instance"] for one in restored.tick(T + 1300)] == ["fs01.hq.acme"]
