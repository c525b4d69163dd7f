"""The outbox on both databases: written with the decision, sent in order, never lost, never taken twice."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy

from tests.ticketing.adapters.servers import Desk, closed_port, http_desk, smtp_desk
from tests.ticketing.alerts import T, alert
from tests.ticketing.web.world import Fleet
from ticketing.alert import Alert
from ticketing.errors import Unavailable
from ticketing.outbox.compose import message
from ticketing.outbox.opening import open_transport
from ticketing.outbox.routing import Router
from ticketing.outbox.sender import FIRST, LAST, LEASE, Lane, Sender, Surroundings, backoff
from ticketing.outbox.settings import Notifications
from ticketing.scope import EVERYTHING, Scope
from ticketing.store import Store
from ticketing.work import Comment

HOUR = 3600.0


@dataclass
class Post:
    """A store with its outbox and one lane for each recipient, in a time that the test moves."""

    engine: sqlalchemy.Engine
    settings: Notifications
    folder: Path
    now: float = T
    position: int = 0
    lanes: dict[str, Lane] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = Store(self.engine, router=Router(self.settings))
        self.outbox = self.store.outbox
        around = Surroundings(lambda: self.now, lambda: 1.0, self.folder)
        for index, recipient in enumerate(self.settings.recipients):
            self.lanes[recipient.name] = Lane(
                recipient,
                open_transport(recipient, index, self.folder),
                self.outbox,
                lambda delivery, now, to=recipient: message(  # type: ignore[misc]
                    self.store, Fleet(), self.settings, to, delivery, now
                ),
                self.settings.give_up_hours * HOUR,
                around,
            )

    def take(self, *alerts: Alert) -> None:
        """Let alerts have their effect."""
        self.position += 1
        self.now = max(self.now, *(one.at for one in alerts))
        self.store.apply(alerts, consumer="test", position=self.position, now=self.now)

    def send(self, name: str = "noc", most: int = 100) -> int:
        """Let the recipient's lane do what is due; return how many tries there were."""
        return next(count for count in range(most + 1) if count == most or not self.lanes[name].step())

    def states(self) -> list[str]:
        """Return the states of all deliveries, the oldest first."""
        return [one.state for one in self.outbox.deliveries(EVERYTHING)][::-1]


def settings(*ports: int, **more: Any) -> Notifications:
    """Return webhooks noc, noc1 … at these ports, told of everything."""
    names = ["noc", *(f"noc{number}" for number in range(1, len(ports)))]
    people = [
        {
            "name": name,
            "kind": "webhook",
            "settings": {"url": f"http://127.0.0.1:{port}/", "timeout": 1.0},
            "rate": 6000,
            **more,
        }
        for name, port in zip(names, ports, strict=True)
    ]
    return msgspec.convert({"recipients": people, "routes": [{"to": names}]}, Notifications)


@pytest.fixture
def desk() -> Iterator[Desk]:
    with http_desk() as made:
        yield made


@pytest.fixture
def post(engine: sqlalchemy.Engine, desk: Desk, tmp_path: Path) -> Post:
    return Post(engine, settings(desk.port), tmp_path)


def types(desk: Desk) -> list[str]:
    return [json.loads(body)["type"] for body in desk.taken]


def test_what_is_told_is_written_with_the_decision_or_not_at_all(post: Post) -> None:
    post.take(alert())
    assert post.states() == ["waiting"]
    post.store.apply([alert(at=1)], consumer="test", position=post.position, now=T)  # a position that was taken
    assert post.states() == ["waiting"]
    with post.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE timeline")
    with pytest.raises(sqlalchemy.exc.DBAPIError if post.engine.dialect.name == "sqlite" else Exception):
        post.take(alert(at=60, mount="/other"))
    assert post.states() == ["waiting"]


def test_in_order_once_and_in_one_thread(post: Post, desk: Desk) -> None:
    post.take(alert())
    assert post.send() == 1
    post.now = T + 10
    post.store.act(EVERYTHING, 1, Comment("looking"), actor="nora", now=post.now)
    assert post.send() == 1
    post.take(alert("resolved", at=60))
    assert post.send() == 1
    assert post.send() == 0
    assert types(desk) == ["incident.open", "incident.comment", "incident.recover"]
    assert [json.loads(body)["sequence"] for body in desk.taken] == [0, 1, 2]
    assert len({json.loads(body)["thread"] for body in desk.taken}) == 1
    assert post.states() == ["sent"] * 3


def test_what_waits_about_one_incident_travels_together(post: Post, desk: Desk) -> None:
    post.take(alert())
    post.take(alert(at=10, mount="/other"))
    post.take(alert("resolved", at=60))
    assert post.send() == 2
    told = {json.loads(body)["incident"]["id"]: json.loads(body) for body in desk.taken}
    assert [change["action"] for change in told[1]["changes"]] == ["open", "resolve"]
    assert told[1]["incident"]["state"] == "resolved"
    assert [change["action"] for change in told[2]["changes"]] == ["open"]


@pytest.mark.parametrize("answer", ["500", "429", "503"])
def test_what_fails_is_tried_again_later_and_nothing_overtakes_it(post: Post, desk: Desk, answer: str) -> None:
    desk.answers = [answer, answer, "ok"]
    post.take(alert())
    assert post.send() == 1
    (waiting,) = post.outbox.deliveries(EVERYTHING)
    assert (waiting.attempts, waiting.due_at) == (1, T + FIRST)
    assert answer in waiting.error
    post.take(alert("resolved", at=1))
    assert post.send() == 0  # neither the one that failed nor the one behind it
    post.now += FIRST
    assert post.send() == 1
    assert post.send() == 0
    post.now += 2 * FIRST
    assert post.send() == 2
    assert types(desk) == ["incident.open", "incident.resolve"]
    assert len({headers["idempotency-key"] for headers in desk.headers}) == 2


def test_retry_after_is_kept(post: Post, desk: Desk) -> None:
    desk.answers = ["429/120", "ok"]
    post.take(alert(), alert(mount="/other"))
    assert post.send() == 1
    post.now += 119
    assert post.send() == 0
    post.now += 1
    assert post.send() == 2


def test_one_that_took_it_and_said_nothing_is_asked_again_with_the_same_key(post: Post, desk: Desk) -> None:
    desk.answers = ["hang", "ok"]
    post.take(alert())
    post.send()
    (waiting,) = post.outbox.deliveries(EVERYTHING)
    assert (waiting.state, waiting.uncertain) == ("waiting", True)
    post.now += FIRST
    post.send()
    assert {headers["idempotency-key"] for headers in desk.headers} == {"noc/1/1"}
    assert post.states() == ["sent"]


def test_a_try_of_which_nothing_is_heard_is_repeated_after_its_lease(post: Post, desk: Desk) -> None:
    post.take(alert())
    assert post.outbox.take("noc", T, LEASE) is not None  # and then the power fails
    assert post.send() == 0
    post.now += LEASE
    assert post.send() == 1
    assert post.states() == ["sent"]
    assert post.outbox.deliveries(EVERYTHING)[0].attempts == 2


def test_a_late_answer_of_a_lost_try_changes_nothing(post: Post) -> None:
    post.take(alert())
    lost = post.outbox.take("noc", T, LEASE)
    assert lost is not None
    post.now += LEASE
    post.send()
    post.outbox.failed(lost, T + 10 * HOUR, "too late", uncertain=True)
    assert post.states() == ["sent"]


def test_what_can_never_arrive_is_dead_and_can_be_retried_or_dropped(post: Post, desk: Desk) -> None:
    desk.answers = ["400", "ok"]
    post.take(alert())
    assert post.send() == 1
    assert post.states() == ["dead"]
    assert post.outbox.standings(post.now)["noc"].dead == 1
    assert post.send() == 0
    assert post.outbox.retry(None, post.now) == 1
    assert post.send() == 1
    assert post.states() == ["sent"]
    desk.answers = ["400"]
    post.take(alert(at=60, mount="/other"))
    post.send()
    assert post.outbox.drop([post.outbox.deliveries(EVERYTHING)[0].id], post.now) == 1
    assert post.outbox.retry(None, post.now) == 0
    assert post.states() == ["sent", "dropped"]


def test_after_three_days_a_recipient_that_is_away_is_given_up(post: Post, desk: Desk) -> None:
    desk.answers = ["503"]
    post.take(alert())
    tries = 0
    while post.states() == ["waiting"]:
        tries += post.send()
        post.now += HOUR
    assert 72 <= (post.now - T) / HOUR <= 75
    assert 60 < tries < 90
    assert post.states() == ["dead"]


def test_no_more_a_minute_than_the_recipient_takes(engine: sqlalchemy.Engine, desk: Desk, tmp_path: Path) -> None:
    post = Post(engine, settings(desk.port, rate=10), tmp_path)
    post.take(*(alert(mount=f"/{number}") for number in range(30)))
    assert post.send() == 10
    post.now += 30
    assert post.send() == 5
    post.now += 600
    assert post.send() == 10  # what was not used is not saved up


def test_a_recipient_that_is_away_delays_nobody_else_and_no_incident(
    engine: sqlalchemy.Engine, desk: Desk, tmp_path: Path
) -> None:
    with smtp_desk("hang") as dumb:
        given = msgspec.to_builtins(settings(desk.port, closed_port()))
        mail = {"to": ["a@b.example"], "sender": "c@d.example", "host": "127.0.0.1", "port": dumb.port}
        more = {"name": "dumb", "kind": "email", "settings": {**mail, "security": "none", "timeout": 30}}
        given = {**given, "recipients": [*given["recipients"], more], "routes": [{"to": ["noc", "noc1", "dumb"]}]}
        made = msgspec.convert(given, Notifications)
        store = Store(engine, router=Router(made))
        now = threading.Event()
        sender = Sender(store, Fleet(), made, Surroundings(lambda: T, lambda: 0.0, tmp_path))
        sender.start()
        for number in range(20):
            store.apply([alert(mount=f"/{number}")], consumer="test", position=number + 1, now=T)
        reached(lambda: len(desk.taken) == 20, now)
        reached(lambda: len(dumb.taken) == 1, now)
        sender.stop(0.1)
    sender.stop(60)  # its threads use the database to the last
    assert len(store.incidents(EVERYTHING).incidents) == 20


def reached(condition: Callable[[], bool], pause: threading.Event) -> None:
    """Wait until it holds, a minute at most."""
    for _ in range(1200):
        if condition():
            return
        pause.wait(0.05)
    raise AssertionError("it did not come to that")


def test_two_senders_never_take_the_same(post: Post) -> None:
    post.take(*(alert(mount=f"/{number}") for number in range(40)))
    taken: list[int] = []

    def work() -> None:
        while (one := post.outbox.take("noc", T, LEASE)) is not None:
            taken.append(one.id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken))
    while (one := post.outbox.take("noc", T, LEASE)) is not None:
        taken.append(one.id)
    assert len(taken) == 40


def test_a_recipient_that_is_no_longer_configured_is_given_up_and_old_ones_are_forgotten(post: Post) -> None:
    post.take(alert())
    post.outbox.tidy(T, HOUR, ["desk"])
    assert post.states() == ["dead"]
    post.outbox.tidy(T + 2 * HOUR, HOUR, ["desk"])
    assert post.states() == []


def test_a_customer_sees_its_own_deliveries_alone(post: Post) -> None:
    post.take(alert(), alert(customer="globex"))
    assert [one.customer for one in post.outbox.deliveries(Scope("globex"))] == ["globex"]


def test_what_the_recipient_calls_it_is_known_the_next_time(post: Post) -> None:
    post.take(alert())
    delivery = post.outbox.take("noc", T, LEASE)
    assert delivery is not None
    post.outbox.delivered(delivery, T, "RT#7")
    assert post.outbox.reference("noc", 1) == "RT#7"
    assert post.outbox.reference("noc", 2) == ""


def test_the_wait_doubles_is_jittered_and_ends_at_an_hour() -> None:
    assert [backoff(tries, 1.0) for tries in (1, 2, 3)] == [FIRST, 2 * FIRST, 4 * FIRST]
    assert backoff(1, 0.0) == FIRST / 2
    assert backoff(1000, 1.0) == LAST


def test_while_the_database_is_away_nothing_is_sent(tmp_path: Path, desk: Desk) -> None:
    from ticketing.database import connect
    from ticketing.models import Base

    engine = connect(f"sqlite:///{tmp_path / 'watchdesk.db'}", busy_seconds=0.1)
    Base.metadata.create_all(engine)
    post = Post(engine, settings(desk.port), tmp_path)
    post.take(alert())
    with engine.connect() as holder:
        holder.exec_driver_sql("SELECT 1")  # begins, and with that takes the lock
        with pytest.raises(Unavailable):
            post.send()
    assert post.send() == 1
    engine.dispose()
    assert len(desk.taken) == 1
