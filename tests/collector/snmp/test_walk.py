"""The walk: what honest devices have comes whole, and what others do ends, named, within the budget."""

import asyncio
from collections.abc import Callable, Iterable, Iterator

import pytest

from collector.snmp import ber, oid, pdu
from collector.snmp.community import V1, V2C, Community
from collector.snmp.errors import Lying, Malformed, Refused, Silent
from collector.snmp.plan import Plan, plan, subtree
from collector.snmp.walk import Budget, Manners, Result, walk
from tests.collector.snmp.agent import Device, device, value
from tests.collector.snmp.helpers import channel, run

TABLE = "1.3.6.1.2.1.2.2.1"
UPTIME = oid.encode("1.3.6.1.2.1.1.3.0")
Answer = Callable[[Device, int, int, int, int, list[bytes]], Iterable[bytes]]


def table(columns: Iterable[int], rows: Iterable[int]) -> dict[str, bytes]:
    return {f"{TABLE}.{column}.{row}": value("2", str(row)) for column in columns for row in rows} | {
        "1.3.6.1.2.1.1.3.0": value("67", "5")
    }


def columns(*numbers: int) -> Plan:
    return plan([UPTIME], [oid.encode(f"{TABLE}.{number}") for number in numbers])


async def walked(peer: Device, wanted: Plan, version: int = V2C, **more: object) -> Result:
    with channel(*more.pop("timeouts", ())) as through:  # type: ignore[misc]
        return await walk(through, peer.address, Community(b"public", version), wanted, **more)  # type: ignore[arg-type]


def ask(
    objects: dict[str, bytes], wanted: Plan, respond: Answer | None = None, version: int = V2C, **more: object
) -> tuple[Result, Device]:
    async def work() -> tuple[Result, Device]:
        async with device(objects) as peer:
            peer.respond = respond or Device.honest
            return await walked(peer, wanted, version, **more), peer

    return run(work())


def names(result: Result) -> list[str]:
    return [oid.decode(name) for name in result.oids]


@pytest.mark.parametrize("version", [V1, V2C], ids=["v1", "v2c"])
def test_only_the_wanted_columns_come(version: int) -> None:
    result, peer = ask(table(range(1, 11), range(1, 49)), columns(2, 5, 6, 9), version=version)
    assert result.error is None
    assert names(result) == [f"{TABLE}.{column}.{row}" for column in (2, 5, 6, 9) for row in range(1, 49)]
    assert result.scalars == {UPTIME: 5}
    assert version == V1 or len(peer.asked) < 14


def test_holes_missing_columns_and_the_end_of_the_mib() -> None:
    objects = table([2, 6], [1, 3, 16383, 16384, 2097152])
    del objects[f"{TABLE}.6.3"]
    result, _ = ask(objects, columns(2, 4, 6, 8))
    assert result.error is None
    assert names(result) == sorted(
        (name for name in objects if name.startswith(TABLE)), key=lambda name: oid.parse(name)
    )
    assert result.missing == {oid.encode(f"{TABLE}.4"), oid.encode(f"{TABLE}.8")}


def test_small_tables_share_an_answer() -> None:
    result, peer = ask(table(range(1, 9), [1, 2]), columns(1, 3, 5, 7))
    assert len(result.oids) == 8
    assert len(peer.asked) == 2


def test_a_big_chassis_comes_whole() -> None:
    result, _ = ask(table([2, 7, 8], range(1, 4001)), columns(2, 7, 8))
    assert result.error is None
    assert len(result.oids) == 12_000


def test_repetitions_grow_to_what_fits_a_frame() -> None:
    manners = Manners()
    ask(table(range(1, 11), range(1, 200)), columns(*range(1, 11)), manners=manners)
    assert 40 <= manners.repetitions <= 60


def test_a_device_that_finds_answers_too_big_is_asked_for_less() -> None:
    def small(peer: Device, kind: int, request: int, first: int, second: int, oids: list[bytes]) -> Iterable[bytes]:
        if kind == pdu.GETBULK and second > 5:
            return [peer.message(request, pdu.TOO_BIG, 0, [])]
        return peer.honest(kind, request, first, second, oids)

    manners = Manners()
    result, _ = ask(table([2], range(30)), columns(2), small, manners=manners)
    assert result.error is None
    assert len(result.oids) == 30
    assert manners.repetitions <= 5


def test_objects_that_v1_does_not_have_are_left_out() -> None:
    wanted = plan([UPTIME, oid.encode("1.3.6.1.2.1.1.9.0"), oid.encode("1.3.6.1.2.1.1.4.0")], [])
    for version in (V1, V2C):
        result, _ = ask(table([2], [1]), wanted, version=version)
        assert (result.error, result.scalars) == (None, {UPTIME: 5})


def same(peer: Device, kind: int, request: int, _first: int, _second: int, oids: list[bytes]) -> Iterator[bytes]:
    yield peer.message(request, 0, 0, [(oid.encode(f"{TABLE}.2.7"), value("2", "1"))] * 5)


def ping_pong(peer: Device, kind: int, request: int, _first: int, _second: int, oids: list[bytes]) -> Iterator[bytes]:
    turn = 16384 if len(peer.asked) % 2 else 16383
    yield peer.message(request, 0, 0, [(oid.encode(f"{TABLE}.2.{turn}"), value("2", "1"))])


def back_within(peer: Device, kind: int, request: int, _first: int, _second: int, oids: list[bytes]) -> Iterator[bytes]:
    rows = [5, 3, 9]
    yield peer.message(request, 0, 0, [(oid.encode(f"{TABLE}.2.{row}"), value("2", "1")) for row in rows])


def endless(peer: Device, kind: int, request: int, _first: int, second: int, oids: list[bytes]) -> Iterator[bytes]:
    start = oid.parse(oid.decode(oids[0]))[-1] if len(oids[0]) > 9 else 0
    rows = range(start + 1, start + 60)
    yield peer.message(request, 0, 0, [(oid.encode(f"{TABLE}.2.{row}"), value("2", "1")) for row in rows])


def empty(peer: Device, kind: int, request: int, _first: int, _second: int, oids: list[bytes]) -> Iterator[bytes]:
    yield peer.message(request, 0, 0, [])


def refusing(peer: Device, kind: int, request: int, _first: int, _second: int, oids: list[bytes]) -> Iterator[bytes]:
    yield peer.message(request, 16, 1, [])


def truncated(peer: Device, kind: int, request: int, first: int, second: int, oids: list[bytes]) -> Iterator[bytes]:
    for answer in peer.honest(kind, request, first, second, oids):
        body = answer[: len(answer) - 9]
        yield b"\x30" + ber.length(len(body) - 4) + body[4:] if len(body) > 300 else body


def sub_identifier(peer: Device, kind: int, request: int, _f: int, _s: int, oids: list[bytes]) -> Iterator[bytes]:
    yield peer.message(request, 0, 0, [(b"\x2b" + b"\x81" * 50_000 + b"\x01", value("2", "1"))])


LIARS: list[tuple[Answer, type[Exception], str]] = [
    (same, Lying, "do not increase"),
    (ping_pong, Lying, "do not increase"),
    (back_within, Lying, "do not increase"),
    (endless, Lying, "more than 10000 rows"),
    (empty, Lying, "without variables"),
    (refusing, Refused, "authorizationError"),
    (sub_identifier, Malformed, "OID of 50"),
]


@pytest.mark.parametrize(("liar", "kind", "words"), LIARS, ids=[liar.__name__ for liar, _, _ in LIARS])
def test_a_device_that_lies_is_named_and_left(liar: Answer, kind: type[Exception], words: str) -> None:
    wanted = plan([], [oid.encode(f"{TABLE}.2")])
    result, peer = ask(table([2], range(40)), wanted, liar)
    assert isinstance(result.error, kind)
    assert words in str(result.error)
    assert len(peer.asked) < 400


def test_a_truncated_answer_ends_the_walk() -> None:
    result, _ = ask(table([2], range(40)), plan([], [oid.encode(f"{TABLE}.2")]), truncated, timeouts=(0.2, 0.2))
    assert result.error is not None


def test_a_walk_ends_at_its_bytes_and_at_its_time() -> None:
    big = {f"{TABLE}.2.{row}": value("4", "x" * 1000) for row in range(300)}
    result, _ = ask(big, plan([], [oid.encode(f"{TABLE}.2")]), budget=Budget(size=100_000))
    assert "more than 100000 bytes" in str(result.error)
    assert result.size < 200_000

    def drip(peer: Device, kind: int, request: int, first: int, second: int, oids: list[bytes]) -> Iterable[bytes]:
        loop, answers = asyncio.get_running_loop(), list(peer.honest(pdu.GETNEXT, request, 0, 0, oids))
        loop.call_later(0.1, peer.transport.sendto, answers[0], peer.last)
        return []

    result, peer = ask(table([2], range(500)), plan([], [oid.encode(f"{TABLE}.2")]), drip, budget=Budget(seconds=1.0))
    assert "not done within 1 s" in str(result.error)
    assert len(peer.asked) < 15


def test_silence_is_asked_again_and_then_told() -> None:
    async def work() -> None:
        async with device(table([2], range(5))) as peer:
            peer.silent = True
            result = await walked(peer, columns(2), timeouts=(0.1, 0.1, 0.1))
            assert isinstance(result.error, Silent)
            with channel(0.2, 20.0) as through:
                asyncio.get_running_loop().call_later(0.1, setattr, peer, "silent", False)
                result = await walk(through, peer.address, Community(b"public"), columns(2))
            assert (result.error, len(result.oids), result.retries) == (None, 5, 1)

    run(work())


def test_answers_with_another_number_or_from_elsewhere_are_not_taken() -> None:
    def wrong(peer: Device, kind: int, request: int, first: int, second: int, oids: list[bytes]) -> Iterator[bytes]:
        lie = [(oids[0] + b"\x01", value("2", "666"))]
        yield peer.message(request ^ 1, 0, 0, lie)
        message = peer.message(request, 0, 0, lie)
        strangers[0].transport.sendto(message, peer.last)
        yield from peer.honest(kind, request, first, second, oids)

    async def work() -> None:
        async with device(table([2], range(5))) as peer, device({}, host="127.0.0.2") as stranger:
            strangers.append(stranger)
            peer.respond = wrong
            with channel() as through:
                result = await walk(through, peer.address, Community(b"public"), columns(2))
                assert (result.error, sorted(result.values)) == (None, [0, 1, 2, 3, 4])  # type: ignore[type-var]
                assert through.counters.strange >= 2

    strangers: list[Device] = []
    run(work())


def test_many_devices_share_one_socket() -> None:
    async def work() -> None:
        async with device(table([2], range(100))) as peer, device(table([2], range(3))) as dead:
            dead.silent = True
            with channel(0.5, 20.0) as through:
                speakers = [Community(b"public") for _ in range(50)]
                walks = [walk(through, peer.address, one, columns(2)) for one in speakers]
                lost = asyncio.create_task(walk(through, dead.address, speakers[0], columns(2)))
                assert all(len(result.oids) == 100 for result in await asyncio.gather(*walks))
                assert not lost.done()
                lost.cancel()
                await asyncio.gather(lost, return_exceptions=True)

    run(work())


def test_a_subtree_is_walked_to_its_end() -> None:
    result, _ = ask(table(range(1, 4), range(10)), Plan((), (subtree("1.3.6.1.2.1"),)))
    assert len(result.oids) == 31
