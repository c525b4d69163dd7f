"""PDUs: read as pysnmp writes them, bounded, and no bytes whatever bring the reader down."""

import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyasn1.codec.ber import encoder
from pysnmp.proto import api, rfc1905
from pysnmp.proto.rfc1902 import Opaque, Unsigned32

from collector.snmp import ber, oid, pdu
from collector.snmp.community import V1, Community, identify
from collector.snmp.errors import Forged, Malformed, SnmpError
from tests.collector.snmp.agent import value

V2C: Any = api.PROTOCOL_MODULES[api.SNMP_VERSION_2C]
VALUES = st.one_of(
    st.integers(-(2**31), 2**31 - 1).map(lambda n: (V2C.Integer32(n), n)),
    st.integers(0, 2**32 - 1).map(lambda n: (V2C.Counter32(n), n)),
    st.integers(0, 2**32 - 1).map(lambda n: (V2C.Gauge32(n), n)),
    st.integers(0, 2**32 - 1).map(lambda n: (V2C.TimeTicks(n), n)),
    st.integers(0, 2**64 - 1).map(lambda n: (V2C.Counter64(n), n)),
    st.integers(0, 2**32 - 1).map(lambda n: (Unsigned32(n), n)),
    st.binary(max_size=300).map(lambda b: (V2C.OctetString(b), b)),
    st.binary(min_size=4, max_size=4).map(lambda b: (V2C.IpAddress(b), b)),
    st.binary(min_size=1, max_size=3).map(lambda b: (Opaque(b"\x30" + b), b"\x30" + b)),
    st.just((V2C.ObjectIdentifier((1, 3, 6, 1, 4, 1, 9)), oid.encode("1.3.6.1.4.1.9"))),
    st.just((rfc1905.noSuchObject, pdu.NO_OBJECT)),
    st.just((rfc1905.noSuchInstance, pdu.NO_INSTANCE)),
    st.just((rfc1905.endOfMibView, pdu.END)),
)
NAMES = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=40).map(lambda parts: (1, 3, 6, 1, *parts))
BINDS = st.lists(st.tuples(NAMES, VALUES), max_size=30)


def reference(request: int, found: list[tuple[tuple[int, ...], Any]]) -> bytes:
    """Return the answer that pysnmp makes."""
    answer = V2C.ResponsePDU()
    V2C.apiPDU.set_defaults(answer)
    V2C.apiPDU.set_request_id(answer, request)
    V2C.apiPDU.set_varbinds(answer, [(V2C.ObjectIdentifier(name), content) for name, content in found])
    message = V2C.Message()
    V2C.apiMessage.set_defaults(message)
    V2C.apiMessage.set_community(message, "public")
    V2C.apiMessage.set_pdu(message, answer)
    return bytes(encoder.encode(message))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31 - 1), BINDS)
def test_what_pysnmp_writes_is_read(request: int, found: list[tuple[tuple[int, ...], tuple[Any, object]]]) -> None:
    data = reference(request, [(name, content) for name, (content, _) in found])
    answer = Community(b"public").open(data, 0.0)
    assert identify(data) == (1, request)
    assert answer[:4] == (pdu.RESPONSE, request, 0, 0)
    assert answer.oids == [oid.encode(name) for name, _ in found]
    assert answer.values == [expected for _, (_, expected) in found]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(1, 100), st.lists(NAMES, min_size=1, max_size=20))
def test_what_we_write_is_read_by_pysnmp(request: int, most: int, names: list[tuple[int, ...]]) -> None:
    from pyasn1.codec.ber import decoder

    bound = pdu.binds([oid.encode(name) for name in names])
    data = Community(b"public").pack(request, pdu.GETBULK, 0, most, bound, 0.0)
    message, rest = decoder.decode(data, asn1Spec=V2C.Message())
    asked = V2C.apiMessage.get_pdu(message)
    assert not rest
    assert bytes(V2C.apiMessage.get_community(message)) == b"public"
    assert int(V2C.apiBulkPDU.get_request_id(asked)) == request
    assert int(V2C.apiBulkPDU.get_max_repetitions(asked)) == most
    assert [tuple(name) for name, _ in V2C.apiBulkPDU.get_varbinds(asked)] == names


def answer(*found: tuple[str, bytes]) -> bytes:
    body = pdu.encode(pdu.RESPONSE, 7, 0, 0, pdu.bindings([(oid.encode(name), content) for name, content in found]))
    return ber.tlv(0x30, b"\x02\x01\x01" + ber.tlv(4, b"public") + body)


WHOLE = answer(("1.3.6.1.2.1.1.1.0", value("4", "a switch")), ("1.3.6.1.2.1.1.3.0", value("67", "123456")))


def test_floats_of_net_snmp() -> None:
    data = answer(("1.3.6.1", bytes.fromhex("44079f78043f800000")), ("1.3.6.2", bytes.fromhex("440b9f7908") + bytes(8)))
    assert Community(b"public").open(data, 0.0).values == [1.0, 0.0]


def test_every_truncation_is_refused() -> None:
    for end in range(len(WHOLE)):
        with pytest.raises(SnmpError):
            Community(b"public").open(WHOLE[:end], 0.0)


def test_another_community_or_version_is_forged() -> None:
    for speaker in (Community(b"private"), Community(b"public", V1)):
        with pytest.raises(Forged):
            speaker.open(WHOLE, 0.0)


@pytest.mark.parametrize(
    "content",
    [
        b"\x06\x84\xff\xff\xff\xff",
        b"\x04\x80",
        b"\x04\x85\x00\x00\x00\x00\x00",
        b"\x02\x0a" + bytes(10),
        b"\x46\x0a" + bytes(10),
        b"\x13\x02ab",
        b"\x06" + ber.length(50_000) + b"\x81" * 50_000,
        b"\x30" * 5_000,
        b"",
    ],
    ids=["huge", "indefinite", "long length", "wide int", "wide counter", "unknown", "50 KB OID", "deep", "nothing"],
)
def test_a_value_out_of_bounds_is_refused_at_once(content: bytes) -> None:
    data = answer(("1.3.6.1.2.1.1.1.0", content))
    started = time.process_time()
    with pytest.raises(Malformed):
        Community(b"public").open(data, 0.0)
    assert time.process_time() - started < 5  # pysnmp's kin burn 20 s on such


def test_a_name_of_50_kb_is_refused() -> None:
    body = pdu.encode(pdu.RESPONSE, 7, 0, 0, pdu.bindings([(b"\x2b" + b"\x81" * 50_000, b"\x05\x00")]))
    with pytest.raises(Malformed):
        Community(b"public").open(ber.tlv(0x30, b"\x02\x01\x01" + ber.tlv(4, b"public") + body), 0.0)


def test_too_many_variables_are_refused() -> None:
    body = pdu.encode(pdu.RESPONSE, 7, 0, 0, pdu.binds([b"\x2b"] * (pdu.MAX_BINDS + 1)))
    with pytest.raises(Malformed):
        Community(b"public").open(ber.tlv(0x30, b"\x02\x01\x01" + ber.tlv(4, b"public") + body), 0.0)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_fuzz_any_bytes(data: bytes) -> None:
    for read in (lambda: identify(data), lambda: pdu.decode(data, 0, len(data))):
        try:
            read()
        except SnmpError:
            continue


def test_fuzz_changed_answers() -> None:
    dice = random.Random(6)
    for _ in range(5_000):
        data = bytearray(WHOLE)
        for _ in range(dice.randint(1, 4)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        try:
            found = Community(b"public").open(bytes(data), 0.0)
        except SnmpError:
            continue
        assert len(found.oids) == len(found.values)
