"""How much may come: rates with bursts, numbers of series, the pace of backlogs; and the answers that tell it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent import wire
from collector.errors import Refusal
from collector.ingest.limits import BURST_SECONDS, Accounts, Allowance, Limits
from collector.ingest.pace import MAX_PACE, Pace
from collector.ingest.repeated import RepeatedHead
from collector.ingest.senders import Senders
from tests.collector.ingest.conftest import START, Port, rows, running, schema

HEAD = b"POST /v1/push HTTP/1.1\r\nAuthorization: Bearer t\r\nWatchdesk-Time: 1.250\r\nContent-Length: 2\r\n\r\n"


def test_a_burst_is_taken_and_then_the_rate_holds() -> None:
    allowance = Allowance(100)
    assert allowance.wait(START) == 0
    allowance.spend(100 * BURST_SECONDS + 500)
    assert allowance.wait(START) == pytest.approx(5)
    assert allowance.wait(START - 1000) == pytest.approx(5)  # a clock that is put back gives nothing
    assert allowance.wait(START - 1000 + 6) == 0
    assert allowance.wait(START) == 0


def test_a_rate_of_nothing_is_no_limit() -> None:
    allowance = Allowance(0)
    allowance.spend(1e12)
    assert allowance.wait(START) == 0


def test_who_sends_too_much_is_told_when_to_come_again_never_twice_the_same() -> None:
    chances = iter([0.0, 0.0, 0.9, 0.5])
    accounts = Accounts(Limits(device_values=10), random=lambda: next(chances))
    device, customer = accounts.device(), accounts.customer("acme")
    device.allowance.wait(START)
    device.allowance.spend(200)
    told = []
    for _ in range(2):
        with pytest.raises(Refusal) as refused:
            accounts.check_rate(device, customer, START)
        assert (refused.value.status, refused.value.reason) == (429, "rate_limit")
        told.append(refused.value.retry_after)
    assert told == [10, 20]


def test_processes_that_share_a_limit_tell_each_other_what_was_spent() -> None:
    one, other = Accounts(Limits(customer_values=10)), Accounts(Limits(customer_values=10))
    one.customer("acme").allowance.spend(150)
    told = one.newly_spent()
    assert (told, one.newly_spent(), other.newly_spent()) == ({"acme": 150}, {}, {})
    other.customer("acme").allowance.wait(START)
    other.customer("acme").allowance.spent_elsewhere(told["acme"])
    assert other.customer("acme").allowance.wait(START) == pytest.approx(5)
    assert other.newly_spent() == {}
    unlimited = Accounts(Limits())
    unlimited.customer("acme").allowance.spend(1)
    assert unlimited.newly_spent() == {}


def test_series_are_counted_by_device_and_by_customer() -> None:
    accounts = Accounts(Limits(device_series=10, customer_series=15))
    one, two, acme = accounts.device(), accounts.device(), accounts.customer("acme")
    accounts.check_series(one, acme, 10, "$")
    accounts.check_series(two, acme, 5, "$")
    accounts.check_series(one, acme, 9, "$")  # instead of the ten
    for device, series, reason in ((one, 11, "device_series"), (two, 7, "customer_series")):
        with pytest.raises(Refusal) as refused:
            accounts.check_series(device, acme, series, "$.frames[1]")
        assert (refused.value.status, refused.value.path, refused.value.reason) == (413, "$.frames[1]", reason)
    accounts.check_series(two, accounts.customer("charlie"), 7, "$")


def test_backlogs_are_told_to_wait_longer_the_more_of_them_come() -> None:
    pace = Pace(1000, lambda: 0.0)
    assert pace.take(900, START) == 0
    assert pace.take(1100, START) == pytest.approx(1)
    assert pace.take(1000, START) == pytest.approx(2)
    assert pace.take(1000, START + 100) == 0
    assert pace.take(10**9, START + 100) == MAX_PACE
    assert Pace(0).take(10**9, START) == 0


def test_a_customer_that_sends_too_much_is_refused_and_another_is_not(tmp_path: Path) -> None:
    port = Port(tmp_path)
    mine, other = port.enrolled("pc1", "acme"), port.enrolled("pc2", "charlie")
    with running(port):
        senders = Senders(port.register, {}, Limits(customer_values=1, customer_series=2))
        port.server.ports._senders = senders
        port.intake._accounts = senders.accounts
        for seq in range(1, 7):
            assert port.request("/v1/push", schema() + rows(seq, [1, 1]), mine)[0] == 204
        status, content, headers = port.request("/v1/push", rows(7, [1, 1]), mine)
        assert (status, b"this customer's devices" in content) == (429, True)
        assert int(headers["Retry-After"]) >= 1
        assert port.request("/v1/push", schema() + rows(1, [1, 1]), other)[0] == 204
        more = wire.encode_schema(["a", "b", "c"])
        body = wire.encode(wire.Kind.SCHEMA, 7, 0, more)
        payload = wire.encode_rows(wire.schema_id(more), [START], [[1.0, 2.0, 3.0]])
        status, content, _ = port.request("/v1/push", body + wire.encode(wire.Kind.ROWS, 7, 2, payload), other)
        assert status == 413
        assert b"$.frames[1]" in content
        assert len(port.frames()) == 1 + 6 + 1  # a schema is logged once


def request_of(data: bytes) -> RepeatedHead | None:
    from collector.ingest.http import Request

    request = Request("peer")
    request.sent = 1.25
    return RepeatedHead.of(data, request)


def test_a_head_that_comes_again_is_known_but_for_its_numbers() -> None:
    head = request_of(HEAD + b"ab")
    assert head is not None
    again = HEAD.replace(b"1.250", b"9.125").replace(b"Length: 2", b"Length: 13") + b"x" * 13
    found = head.find(b"??" + again, 2)
    assert found is not None
    sent, start, end = found
    assert (sent, end - start) == (9.125, 13)
    assert (b"??" + again)[start:end] == b"x" * 13


@pytest.mark.parametrize(
    "other",
    [
        HEAD.replace(b"Bearer t", b"Bearer u") + b"ab",
        HEAD.replace(b"1.250", b"1.2_0") + b"ab",
        HEAD.replace(b"1.250", b"-.250") + b"ab",
        HEAD.replace(b"Length: 2", b"Length: +2") + b"ab",
        HEAD.replace(b"Length: 2", b"Length: 3") + b"ab",
        HEAD.replace(b"Length: 2", b"Length: 99999999999") + b"ab",
        HEAD.replace(b"\r\n\r\n", b"\r\nX: y\r\n\r\n") + b"ab",
        HEAD[:-1],
        b"",
    ],
    ids=["token", "underscore", "sign", "plus", "torn", "huge", "header", "cut", "empty"],
)
def test_whatever_differs_goes_to_the_parser(other: bytes) -> None:
    head = request_of(HEAD + b"ab")
    assert head is not None
    assert head.find(other, 0) is None


@pytest.mark.parametrize(
    "data",
    [
        HEAD.replace(b"POST", b"GET"),
        HEAD.replace(b"\r\nContent-Length: 2", b"\r\nTransfer-Encoding: chunked\r\nContent-Length: 2"),
        HEAD.replace(b"\r\nContent-Length: 2", b"\r\nConnection: close\r\nContent-Length: 2"),
        HEAD.replace(b"\r\nContent-Length: 2", b""),
    ],
    ids=["method", "chunked", "close", "no length"],
)
def test_an_unusual_head_is_not_kept(data: bytes) -> None:
    assert request_of(data) is None


def test_pushes_of_one_connection_are_answered_in_order_known_or_not(tmp_path: Path) -> None:
    port = Port(tmp_path)
    token = port.enrolled()
    with running(port):
        push_in_turn(port, token)
    seqs = [frame.seq for frame in port.frames() if frame.seq]
    assert seqs == [seq for seq in range(1, 20) if seq % 5]


def push_in_turn(port: Port, token: str) -> None:
    """Push on one connection; each fifth time with a wrong token."""
    connection = port.connect()
    for seq in range(1, 20):
        body = (schema() if seq == 1 else b"") + rows(seq, [float(seq), 1.0])
        wrong = seq % 5 == 0
        connection.putrequest("POST", "/v1/push", skip_accept_encoding=True)
        connection.putheader("Authorization", "Bearer " + ("wrong" if wrong else token))
        connection.putheader("Watchdesk-Time", f"{START:.3f}")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == (401 if wrong else 204)
    connection.close()
