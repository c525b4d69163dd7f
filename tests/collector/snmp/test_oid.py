"""OIDs: as text, as bytes, and their order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.snmp import oid
from collector.snmp.errors import Malformed

PARTS = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=20)


@given(PARTS)
def test_what_is_encoded_is_decoded(parts: list[int]) -> None:
    whole = (1, 3, *parts)
    assert oid.decode_parts(oid.encode(whole)) == (43, *parts)
    assert oid.decode(oid.encode(whole)) == ".".join(map(str, whole))
    assert oid.parse(oid.decode(oid.encode(whole))) == whole


@given(PARTS, PARTS)
def test_the_order_is_that_of_the_numbers(one: list[int], other: list[int]) -> None:
    assert oid.increases(oid.encode((1, 3, *one)), oid.encode((1, 3, *other))) == (one < other)


@given(st.lists(st.sampled_from([1, 127, 128, 16383, 16384, 2**21 - 1, 2**21, 2**32 - 1]), min_size=1, max_size=4))
def test_neighbours_of_different_width_are_in_order(parts: list[int]) -> None:
    before = oid.encode((1, 3, *parts))
    assert not oid.increases(before, before)
    assert oid.increases(before, oid.encode((1, 3, *parts, 0)))
    assert not oid.increases(oid.encode((1, 3, *parts, 0)), before)


@pytest.mark.parametrize("text", ["", "1", "1.", "a.b", "1.-3", "3.1", "1.40.1", f"1.3.{2**32}", "1.3" + ".1" * 127])
def test_what_is_no_oid_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"OID|int"):
        oid.parse(text)


def test_first_parts_above_two_are_kept_whole() -> None:
    assert oid.decode(oid.encode("2.999.3")) == "2.999.3"


@pytest.mark.parametrize(
    "content",
    [b"\x2b\xff\xff\xff\xff\xff\x7f", b"\x2b\x06\x81", b"\x2b" + b"\x81" * 50_000, b"\x2b" + b"\x01" * 641],
    ids=["too wide", "does not end", "50 KB", "too long"],
)
def test_bytes_that_are_no_oid_are_refused(content: bytes) -> None:
    with pytest.raises(Malformed):
        oid.decode(content)


@given(st.binary(max_size=60))
def test_fuzz_any_bytes(content: bytes) -> None:
    try:
        oid.decode(content)
    except Malformed:
        return
