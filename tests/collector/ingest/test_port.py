"""What agents send over real TLS, and what of it is in the log afterwards."""

import gzip
import json
import re
import socket
import ssl
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import pytest

from agent import wire
from agent.wire import Kind
from collector.log import RecordKind
from tests.collector.ingest.conftest import SCHEMA, SERIES, START, Port, rows, running, schema

HELLO = json.dumps({"version": "1", "os": "linux", "reason": "boot", "interval": 10}).encode()


def push(port: Port, token: str, body: bytes, **headers: str) -> tuple[int, dict[str, object]]:
    status, content, _ = port.request("/v1/push", body, token, **headers)
    return status, json.loads(content) if content else {}


def error(answer: tuple[int, dict[str, object]]) -> tuple[int, str, object]:
    status, content = answer
    return status, str(content["error"]), content.get("path")


@pytest.fixture
def token(port: Port) -> str:
    secret = port.register.create_enrol_token("acme", "hq", now=START)
    status, content, _ = port.request(
        "/v1/enrol", json.dumps({"token": secret, "hostname": "PC1", "os": "linux"}).encode()
    )
    assert status == 201
    return str(json.loads(content)["token"])


def test_rows_are_durable_when_they_are_acknowledged(port: Port, token: str) -> None:
    assert push(port, token, schema() + rows(1, [0.5, 1e9], [0.6, 1e9])) == (204, {})
    kinds = [frame.kind for frame in port.frames()]
    assert kinds == [Kind.SCHEMA, Kind.ROWS]
    record = port.records(RecordKind.FRAME)[1]
    frame = wire.read_frame(record.body)
    assert frame is not None
    head = wire.read_rows(record.body, frame)
    assert struct.unpack_from("<4d", record.body, head.values) == (0.5, 1e9, 0.6, 1e9)
    assert (record.received, record.skew) == (START, 0.0)


def test_every_answer_tells_the_collectors_time(port: Port, token: str) -> None:
    for path, bearer in (("/v1/push", token), ("/v1/push", "wrong"), ("/nothing", token)):
        assert port.request(path, schema(), bearer)[2]["Watchdesk-Time"] == f"{START:.3f}"


def test_a_frame_is_taken_once(port: Port, token: str) -> None:
    body = schema() + rows(1, [1, 1]) + rows(2, [2, 2])
    for _ in range(3):
        assert push(port, token, body)[0] == 204
    assert push(port, token, rows(2, [2, 2]) + rows(3, [3, 3]))[0] == 204
    assert [frame.seq for frame in port.frames() if frame.kind == Kind.ROWS] == [1, 2, 3]


def test_the_same_seq_in_a_new_epoch_is_another_frame(port: Port, token: str) -> None:
    push(port, token, schema() + rows(1, [1, 1]))
    push(port, token, rows(1, [2, 2], epoch=8))
    push(port, token, rows(1, [1, 1]))
    assert [(f.epoch, f.seq) for f in port.frames() if f.kind == Kind.ROWS] == [(7, 1), (8, 1)]


def test_an_unknown_schema_is_asked_for_and_nothing_is_taken(port: Port, token: str) -> None:
    wanted = f"{wire.schema_id(SCHEMA):016x}"
    hello = wire.encode(Kind.HELLO, 7, 1, HELLO)
    status, content = push(port, token, hello + rows(2, [1, 1]))
    assert (status, content["need"]) == (409, [wanted])
    assert port.frames() == []
    assert push(port, token, schema() + hello + rows(2, [1, 1]))[0] == 204
    assert [frame.seq for frame in port.frames()] == [0, 1, 2]


def test_a_clock_that_is_off_is_corrected_and_one_that_is_not_is_left_alone(port: Port, token: str) -> None:
    push(port, token, schema() + rows(1, [1, 1]), Watchdesk_Time=f"{START - 3600:.3f}")
    push(port, token, rows(2, [1, 1]), Watchdesk_Time=f"{START - 1.5:.3f}")
    push(port, token, rows(3, [1, 1]), Watchdesk_Time="rubbish")
    assert [record.skew for record in port.records(RecordKind.FRAME)] == [3600.0, 3600.0, 0.0, 0.0]


@pytest.mark.parametrize("encoding", ["deflate", "gzip"])
def test_compressed_bodies(port: Port, token: str, encoding: str) -> None:
    body = schema() + rows(1, [1, 1])
    packed = zlib.compress(body) if encoding == "deflate" else gzip.compress(body)
    assert push(port, token, packed, Content_Encoding=encoding)[0] == 204
    assert len(port.frames()) == 2


def test_a_decompression_bomb_is_refused_before_it_unfolds(port: Port, token: str) -> None:
    bomb = gzip.compress(bytes(200 << 20))
    assert len(bomb) < 300_000
    assert push(port, token, bomb, Content_Encoding="gzip")[0] == 413


@pytest.mark.parametrize(
    ("body", "encoding", "why"),
    [
        (b"not compressed", "gzip", "not what its Content-Encoding says"),
        (gzip.compress(b"x" * 99)[:-5], "gzip", "torn"),
        (zlib.compress(b"x") + b"more", "deflate", "something follows it"),
    ],
    ids=["plain", "torn", "followed"],  # a gzip header holds the time, which no test's name may
)
def test_a_body_that_is_not_what_it_claims(port: Port, token: str, body: bytes, encoding: str, why: str) -> None:
    status, message, _ = error(push(port, token, body, Content_Encoding=encoding))
    assert status == 400
    assert why in message


def with_payload(kind: int, payload: bytes, seq: int = 1) -> bytes:
    return wire.encode(kind, 7, seq, payload)


MALFORMED = {
    "no frame": (b"rubbish" * 20, "$.frames[0]"),
    "truncated": ((schema() + rows(1, [1, 1]))[:-3], "$.frames[1]"),
    "a flipped bit": (schema()[:-1] + b"?", "$.frames[0]"),
    "columns that the schema has not": (
        schema() + with_payload(Kind.ROWS, wire.encode_rows(wire.schema_id(SCHEMA), [START], [[1.0, 2.0, 3.0]])),
        "$.frames[1].columns",
    ),
    "a size that does not fit": (
        schema() + with_payload(Kind.ROWS, wire.encode_rows(wire.schema_id(SCHEMA), [START], [[1.0, 2.0]])[:-8]),
        "$.frames[1].length",
    ),
    "no rows": (schema() + with_payload(Kind.ROWS, wire.ROWS_HEADER.pack(1, 0, 2)), "$.frames[1].rows"),
    "a time that is none": (schema() + rows(1, [1, 1], time=float("nan")), "$.frames[1].times"),
    "an endless time": (schema() + rows(1, [1, 1], time=float("inf")), "$.frames[1].times"),
    "a series that is none": (with_payload(Kind.SCHEMA, b'a{b=c"}', 0), "$.frames[0][0]"),
    "a series twice": (with_payload(Kind.SCHEMA, b"a\nb\na", 0), "$.frames[0]"),
    "a schema that is not UTF-8": (with_payload(Kind.SCHEMA, b"\xff", 0), "$.frames[0]"),
    "a hello that is no JSON": (with_payload(Kind.HELLO, b"{"), "$.frames[0]"),
    "a hello with NaN": (with_payload(Kind.HELLO, HELLO.replace(b"10}", b"NaN}")), "$.frames[0]"),
    "a hello without end": (with_payload(Kind.HELLO, b"[" * 60_000), "$.frames[0]"),
    "a hello that is too long": (with_payload(Kind.HELLO, b" " * 70_000 + HELLO), "$.frames[0]"),
    "an interval of nothing": (with_payload(Kind.HELLO, HELLO.replace(b"10}", b"0}")), "$.frames[0].interval"),
    "a goodbye for ever": (
        with_payload(Kind.GOODBYE, b'{"reason": "stop", "ttl": 1e99}'),
        "$.frames[0].ttl",
    ),
    "an event without a number": (with_payload(Kind.EVENT, b'{"t": 1, "type": "log"}', 0), "$.frames[0].seq"),
    "an event of no type": (with_payload(Kind.EVENT, b'{"t": 1, "type": "x"}'), "$.frames[0].type"),
    "a log line with data": (with_payload(Kind.EVENT, b'{"t": 1, "type": "log", "data": {}}'), "$.frames[0].data"),
    "a group of the log": (with_payload(Kind.GROUP, b"x" * 64), "$.frames[0].kind"),
    "an unknown kind": (with_payload(77, b"x"), "$.frames[0].kind"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_pushes_are_refused_with_their_place_and_leave_nothing(port: Port, token: str, name: str) -> None:
    body, where = MALFORMED[name]
    status, _, path = error(push(port, token, body))
    assert (status, path) == (400, where)
    assert port.frames() == []
    assert push(port, token, schema() + rows(1, [1, 1]))[0] == 204


def test_a_body_over_the_limit_is_refused_by_its_length_and_by_its_size(port: Port, token: str) -> None:
    assert push(port, token, bytes(wire.MAX_BODY + 1))[0] == 413
    chunked = port.connect()
    chunked.request("POST", "/v1/push", iter([bytes(1 << 20)] * 5), {"Authorization": f"Bearer {token}"})
    assert chunked.getresponse().status == 413
    chunked.close()


def test_json_that_curl_can_send(port: Port, token: str) -> None:
    body = json.dumps({"series": SERIES, "rows": [[START, 0.5, None]]}).encode()
    assert push(port, token, body, Content_Type="application/json")[0] == 204
    assert push(port, token, body, Content_Type="application/json")[0] == 204
    kinds = [frame.kind for frame in port.frames()]
    assert kinds == [Kind.SCHEMA, Kind.ROWS, Kind.ROWS]
    record = port.records(RecordKind.FRAME)[1]
    values = struct.unpack_from("<2d", record.body, len(record.body) - 16)
    assert values[0] == 0.5
    assert values[1] != values[1]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"series": ["a"], "rows": [[START, 1, 2]]}, "$.rows[0]"),
        ({"series": ["a"], "rows": [[None, 1]]}, "$.rows[0]"),
        ({"series": ["a b"], "rows": [[START, 1]]}, "$.frames[0][0]"),
        ({"series": [], "rows": [[START, 1]]}, "$.series"),
        ({"series": ["a"], "rows": [[START, 1]], "customer": "other"}, "$"),
        ({"series": ["a"], "rows": [[START, "1"]]}, "$.rows[0][1]"),
        ({"series": ["a"], "rows": [[-1, 1]]}, "$.frames[1].times"),
    ],
)
def test_malformed_json_is_refused_with_its_place(port: Port, token: str, body: object, where: str) -> None:
    answer = push(port, token, json.dumps(body).encode(), Content_Type="application/json")
    assert [answer[0], answer[1].get("path", "$")] == [400, where]
    assert port.frames() == []


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "-Infinity"])
def test_json_numbers_that_are_none_are_refused(port: Port, token: str, number: str) -> None:
    body = b'{"series":["a"],"rows":[[%d,%s]]}' % (START, number.encode())
    assert push(port, token, body, Content_Type="application/json")[0] == 400


def test_deep_json_is_refused(port: Port, token: str) -> None:
    assert push(port, token, b"[" * 200_000, Content_Type="application/json")[0] == 400


def test_who_has_no_token_gets_nothing_in(port: Port) -> None:
    for bearer in ("", "wdd_wrong", "x" * 5000):
        assert port.request("/v1/push", schema(), bearer)[0] == 401
    assert port.frames() == []


def test_guessing_tokens_is_slowed_down(port: Port) -> None:
    statuses = [port.request("/v1/push", b"", f"guess{number}")[0] for number in range(103)]
    assert set(statuses[:100]) == {401}
    assert statuses[101:] == [429, 429]


def enrol(port: Port, secret: str, name: str = "pc1", **more: object) -> tuple[int, dict[str, Any]]:
    body = json.dumps({"token": secret, "hostname": name, "os": "linux", **more}).encode()
    status, content, _ = port.request("/v1/enrol", body)
    return status, json.loads(content)


def test_enrolment_gives_a_device_with_the_labels_of_its_token(port: Port) -> None:
    secret = port.register.create_enrol_token("ACME Ltd", "Suzhou", now=START, kind="server", role="file")
    status, answer = enrol(port, secret, "SRV-FS01", **{"class": "desktop"})
    assert (status, answer["device"], answer["interval"]) == (201, "srv-fs01.suzhou.acme-ltd", 10.0)
    assert push(port, answer["token"], schema() + rows(1, [1, 1]))[0] == 204
    [record] = port.records(RecordKind.DEVICE)
    assert json.loads(record.body) == {
        "instance": "srv-fs01.suzhou.acme-ltd",
        "job": "agent",
        "customer": "acme-ltd",
        "site": "suzhou",
        "class": "server",
        "role": "file",
    }
    assert record.device == port.records(RecordKind.FRAME)[0].device
    assert record.number < port.records(RecordKind.FRAME)[0].number


def test_how_often_an_agent_reads_follows_its_class(tmp_path: Path) -> None:
    """Where the provider has chosen nothing: servers and the rest each 15 s, desktops each 60 s."""
    with running(Port(tmp_path), interval=None) as port:
        secret = port.register.create_enrol_token("acme", "hq", now=START, uses=3)
        for kind, seconds in (("server", 15.0), ("desktop", 60.0)):
            status, answer = enrol(port, secret, kind, **{"class": kind})
            assert (status, answer["interval"]) == (201, seconds)
        of_token = port.register.create_enrol_token("acme", "hq", now=START, kind="desktop")
        assert enrol(port, of_token, "pc", **{"class": "server"})[1]["interval"] == 60.0


def test_wrong_used_expired_and_revoked_enrolment_tokens_get_one_answer(port: Port) -> None:
    used = port.register.create_enrol_token("acme", "hq", now=START)
    assert enrol(port, used, "first")[0] == 201
    expired = port.register.create_enrol_token("acme", "hq", now=START - 100, life=50)
    revoked = port.register.create_enrol_token("acme", "hq", now=START)
    port.register.revoke_enrol_token(port.register.enrol_tokens()[0].id, START)
    answers = [enrol(port, secret, "second") for secret in (used, expired, revoked, "wrong-wrong-wrong-wrong")]
    assert [status for status, _ in answers] == [403] * 4
    assert len({answer["error"] for _, answer in answers}) == 1
    assert len(port.register.devices()) == 1


def test_a_second_device_of_a_name_is_refused_and_the_token_keeps_its_use(port: Port) -> None:
    secret = port.register.create_enrol_token("acme", "hq", now=START, uses=2)
    assert enrol(port, secret)[0] == 201
    status, answer = enrol(port, secret)
    assert (status, "enrolled at this site already" in answer["error"]) == (409, True)
    assert enrol(port, secret, "pc2")[0] == 201


@pytest.mark.parametrize("wish", [{"hostname": ""}, {"os": "plan9"}, {"customer": "other"}, {"hostname": 7}])
def test_malformed_enrolments(port: Port, wish: dict[str, object]) -> None:
    secret = port.register.create_enrol_token("acme", "hq", now=START)
    body = {"token": secret, "hostname": "pc", "os": "linux", **wish}
    assert port.request("/v1/enrol", json.dumps(body).encode())[0] == 400
    assert port.register.enrol_tokens()[0].uses_left == 1


def test_a_retired_device_is_refused_from_then_on(port: Port, token: str) -> None:
    assert push(port, token, schema())[0] == 204
    assert port.request("/v1/retire", b"", token)[0] == 204
    assert push(port, token, rows(1, [1, 1]))[0] == 401
    deadline = time.monotonic() + 60  # the record is on its way when the answer is there
    while len(port.records(RecordKind.DEVICE)) < 2:
        assert time.monotonic() < deadline
    assert [json.loads(record.body) is None for record in port.records(RecordKind.DEVICE)] == [False, True]


def test_a_token_that_is_revoked_elsewhere_is_refused_within_seconds(port: Port, token: str) -> None:
    port.register.retire(port.register.devices()[0].id, START)
    deadline = time.monotonic() + 10
    while push(port, token, schema())[0] != 401:
        assert time.monotonic() < deadline


def test_the_ca_is_given_to_those_who_do_not_trust_it_yet(port: Port) -> None:
    assert port.request("/v1/ca", method="GET")[1] == port.pki.ca.read_bytes()


def test_what_a_machine_without_an_agent_fetches(port: Port) -> None:
    """The Windows package is the provider's own to build; it is given as soon as it is there."""
    assert port.request("/install.sh", method="GET")[1].startswith(b"#!/bin/sh")
    assert b"msiexec" in port.request("/install.ps1", method="GET")[1]
    status, said, _ = port.request("/v1/agent.msi", method="GET")
    assert status == 404
    assert b"agent.msi" in said
    package = b"MSI" * 1_000_000
    (port.pki.ca.parent.parent / "agent.msi").write_bytes(package)
    assert port.request("/v1/agent.msi", method="GET")[:2] == (200, package)
    assert port.request("/v1/agent.msi", b"x")[0] == 405


def test_other_paths_and_methods(port: Port, token: str) -> None:
    assert port.request("/v1/push", method="GET", token=token)[0] == 405
    assert port.request("/", method="GET")[0] == 404
    assert port.request("/-/ready", method="GET")[:2] == (200, b"ready\n")
    assert port.request("/v1/push", b"x", token, Content_Encoding="br")[0] == 415


def raw(port: Port, data: bytes) -> bytes:
    """Send bytes over TLS, and return all that comes until the end."""
    context = ssl.create_default_context(cafile=str(port.pki.ca))
    with (
        socket.create_connection(("127.0.0.1", port.number), 10) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        secure.sendall(data)
        answer = b""
        while chunk := secure.recv(65536):
            answer += chunk
        return answer


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x00\x01\x02\x03 rubbish\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 9000 + b"\r\n\r\n", b"431"),
        (b"POST /v1/push HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
        (b"POST /v1/push HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (b"POST /v1/push HTTP/1.1\r\nContent-Length: 5000000\r\n\r\n", b"413"),
    ],
)
def test_what_is_no_request_ends_the_connection(port: Port, data: bytes, status: bytes) -> None:
    answer = raw(port, data)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"Connection: close" in answer


def test_requests_on_one_connection_are_answered_in_order(port: Port, token: str) -> None:
    head = b"POST /v1/push HTTP/1.1\r\nAuthorization: Bearer " + token.encode() + b"\r\nContent-Length: %d\r\n\r\n"
    good, bad = schema(), b"rubbish"
    last = b"GET /-/ready HTTP/1.1\r\nConnection: close\r\n\r\n"
    answer = raw(port, head % len(good) + good + head % len(bad) + bad + last)
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"204", b"400", b"200"]


def test_when_the_log_takes_nothing_the_answer_is_503_and_the_frame_is_taken_later(tmp_path: Path) -> None:
    port = Port(tmp_path)
    token = port.enrolled()
    with running(port):
        push(port, token, schema() + rows(1, [1, 1]))
        with port.failing_log():
            status, _, headers = port.request("/v1/push", rows(2, [2, 2]), token)
            assert (status, headers["Retry-After"]) == (503, "5")
        assert push(port, token, rows(2, [2, 2]))[0] == 409  # a schema that may be missing in the log is asked for
        assert push(port, token, schema() + rows(2, [2, 2]))[0] == 204
        assert [frame.seq for frame in port.frames() if frame.kind == Kind.ROWS] == [1, 2]


def test_time_enters_as_tick_records(port: Port, token: str) -> None:
    deadline = time.monotonic() + 10
    while not port.records(RecordKind.TICK):
        port.clock.now += 1.0
        assert time.monotonic() < deadline
        time.sleep(0.05)
    before = len(port.records(RecordKind.TICK))
    port.clock.now += 5.0
    push(port, token, schema() + rows(1, [1, 1]))
    while len(port.records(RecordKind.TICK)) == before:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    ticks = port.records(RecordKind.TICK)
    assert [tick.received for tick in ticks] == sorted(tick.received for tick in ticks)


def test_connections_beyond_the_limit_are_closed_and_the_others_go_on(tmp_path: Path) -> None:
    port = Port(tmp_path)
    token = port.enrolled()
    with running(port, most=3):
        kept = [port.connect() for _ in range(3)]
        for connection in kept:
            connection.connect()
        with pytest.raises(OSError, match=r".*"):
            port.request("/-/ready", method="GET")
        for connection in kept:
            connection.request("POST", "/v1/push", schema(), {"Authorization": f"Bearer {token}"})
            assert connection.getresponse().status == 204
            connection.close()
        deadline = time.monotonic() + 10
        while port.server.connections:
            assert time.monotonic() < deadline
        assert push(port, token, schema())[0] == 204
