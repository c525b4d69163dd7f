"""Pushes that come again and again on a connection: what differs is seen, whatever came with them in one turn."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import wire
from tests.collector.ingest.conftest import START, Port, rows, running, schema


class Line:
    """One connection of a device."""

    def __init__(self, port: Port, token: str) -> None:
        self._connection = port.connect()
        self.token = token

    def push(self, body: bytes, time: str = f"{START:.3f}") -> int:
        self.send(body, time)
        return self.answer()

    def send(self, body: bytes, time: str = f"{START:.3f}") -> None:
        connection = self._connection
        connection.putrequest("POST", "/v1/push", skip_accept_encoding=True)
        connection.putheader("Authorization", "Bearer " + self.token)
        connection.putheader("Watchdesk-Time", time)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)

    def answer(self) -> int:
        response = self._connection.getresponse()
        response.read()
        return response.status

    def settle(self, seq: int) -> None:
        """Push until the head and the shape of the pushes are known: three from `seq` on."""
        assert [self.push((schema() if n == 0 else b"") + rows(seq + n, [1.0, 2.0])) for n in range(3)] == [204] * 3

    def ended(self) -> bool:
        """Whether the other end has closed the connection."""
        sock = self._connection.sock
        ended = sock is None or sock.recv(1) == b""
        self.close()
        return ended

    def close(self) -> None:
        self._connection.close()


def taken(port: Port) -> list[int]:
    return [frame.seq for frame in port.frames() if frame.kind == wire.Kind.ROWS]


@pytest.fixture
def stopped(tmp_path: Path) -> tuple[Port, list[str]]:
    """A port that does not run yet, and the tokens of two devices."""
    port = Port(tmp_path)
    return port, [port.enrolled("pc1"), port.enrolled("pc2")]


@pytest.fixture
def port(stopped: tuple[Port, list[str]]) -> Iterator[Port]:
    with running(stopped[0]) as started:
        yield started


@pytest.fixture
def line(port: Port, stopped: tuple[Port, list[str]]) -> Iterator[Line]:
    made = Line(port, stopped[1][0])
    made.settle(1)
    yield made
    made.close()


def test_a_changed_bit_is_refused(port: Port, line: Line) -> None:
    body = bytearray(rows(4, [1.0, 2.0]))
    body[-1] ^= 1
    assert line.push(bytes(body)) == 400
    assert line.push(rows(4, [1.0, 2.0])) == 204
    assert taken(port) == [1, 2, 3, 4]


def test_what_was_taken_before_is_passed_over(port: Port, line: Line) -> None:
    assert [line.push(rows(seq, [1.0, 2.0])) for seq in (4, 4, 3, 5)] == [204] * 4
    assert taken(port) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("time", [-1.0, 1e11, float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(port: Port, line: Line, time: float) -> None:
    payload = bytearray(rows(4, [1.0, 2.0]))[wire.HEADER.size :]
    struct.pack_into("<d", payload, wire.ROWS_HEADER.size, time)
    assert line.push(wire.encode(wire.Kind.ROWS, 7, 4, bytes(payload))) == 400
    assert taken(port) == [1, 2, 3]


def test_the_senders_clock_is_corrected_as_ever(port: Port, line: Line) -> None:
    assert line.push(rows(4, [1.0, 2.0]), f"{START - 100:.3f}") == 204
    assert line.push(rows(5, [1.0, 2.0]), "1_60000000.000") == 204  # no time: none is corrected
    assert line.push(rows(6, [1.0, 2.0]), f"{START - 1:.3f}") == 204
    assert [record.skew for record in port.records() if record.device == 1 and record.kind == 1][-3:] == [100.0, 0, 0]


def test_another_shape_of_the_same_size_is_seen(port: Port, line: Line) -> None:
    payload = wire.encode_rows(5, [START], [[1.0, 2.0]])  # of a schema that is not known
    assert line.push(wire.encode(wire.Kind.ROWS, 7, 4, payload)) == 409
    assert line.push(rows(5, [1.0, 2.0], epoch=8)) == 204  # another epoch
    assert taken(port) == [1, 2, 3, 5]


def test_two_connections_of_one_device_are_told_apart_by_seq(port: Port, line: Line) -> None:
    other = Line(port, line.token)
    other.settle(4)
    line.send(rows(7, [1.0, 2.0]))
    other.send(rows(7, [1.0, 2.0]))
    assert (line.answer(), other.answer()) == (204, 204)
    assert taken(port) == [1, 2, 3, 4, 5, 6, 7]
    other.close()


def test_a_push_that_could_not_be_written_may_come_again(port: Port, line: Line) -> None:
    with port.failing_log():
        assert line.push(rows(4, [1.0, 2.0])) == 503
    assert line.push(rows(4, [1.0, 2.0])) == 409  # a schema that may be missing in the log is asked for
    assert line.push(schema() + rows(4, [1.0, 2.0])) == 204
    assert line.push(rows(5, [1.0, 2.0])) == 204
    assert taken(port) == [1, 2, 3, 4, 5]


def test_an_error_of_ours_is_told_and_ends_one_connection(
    port: Port, line: Line, stopped: tuple[Port, list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    accounts = port.intake._accounts
    port.intake._accounts = None  # type: ignore[assignment]
    for _ in range(2):
        failing = Line(port, stopped[1][1])
        assert failing.push(schema() + rows(1, [1.0, 2.0])) == 500
        assert failing.ended()
    assert line.push(rows(4, [1.0, 2.0])) == 204
    port.intake._accounts = accounts
    again = Line(port, stopped[1][1])
    assert again.push(schema() + rows(1, [1.0, 2.0])) == 204
    again.close()
    assert port.server.counters.requests[500] == 2
    assert [record.message for record in caplog.records if record.exc_info] == ["a request failed"] * 2
