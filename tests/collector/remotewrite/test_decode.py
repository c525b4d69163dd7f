"""The messages of remote write: read alike by the fast way and the slow, refused when they are none."""

import math
import random
import struct

import pytest

from collector.remotewrite import version1, version2
from collector.remotewrite.protobuf import ProtobufError, fields, signed, varint
from collector.remotewrite.samples import Decoded
from tests.collector.remotewrite.payloads import NAN, STALE, Labels, host, part, request1, request2, sample
from tests.collector.remotewrite.payloads import varint as written

NOW = 1_760_000_000_000
Told = list[tuple[tuple[tuple[str, str], ...], bytes, int]]


class Reader:
    """Decodes requests one after the other, and learns label sets as a receiver does."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.known: dict[bytes, int] = {}
        self.symbols = version2.Symbols()
        self.sets: list[tuple[tuple[str, str], ...]] = []

    def request(self, series: list[tuple[Labels, list[tuple[float, int]]]]) -> bytes:
        return request1(series) if self.version == 1 else request2(series)

    def decode(self, data: bytes) -> Decoded:
        return (
            version1.decode(data, self.known) if self.version == 1 else version2.decode(data, self.known, self.symbols)
        )

    def read(self, data: bytes) -> Told:
        """The samples as (labels, bits of the value, time), in order."""
        decoded = self.decode(data)
        fresh = []
        for key in decoded.unknown:
            pairs = version1.labels(key) if self.version == 1 else self.symbols.labels(key)
            fresh.append(tuple((name.decode(), value.decode()) for name, value in pairs))
            self.known[key] = len(self.sets)
            self.sets.append(fresh[-1])
        every = zip(decoded.refs.tolist(), decoded.values, decoded.times.tolist(), strict=True)
        return sorted(
            (fresh[-1 - ref] if ref < 0 else self.sets[ref], value.tobytes(), time) for ref, value, time in every
        )


def expected(series: list[tuple[Labels, list[tuple[float, int]]]]) -> Told:
    return sorted(
        (tuple(sorted(labels.items())), struct.pack("<d", value or 0.0), time)
        for labels, samples in series
        for value, time in samples
    )


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("seed", range(25))
def test_what_was_written_is_read_when_it_is_new_and_when_it_is_known(version: int, seed: int) -> None:
    chance = random.Random(seed)
    reader = Reader(version)
    hosts = [host(f"h{n}", cpu=str(n), path=chance.choice(["/", "C:\\", "\x12\x10\x09" + "x" * 15])) for n in range(60)]
    for _ in range(4):
        series: list[tuple[Labels, list[tuple[float, int]]]] = []
        for labels in chance.sample(hosts, chance.randrange(60)):
            count = chance.choice([0, 1, 1, 1, 1, 3])
            values = [chance.choice([0.0, 1.5, STALE, NAN, math.inf, chance.random()]) for _ in range(count)]
            times = [chance.choice([NOW, NOW + 15_000, 0, 5, 2**45]) for _ in range(count)]
            series.append((labels, list(zip(values, times, strict=True))))
        assert reader.read(reader.request(series)) == expected(series), seed


@pytest.mark.parametrize("version", [1, 2])
def test_known_series_take_the_fast_way(version: int) -> None:
    reader = Reader(version)
    series: list[tuple[Labels, list[tuple[float, int]]]] = [(host(f"h{n}"), [(float(n), NOW)]) for n in range(9)]
    reader.read(reader.request(series))
    decoded = reader.decode(reader.request(series))
    assert decoded.unknown == []
    assert decoded.refs.tolist() == list(range(9))
    assert decoded.values.tolist() == list(map(float, range(9)))


def test_a_label_that_looks_like_a_sample_is_none() -> None:
    """A longer label set whose last bytes are those of a sample, behind one that is known, and the other way round."""
    short = {"__name__": "a", "b": "x"}
    body = sample(7.0, NOW)
    reader = Reader(1)
    reader.read(request1([(short, [(1.0, NOW)])]))
    disguised = part(1, part(1, b"__name__") + part(2, b"a")) + part(1, part(1, b"b") + part(2, b"x" + body))
    decoded = reader.decode(part(1, disguised))
    assert (len(decoded.values), len(decoded.unknown)) == (0, 1)
    twice = part(1, disguised + sample(8.0, NOW))
    decoded = reader.decode(twice)
    assert decoded.values.tolist() == [8.0]
    assert version1.labels(decoded.unknown[0])[1][1] == b"x" + body


def test_histograms_and_exemplars_are_counted_and_metadata_is_passed_over() -> None:
    series: list[tuple[Labels, list[tuple[float, int]]]] = [(host("a"), [(1.0, NOW)])]
    one = version1.decode(request1(series, part(3, b"\x08\x01")) + part(1, part(3, b"") + part(4, b"") * 2), {})
    assert (one.exemplars, one.histograms, one.values.tolist()) == (1, 2, [1.0])
    two = version2.decode(request2(series, more=part(3, b"") + part(4, b"") * 2), {}, version2.Symbols())
    assert (two.exemplars, two.histograms, two.values.tolist()) == (2, 1, [1.0])


def test_the_same_texts_have_the_same_numbers_in_every_request() -> None:
    symbols, known = version2.Symbols(), dict[bytes, int]()
    first = version2.decode(request2([(host("a"), [(1.0, NOW)]), (host("b"), [(1.0, NOW)])]), known, symbols)
    known.update({key: number for number, key in enumerate(first.unknown)})
    again = version2.decode(request2([(host("b"), [(2.0, NOW)]), (host("a"), [(3.0, NOW)])]), known, symbols)
    assert (again.refs.tolist(), again.unknown) == ([1, 0], [])


def test_many_symbols_have_references_of_several_bytes() -> None:
    series: list[tuple[Labels, list[tuple[float, int]]]] = [
        (host(f"h{number}", unique=f"u{number}"), [(number, NOW)]) for number in range(20_000)
    ]
    reader = Reader(2)
    assert reader.read(request2(series)) == expected(series)


BROKEN2 = {
    "no empty symbol": part(4, b"a") + part(5, part(1, b"\0\0")),
    "no symbols": part(5, part(1, b"\0\0")),
    "a reference to nothing": part(4, b"") + part(5, part(1, b"\0\7")),
    "an odd number of references": part(4, b"") + part(5, part(1, b"\0")),
    "no references": part(4, b"") + part(5, sample(1, 1)),
    "a torn reference": part(4, b"") + part(5, part(1, b"\0\x80")) + part(5, part(1, b"\0\0")),
    "an endless reference": part(4, b"") + part(5, part(1, b"\0" + b"\x80" * 6 + b"\0")),
    "a symbol that is not UTF-8": part(4, b"") + part(4, b"\xff"),
    "references that do not fit": part(4, b"") + part(5, b"\x0a\x7f\0\0"),
    "another type": written(5 << 3) + b"\1",
}


@pytest.mark.parametrize("name", BROKEN2)
def test_malformed_messages_of_version_2(name: str) -> None:
    with pytest.raises(ProtobufError):
        version2.decode(BROKEN2[name], {}, version2.Symbols())


BROKEN1 = {
    "a series that does not fit": b"\x0a\x7f\0",
    "an endless length": b"\x0a" + b"\xff" * 11,
    "no length": b"\x0a",
    "a group": b"\x0b",
    "field 0": b"\x02\x00",
    "labels of another type": part(1, b"\x08\x01"),
    "a sample of another type": part(1, part(2, b"\x08\x01")),
    "a sample that does not fit": part(1, part(2, b"\x09\0\0")),
    "series of another type": b"\x08\x01",
}


@pytest.mark.parametrize("name", BROKEN1)
def test_malformed_messages_of_version_1(name: str) -> None:
    with pytest.raises(ProtobufError):
        version1.decode(BROKEN1[name], {})


def test_numbers() -> None:
    assert varint(b"\xac\x02", 0) == (300, 2)
    assert signed(varint(b"\xff" * 9 + b"\x01", 0)[0]) == -1
    assert list(fields(b"\x0d\0\0\0\0\x11" + bytes(8), 0, 14)) == [(1, 5, 1, 5), (2, 1, 6, 14)]
    with pytest.raises(ProtobufError):
        varint(b"\xff" * 10, 0)
