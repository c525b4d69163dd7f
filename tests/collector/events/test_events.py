"""Events and inventories: from the log to the database, once; searched within a scope; counted by the state machine."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from agent import wire
from agent.wire import Kind
from collector.config import EventLimits
from collector.database import open_database
from collector.errors import Refusal
from collector.events.differences import MOST, differences
from collector.events.keeper import EventKeeper
from collector.events.show import parts_of
from collector.events.store import CONSUMER, KEPT_INVENTORIES, EventStore, Happening, Wanted
from collector.ingest.messages import decode_event
from collector.log import Log, RecordKind
from collector.log.partitions import Range, encode_ranges, folder
from collector.log.record import encode
from collector.register import Register
from collector.state import State
from ticketing.scope import EVERYTHING, Scope

START = 1_760_000_000.0
DISKS = {"disks": [{"name": "sda", "size": 1}, {"name": "sdb", "size": 2}], "system": {"os": "linux"}}


class World:
    """A log, a register with a device each of two customers, and the events of it in a database."""

    def __init__(self, folder: Path) -> None:
        self.engine: Engine = open_database(f"sqlite:///{folder / 'watchdesk.db'}")
        self.register = Register(self.engine)
        self.log = Log(folder / "log")
        self.store = EventStore(self.engine)
        self.seq = 0
        self.acme, self.globex = (self.enrolled(customer) for customer in ("acme", "globex"))

    def enrolled(self, customer: str) -> int:
        secret = self.register.create_enrol_token(customer, "hq", now=START)
        return self.register.enrol(secret, "pc1", os="linux", kind="server", now=START).device.id

    def frame(self, device: int, at: float = START, **event: object) -> bytes:
        """A record with an event."""
        self.seq += 1
        payload = json.dumps({"t": at, "type": "log", **event}).encode()
        body = wire.encode(Kind.EVENT, 1, self.seq, payload)
        return encode(RecordKind.FRAME, device, START + 1000, 0.0, body)

    def keep(self, *, limits: EventLimits | None = None) -> EventKeeper:
        """Let a consumer run over the log to its end."""
        keeper = EventKeeper(self.log.directory, self.log.head, self.store, limits or EventLimits())
        keeper.start()
        keeper.stop()
        return keeper

    def texts(self, scope: Scope = EVERYTHING, **wanted: object) -> list[str]:
        return [one.text for one in self.store.events(scope, Wanted(**wanted))]  # type: ignore[arg-type]


def tick_of(ranges: list[Range]) -> bytes:
    return encode(RecordKind.TICK, 0, START + 1001, 0.0, encode_ranges(ranges))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.log.close()
    made.engine.dispose()


def test_events_are_found_by_device_time_type_level_and_text(world: World) -> None:
    world.log.append(
        [
            world.frame(world.acme, START + 1, text="disk sda is failing 100%", level="error", source="sda"),
            world.frame(world.acme, START + 2, text="anna logged in", type="login", source="sshd"),
            world.frame(world.globex, START + 3, text="theirs", attributes={"n": 1.5, "s": "x"}),
        ]
    )
    world.keep()
    assert world.texts() == ["theirs", "anna logged in", "disk sda is failing 100%"]
    assert world.texts(device=world.acme) == ["anna logged in", "disk sda is failing 100%"]
    assert world.texts(since=START + 2, until=START + 2) == ["anna logged in"]
    assert world.texts(types=("login", "boot")) == ["anna logged in"]
    assert world.texts(levels=("error",)) == world.texts(text="FAILING") == ["disk sda is failing 100%"]
    assert world.texts(text="sshd") == ["anna logged in"]
    assert world.texts(text="100%") == ["disk sda is failing 100%"]
    assert world.texts(text="0%%") == world.texts(text="_") == []
    newest = world.store.events(EVERYTHING)[0]
    assert (newest.attributes, newest.device) == ({"n": 1.5, "s": "x"}, world.globex)
    assert world.texts(before=newest.id) == ["anna logged in", "disk sda is failing 100%"]


def test_a_customer_sees_its_own_events_and_inventories_alone(world: World) -> None:
    world.log.append([world.frame(world.acme, text="ours"), world.frame(world.globex, text="theirs")])
    world.log.append([world.frame(world.acme, type="inventory", data=DISKS)])
    world.keep()
    assert world.texts(Scope("acme")) == ["ours"]
    assert world.texts(Scope("globex"), device=world.acme) == world.texts(Scope("initech")) == []
    assert world.store.inventories(Scope("globex"), world.acme) == []
    assert world.store.inventories(Scope("acme"), world.acme)[0].parts == DISKS


def test_each_event_is_stored_once_however_often_the_log_is_read(world: World) -> None:
    world.log.append([world.frame(world.acme, text="first")])
    assert world.keep().kept == 1
    assert world.keep().kept == 0
    world.log.append([world.frame(world.acme, text="second")])
    world.keep()
    with world.engine.begin() as connection:  # as after a crash between the transaction and what follows it
        connection.execute(text("UPDATE cursors SET position = 1 WHERE consumer = :name"), {"name": CONSUMER})
    world.store.write([Happening(world.acme, START, "log", "", "info", "again")], [], 1)
    assert world.texts() == ["second", "first"]


def test_a_frame_that_two_processes_took_counts_once(world: World) -> None:
    directory, first = world.log.directory, world.frame(world.acme, text="first")
    one, other = (Log(folder(directory, number)) for number in range(2))
    one.append([first])
    other.append([first, second := world.frame(world.acme, text="second")])
    world.log.append([tick_of([Range(0, 1, 2), Range(1, 1, 3)])])
    assert world.keep().kept == 2
    one.append([second, world.frame(world.acme, text="third")])  # much later, and after a restart
    world.log.append([tick_of([Range(0, 2, 4)])])
    assert world.keep().kept == 1
    assert world.texts() == ["third", "second", "first"]
    one.close()
    other.close()


def test_what_could_not_be_stored_is_stored_with_its_marks_later(world: World) -> None:
    world.log.append([world.frame(world.acme, text="first")])
    with world.engine.begin() as connection:
        connection.execute(text("ALTER TABLE event_marks RENAME TO away"))
        connection.execute(text("CREATE TABLE event_marks (device BIGINT, epochs TEXT)"))
        connection.execute(text("CREATE TRIGGER no BEFORE INSERT ON event_marks BEGIN SELECT RAISE(ABORT, 'no'); END"))
    assert world.keep().kept == 0
    assert world.texts() == []
    with world.engine.begin() as connection:
        connection.execute(text("DROP TABLE event_marks"))
        connection.execute(text("ALTER TABLE away RENAME TO event_marks"))
    assert world.keep().kept == 1


def test_a_time_that_is_ahead_counts_as_the_time_of_arrival(world: World) -> None:
    world.log.append([world.frame(world.acme, START + 10_000)])
    world.keep()
    assert world.store.events(EVERYTHING)[0].at == START + 1000


def test_what_belongs_to_no_device_and_what_no_database_holds(world: World) -> None:
    world.log.append(
        [world.frame(999, text="nobody's"), world.frame(world.acme, text="a\0b\x1b[31m", attributes={"x": "\0"})]
    )
    world.keep()
    [kept] = world.store.events(EVERYTHING)
    assert (kept.text, kept.attributes) == ("ab", {"x": ""})


def test_old_and_surplus_events_go(world: World) -> None:
    world.log.append([world.frame(world.acme, START + number, text=str(number)) for number in range(30)])
    world.keep()
    assert world.store.drop(before=START + 5, keep=100) == 5
    assert world.store.drop(before=START + 5, keep=10) == 15
    assert world.store.drop(before=START + 5, keep=10) == 0
    assert [int(one) for one in world.texts()] == list(range(29, 19, -1))


def test_the_keeper_deletes_by_itself(world: World) -> None:
    world.log.append([world.frame(world.acme, START - 90_000, text="old"), world.frame(world.acme, text="new")])
    world.keep(limits=EventLimits(days=1))
    assert world.texts() == ["new"]


def test_an_inventory_is_kept_when_it_differs_and_tells_what_changed(world: World) -> None:
    changed = {
        "disks": [{"name": "sda", "size": 3}, {"name": "sdc", "size": 2}],
        "system": {"os": "linux", "version": "7"},
    }
    for data in (DISKS, DISKS, changed, changed):
        world.log.append([world.frame(world.acme, type="inventory", data=data)])
    world.keep()
    assert [one.parts for one in world.store.inventories(EVERYTHING, world.acme, 9)] == [changed, DISKS]
    assert sorted(world.texts()) == [
        "disks: sda: size was 1, is 3",
        'disks: sdb {"name":"sdb","size":2} is gone',
        'disks: sdc {"name":"sdc","size":2} is new',
        'system: version was nothing, is "7"'.replace('"', ""),
    ]


def test_only_the_last_inventories_are_kept(world: World) -> None:
    for number in range(KEPT_INVENTORIES + 5):
        world.log.append([world.frame(world.acme, type="inventory", data={"n": {"n": number}})])
    world.keep()
    kept = world.store.inventories(EVERYTHING, world.acme, 99)
    assert [one.parts["n"]["n"] for one in kept] == list(range(KEPT_INVENTORIES + 4, 4, -1))


def test_differences_are_bounded_and_say_how_many_there_are() -> None:
    many = {"packages": [{"name": f"p{number}"} for number in range(500)]}
    found = differences(1, START, {"packages": []}, many)
    assert len(found) == MOST
    assert found[-1].text == f"{500 - MOST + 1} more changes"
    assert differences(1, START, many, {"packages": list(reversed(many["packages"]))}) == []


@pytest.mark.parametrize(
    ("before", "after", "texts"),
    [
        ({"a": [{"x": 1}, {"x": 1}]}, {"a": [{"x": 1}]}, ['a: {"x":1}\' {"x":1} is gone']),
        ({"a": [{"name": "x"}]}, {"a": {"name": "x"}}, []),
        ({"a": {"b": 1}}, {}, ['a: {"b":1} is gone']),
        ({"a": [{"id": 1, "name": "n"}]}, {"a": [{"id": 1, "name": "m"}]}, ["a: 1: name was n, is m"]),
        ({"a": {"b": {"c": [1, None]}}}, {"a": {"b": []}}, ['a: b was {"c":[1,null]}, is []']),
    ],
)
def test_differences_of_odd_forms(before: dict[str, object], after: dict[str, object], texts: list[str]) -> None:
    assert [one.text for one in differences(1, START, before, after)] == texts


def test_an_inventory_is_shown_as_lines() -> None:
    disks, system = parts_of(DISKS)
    assert (disks.name, list(disks.things)) == ("disks", ["name: sda, size: 1", "name: sdb, size: 2"])
    assert list(system.things) == ["os: linux"]


@pytest.mark.parametrize(
    "payload",
    [
        b"{}",
        b'{"t": 1, "type": "gossip"}',
        b'{"t": -1, "type": "log"}',
        b'{"t": NaN, "type": "log"}',
        b'{"t": 1e999, "type": "log"}',
        b'{"t": 1, "type": "log", "level": "loud"}',
        b'{"t": 1, "type": "log", "text": "%s"}' % (b"x" * 4_001),
        b'{"t": 1, "type": "log", "source": "%s"}' % (b"x" * 129),
        b'{"t": 1, "type": "log", "attributes": {"a": [1]}}',
        b'{"t": 1, "type": "log", "attributes": {%s}}' % b",".join(b'"%d": 1' % n for n in range(65)),
        b'{"t": 1, "type": "log", "data": {}}',
        b'{"t": 1, "type": "inventory", "data": {"a": 1}}',
        b'{"t": 1, "type": "inventory", "data": {"a": [1]}}',
        b'{"t": 1, "type": "inventory", "data": {"a": %s}}' % (b"[" * 100_000),
        b'{"t": 1, "type": "inventory", "data": {"a": {"b": "%s"}}}' % (b"x" * (512 << 10)),
        b'{"t": 1, "type": "log", "extra": "%s"}' % (b"x" * (64 << 10)),
        b"\xff",
    ],
    ids=lambda payload: payload[:40].decode("latin-1"),
)
def test_malformed_events(payload: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        decode_event(payload, "$.frames[0]")
    assert caught.value.status == 400
    assert caught.value.path.startswith("$.frames[0]")


def machine(world: World) -> State:
    """A state machine with one device."""
    state = State()
    world.log.append([encode(RecordKind.DEVICE, 1, START, 0.0, json.dumps({"instance": "pc1.hq.acme"}).encode())])
    return state


def play(state: State, world: World) -> State:
    from collector.log import Reader

    reader = Reader(world.log.directory, state.position + 1)
    while records := reader.read(world.log.head):
        for record in records:
            state.apply(record)
    return state


def counted(state: State) -> list[str]:
    lines = b"".join(state.fleet.exposition()).decode().splitlines()
    return sorted(line for line in lines if line.startswith("watchdesk_events_total{"))


def tick(world: World, at: float) -> None:
    world.log.append([encode(RecordKind.TICK, 0, at, 0.0, b"")])


def test_the_state_machine_counts_events_and_a_restored_one_goes_on(world: World) -> None:
    state = machine(world)
    for _ in range(3):
        world.log.append([world.frame(1, type="kernel", source="sda", level="error")])
    tick(world, START + 1)
    [line] = counted(play(state, world))
    assert 'type="kernel"' in line
    assert float(line.rsplit("} ")[1].split()[0]) == 3
    world.log.append([world.frame(1, type="kernel", source="sda", level="error"), world.frame(1, type="boot")])
    play(state, world)
    again = State()
    again.restore(state.dump())
    for later in (2, 20, 40):
        tick(world, START + later)
        assert counted(play(state, world)) == counted(play(again, world))
        assert state.dump() == again.dump()
    assert len(counted(state)) == 2


def test_sources_without_end_are_counted_together(world: World) -> None:
    state = machine(world)
    world.log.append([world.frame(1, source=f"s{number}") for number in range(500)])
    tick(world, START + 1)
    found = counted(play(state, world))
    assert len(found) == 201
    assert any('source="other"' in line and "} 300" in line for line in found)


def test_a_rule_can_ask_how_many_there_were_lately(world: World) -> None:
    from rules.promql import Query, Vector

    state = machine(world)
    query = Query(state.fleet, "increase(watchdesk_events_total[5m])")
    world.log.append([world.frame(1, source="sda")])
    for second in range(1, 60):
        tick(world, START + second)
    play(state, world)
    found = query.at(START + 59)
    assert isinstance(found, Vector)
    assert found.values.tolist() == pytest.approx([1.0], rel=0.6)
