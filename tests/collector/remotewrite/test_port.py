"""Remote writes at the agents' port: answers, the log, and what the state machine makes of them."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import wire
from agent.wire import Kind
from collector.log import RecordKind
from collector.register.writers import Writers
from collector.remotewrite.parts import PART_COLUMNS
from collector.rows import is_absent, samples_of
from collector.state import State
from rules.promql import Query, Vector
from tests.collector.ingest.conftest import START, Port, running
from tests.collector.remotewrite.payloads import NAN, STALE, V1, V2, host, part, request1, request2, snappy
from tests.e2e.desk import eventually

NOW = int(START * 1000)
WRITTEN = "X-Prometheus-Remote-Write-Samples-Written"


@pytest.fixture
def port(tmp_path: Path) -> Iterator[Port]:
    with running(Port(tmp_path)) as started:
        yield started


def token(port: Port, customer: str = "acme", **more: int) -> str:
    made = Writers(port.register.engine).create(customer, "hq", name="prom", now=START, **more)
    eventually(lambda: port.server.ports.writes.find(made.encode()))  # the register is read every two seconds
    return made


def write(port: Port, token: str, body: bytes, version: str = V1, **headers: str) -> tuple[int, bytes, str | None]:
    given = {"Content_Type": version, "Content_Encoding": "snappy", **headers}
    status, content, answered = port.request("/api/v1/write", body, token, **given)
    return status, content, answered[WRITTEN]


def state(port: Port) -> State:
    """What the log makes of it, with a tick at the end."""
    made = State()
    for record in port.records():
        made.apply(record)
    return made


def exposed(state: State, metric: str) -> dict[str, float]:
    lines = b"".join(state.fleet.exposition()).decode().splitlines()
    split = (line.rsplit("} ", 1) for line in lines if line.startswith(metric + "{"))
    return {series: float(value.split()[0]) for series, value in split}


@pytest.mark.parametrize("version", [V1, V2])
def test_samples_become_series_of_a_device_that_is_made_for_their_instance(port: Port, version: str) -> None:
    mine = token(port)
    make = request1 if version == V1 else request2
    series = [(host("PC1.example.com"), [(0.5, NOW)]), (host("pc2", "node_load5", cpu="0"), [(7.0, NOW)])]
    assert write(port, mine, snappy(make(series)), version) == (204, b"", "2")
    names = {device.name: device for device in port.register.devices()}
    assert set(names) == {"pc1-example-com", "pc2"}
    assert {device.customer for device in names.values()} == {"acme"}
    kinds = [frame.kind for frame in port.frames()]
    assert kinds == [Kind.SCHEMA, Kind.PART, Kind.SCHEMA, Kind.PART]
    found = exposed(state(port), "node_load1")
    [(text, value)] = found.items()
    assert value == 0.5
    for label in ('instance="pc1-example-com.hq.acme"', 'exported_instance="PC1.example.com:9100"', 'job="node"'):
        assert label in text


def test_known_series_go_in_without_their_schema_and_partly(port: Port) -> None:
    mine = token(port)
    many = [(host("a", n=str(n)), [(float(n), NOW)]) for n in range(300)]
    assert write(port, mine, snappy(request1(many)))[0] == 204
    schemas = [frame for frame in port.frames() if frame.kind == Kind.SCHEMA]
    assert len(schemas) == math.ceil(300 / PART_COLUMNS)
    some = [(host("a", n=str(n)), [(n + 0.5, NOW + 15_000)]) for n in range(100, 200)]
    port.clock.now += 15
    assert write(port, mine, snappy(request2(some)), V2) == (204, b"", "100")
    assert [frame for frame in port.frames() if frame.kind == Kind.SCHEMA] == schemas
    found = exposed(state(port), "node_load1")
    assert sorted(found.values()) == sorted(
        [float(n) for n in range(300) if not 100 <= n < 200] + [n + 0.5 for n in range(100, 200)]
    )


def test_a_request_that_comes_twice_has_its_effect_once(port: Port) -> None:
    mine = token(port)
    for step in range(5):
        port.clock.now = START + 15 * step
        body = snappy(
            request1(
                [(host("a"), [(float(step), NOW + 15_000 * step)]), (host("a", n="1"), [(1.0, NOW + 15_000 * step)])]
            )
        )
        for _ in range(3):
            assert write(port, mine, body)[0] == 204
    made = State()
    query = Query(made.fleet, "count_over_time(node_load1[5m])")
    for record in port.records():
        made.apply(record)
    found = query.at(START + 60)
    assert isinstance(found, Vector)
    assert found.values.tolist() == [5.0, 5.0]


def test_a_stale_marker_ends_a_series_and_a_nan_is_a_value(port: Port) -> None:
    mine = token(port)
    first = [(host("a", n=str(n)), [(1.0, NOW)]) for n in range(3)]
    assert write(port, mine, snappy(request1(first)))[0] == 204
    port.clock.now += 15
    second = [(host("a", n="0"), [(STALE, NOW + 15_000)]), (host("a", n="1"), [(NAN, NOW + 15_000)])]
    assert write(port, mine, snappy(request1(second)))[0] == 204
    found = exposed(state(port), "node_load1")
    assert [math.isnan(value) for value in found.values()].count(True) == 1
    assert len(found) == 2


def test_an_older_sample_goes_to_the_history_and_not_over_a_newer_one(port: Port) -> None:
    mine = token(port)
    for value, time in ((1.0, NOW), (2.0, NOW - 60_000)):
        assert write(port, mine, snappy(request1([(host("a"), [(value, time)])])))[0] == 204
    made = state(port)
    assert list(exposed(made, "node_load1").values()) == [1.0]
    assert made.fleet.late == 1
    records = port.records(RecordKind.FRAME)
    rows = [samples_of(r, f) for r in records if (f := wire.read_frame(r.body)) and f.kind == Kind.PART]
    assert [float(one.times[0]) for one in rows] == [START, START - 60]


def test_a_backlog_in_one_request_is_rows_in_order(port: Port) -> None:
    mine = token(port)
    samples = [(float(step), NOW - 1_000 * (100 - step)) for step in range(100)]
    series = [(host("a", n=str(n)), samples if n else samples[1::2]) for n in range(3)]
    assert write(port, mine, snappy(request1(series)))[0] == 204
    records = port.records(RecordKind.FRAME)
    [rows] = [samples_of(r, f) for r in records if (f := wire.read_frame(r.body)) and f.kind == Kind.PART]
    assert rows.values.shape == (100, 3)
    assert int(is_absent(rows.values).sum()) == 50
    assert (rows.times[1:] > rows.times[:-1]).all()


REFUSED = {
    "no name": ({"instance": "a"}, "the metric name is not valid"),
    "a name with a dot": ({"__name__": "a.b", "instance": "a"}, "the metric name is not valid"),
    "a label with a dot": ({"__name__": "a", "b.c": "x"}, "a label name is not valid"),
    "too many labels": ({"__name__": "a", **{f"l{n}": "x" for n in range(40)}}, "at most 32"),
    "too long": ({"__name__": "a", "l": "x" * 5000}, "at most 4096"),
    "an instance that is no name": ({"__name__": "a", "instance": "…"}, "no letter and no digit"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("version", [V1, V2])
def test_what_can_never_be_taken_is_told_and_the_rest_is_written(port: Port, name: str, version: str) -> None:
    labels, words = REFUSED[name]
    mine = token(port)
    make = request1 if version == V1 else request2
    body = snappy(make([(host("a"), [(1.0, NOW)]), (labels, [(1.0, NOW), (2.0, NOW + 1)])]))
    status, content, count = write(port, mine, body, version)
    assert (status, count) == (400, "1")
    assert words in content.decode()
    assert "(2)" in content.decode()
    assert list(exposed(state(port), "node_load1").values()) == [1.0]


def test_native_histograms_and_exemplars_are_refused_as_the_specification_says(port: Port) -> None:
    mine = token(port)
    series = [(host("a"), [(1.0, NOW)])]
    status, content, count = write(port, mine, snappy(request1(series) + part(1, part(4, b""))))
    assert (status, count) == (400, "1")
    assert b"histograms" in content
    assert write(port, mine, snappy(request1(series) + part(1, part(3, b""))))[0] in (204, 400)
    status, content, count = write(port, mine, snappy(request2(series, more=part(4, b""))), V2)
    assert (status, count) == (400, "1")
    assert b"exemplars" in content


def test_other_contents_are_415_and_what_is_malformed_400(port: Port) -> None:
    mine = token(port)
    body = snappy(request1([(host("a"), [(1.0, NOW)])]))
    for kind in ("application/json", "application/x-protobuf;proto=io.prometheus.write.v3.Request", ""):
        assert write(port, mine, body, kind)[0] == 415
    for encoding in ("gzip", "zstd", ""):
        assert write(port, mine, body, Content_Encoding=encoding)[0] == 415
    assert write(port, mine, b"\xff" * 20)[0] == 400
    assert write(port, mine, b"")[0] == 400
    assert write(port, mine, snappy(b"\x0a\x7f"))[0] == 400
    assert write(port, mine, snappy(b""))[:2] == (204, b"")
    assert write(port, mine, snappy(bytes(17 << 20)))[0] == 413
    assert port.frames() == []


def test_only_a_token_for_it_may_write_and_only_to_its_site(port: Port) -> None:
    theirs = token(port, "globex")
    body = snappy(request1([(host("a", customer="acme", site="x"), [(1.0, NOW)])]))
    for wrong in ("", "wdw_wrong", port.enrolled()):
        assert write(port, wrong, body)[0] == 401
    assert write(port, theirs, body)[0] == 204
    [text] = exposed(state(port), "node_load1")
    assert 'customer="globex"' in text
    assert 'exported_customer="acme"' in text
    assert port.request("/v1/push", b"", theirs)[0] == 401


def test_a_revoked_token_is_refused_within_seconds(port: Port) -> None:
    mine = token(port)
    writers = Writers(port.register.engine)
    writers.revoke(writers.all()[0].id, START)
    body = snappy(request1([]))
    eventually(lambda: write(port, mine, body)[0] == 401)


def test_a_token_makes_no_more_devices_than_it_may(port: Port) -> None:
    mine = token(port, max_devices=2)
    body = snappy(request1([(host(f"h{n}"), [(1.0, NOW)]) for n in range(5)]))
    status, content, count = write(port, mine, body)
    assert (status, count) == (400, "2")
    assert b"no more devices (3)" in content
    assert len(port.register.devices()) == 2


def test_an_instance_that_is_an_enrolled_device_is_that_device(port: Port) -> None:
    port.enrolled("pc1")
    mine = token(port)
    assert write(port, mine, snappy(request1([(host("pc1"), [(1.0, NOW)])])))[0] == 204
    assert [device.origin for device in port.register.devices()] == ["agent"]


def test_a_restart_keeps_every_series_in_its_place(tmp_path: Path) -> None:
    with running(Port(tmp_path)) as port:
        mine = token(port)
        body = request1([(host("a", n=str(n)), [(1.0, NOW)]) for n in range(10)])
        assert write(port, mine, snappy(body))[0] == 204
        before = state(port)
    again = Port(tmp_path)
    again.known = before
    with running(again) as port:
        port.clock.now += 15
        body = request1([(host("a", n=str(n)), [(2.0, NOW + 15_000)]) for n in range(5, 12)])
        assert write(port, mine, snappy(body))[0] == 204
        after = state(port)
    assert [frame.kind for frame in again.frames()].count(Kind.SCHEMA) == 2
    assert sorted(exposed(after, "node_load1").values()) == [1.0] * 5 + [2.0] * 7
    restored = State()
    restored.restore(after.dump())
    assert restored.parts == after.parts
    assert restored.dump() == after.dump()


def test_a_device_that_was_retired_is_made_again_by_its_next_sample(port: Port) -> None:
    mine = token(port)
    body = snappy(request1([(host("a"), [(1.0, NOW)])]))
    assert write(port, mine, body)[0] == 204
    [first] = port.register.devices()
    port.register.retire(first.id, START)
    eventually(lambda: write(port, mine, body)[0] == 204 and bool(port.register.devices()))
    [second] = port.register.devices()
    assert second.id != first.id
