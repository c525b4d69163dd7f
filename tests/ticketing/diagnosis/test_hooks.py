"""What a rule wants to know is asked when its incident opens, once, within budgets, and again when it is over."""

import sqlalchemy

from tests.ticketing.alerts import T, alert
from tests.ticketing.diagnosis.test_book import DONE
from tests.ticketing.diagnosis.world import Around
from ticketing.diagnosis.asked import Diagnosis, Purpose, Result, State
from ticketing.diagnosis.book import Budget
from ticketing.diagnosis.hooks import FRESH, Hooks
from ticketing.diagnosis.telling import sentence
from ticketing.scope import EVERYTHING
from ticketing.store import Store


class Story:
    """Alerts, and what was asked because of them."""

    def __init__(self, engine: sqlalchemy.Engine) -> None:
        self.engine = engine
        self.store = Store(engine)
        self.around = Around()
        self.hooks = Hooks(engine, self.store.diagnoses, self.around)
        self.position = 0
        self.hooks.follow(T)

    def alert(self, state: str = "firing", at: float = 0.0, **more: str) -> int:
        self.position += 1
        found = alert(state, at, **more)  # type: ignore[arg-type]
        changed = self.store.apply([found], consumer="test", position=self.position, now=T + at)
        return changed[0]

    def asked(self, at: float = 0.0) -> list[Diagnosis]:
        """Follow the timeline, and return what is new to be told to the devices."""
        while self.hooks.follow(T + at):
            pass
        taken = [one for device in (1, 2) for one in self.store.diagnoses.take(device, T + at)]
        return [one for one in taken if not one.tries]

    def answer(self, one: Diagnosis, at: float, bytes_: int) -> None:
        data = f'{{"dirs": [{{"path": "/var/log/app", "bytes": {bytes_}}}]}}'
        found = Result(State.DONE, finding=f"/var/log/app holds {bytes_} bytes", data=data, sha256="a" * 64)
        self.store.diagnoses.answer(one.device, one.uid, found, T + at)


def test_a_rule_asks_what_it_names_when_its_incident_opens(engine: sqlalchemy.Engine) -> None:
    story = Story(engine)
    incident = story.alert(mount="/var")
    (one,) = story.asked()
    assert (one.what, one.by, one.incident) == ("disk.top_dirs path=/var", "rule:DiskFull", incident)
    assert story.asked(1) == []
    story.alert(at=60, mount="/var", severity="critical")
    assert story.asked(60) == []


def test_before_and_after_are_compared_on_recovery(engine: sqlalchemy.Engine) -> None:
    story = Story(engine)
    incident = story.alert(mount="/var")
    (one,) = story.asked()
    story.answer(one, 1, 24_000_000_000)
    story.alert("resolved", 600, mount="/var")
    (again,) = story.asked(600)
    assert (again.what, again.purpose, again.before) == (one.what, Purpose.RECOVERY, one.id)
    story.answer(again, 601, 1_000)
    entry = (story.store.timeline(EVERYTHING, incident) or [])[-1]
    assert entry.data["text"].splitlines() == [
        "Before: /var/log/app holds 24000000000 bytes",
        "After: /var/log/app holds 1000 bytes",
        "/var/log/app bytes: 24 GB → 1 kB",
        "(disk.top_dirs path=/var)",
    ]
    assert "之前" in sentence(entry.data["diagnosis"], "zh_CN")
    assert story.asked(602) == []


def test_what_found_nothing_is_not_asked_again_on_recovery(engine: sqlalchemy.Engine) -> None:
    story = Story(engine)
    story.alert(mount="/var")
    (one,) = story.asked()
    story.store.diagnoses.answer(1, one.uid, Result(State.DENIED, "the policy says no"), T + 1)
    story.alert("resolved", 600, mount="/var")
    assert story.asked(600) == []


def test_a_storm_does_not_start_a_thousand(engine: sqlalchemy.Engine) -> None:
    story = Story(engine)
    story.store.diagnoses.budget = Budget(device=5, customer=7)
    for number in range(30):
        story.alert(at=number / 100, mount=f"/data{number}")
        story.alert(at=number / 100, mount=f"/data{number}", customer="globex")
    asked = story.asked(1)
    assert [one.customer for one in asked] == ["acme"] * 5 + ["globex"] * 5
    over = [one.facts for one in story.store.diagnoses.audit(EVERYTHING) if one.facts["action"] == "over_budget"]
    assert sum(facts["count"] for facts in over) == 50
    story.alert(at=700, mount="/later")
    assert [one.arguments for one in story.asked(700)] == [{"path": "/later"}]


def test_each_entry_has_its_effect_once_whoever_follows(engine: sqlalchemy.Engine) -> None:
    story = Story(engine)
    other = Hooks(engine, story.store.diagnoses, story.around)
    other.follow(T)
    story.alert(mount="/var")
    other.follow(T)
    assert len(story.asked()) == 1
    Hooks(engine, story.store.diagnoses, story.around).follow(T)
    assert story.asked() == []


def test_the_first_start_leaves_what_was_there_alone_and_old_entries_too(engine: sqlalchemy.Engine) -> None:
    store = Store(engine)
    store.apply([alert(mount="/old")], consumer="test", position=100, now=T)
    story = Story(engine)
    assert story.asked() == []
    story.position = 100
    story.alert(at=1, mount="/new")
    assert story.asked(FRESH + 2) == []


def test_devices_that_are_unknown_and_rules_that_name_nothing(engine: sqlalchemy.Engine) -> None:
    story = Story(engine)
    story.around.devices.clear()
    story.alert(mount="/var")
    assert story.asked() == []
    story.around = Around(rules={})
    story.hooks = Hooks(engine, story.store.diagnoses, story.around)
    story.alert(at=1, mount="/srv")
    assert story.asked(1) == []


def test_a_recovery_of_one_that_was_not_done_asks_nothing(engine: sqlalchemy.Engine) -> None:
    story = Story(engine)
    story.alert(mount="/var")
    (one,) = story.asked()
    story.alert("resolved", 600, mount="/var")
    assert story.asked(600) == []
    story.store.diagnoses.answer(1, one.uid, DONE, T + 601)
    assert story.asked(602) == []
