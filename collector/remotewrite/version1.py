"""prometheus.WriteRequest: every series with its labels in full (remote write 1.0).

    WriteRequest { repeated TimeSeries timeseries = 1; repeated MetricMetadata metadata = 3; }
    TimeSeries { repeated Label labels = 1; repeated Sample samples = 2; exemplars = 3; histograms = 4; }
    Label { string name = 1; string value = 2; }

https://prometheus.io/docs/specs/prw/remote_write_spec
"""

from __future__ import annotations

from typing import Final

from collector.remotewrite.protobuf import BYTES, ProtobufError, expect, fields, varint
from collector.remotewrite.samples import TAIL, ZERO, ZERO_TAIL, Decoded, Gathered, samples_of_series, split

_SERIES: Final = 0x0A
_HISTOGRAM, _EXEMPLAR = 4, 3


def decode(data: bytes, known: dict[bytes, int]) -> Decoded:
    """Return the samples of a request. `known` has the numbers of the label sets seen before, by their bytes.

    Raises:
        ProtobufError: malformed; nothing of it may be used.
    """
    try:
        return _fast(data, known).decoded()
    except (ProtobufError, IndexError):
        gathered = Gathered()
        for number, kind, start, stop in fields(data, 0, len(data)):
            if number == 1:
                expect(kind, BYTES, start)
                _series(gathered, known, data, start, stop)
        return gathered.decoded()


def _fast(data: bytes, known: dict[bytes, int]) -> Gathered:
    gathered = Gathered()
    add, keep = gathered.refs.append, gathered.tails.append
    find = known.get
    at, end = 0, len(data)
    while at < end:
        if data[at] != _SERIES:
            number, kind, start, at = next(fields(data, at, end))
            expect(kind, BYTES if number == 1 else kind, start)
            continue
        size = data[at + 1]
        start = at + 2
        if size > 127:
            size, start = varint(data, at + 1)
        at = start + size
        if at > end:
            raise ProtobufError("a series that does not fit")
        if size > TAIL and data[at - TAIL] == 0x12 and (ref := find(data[start : at - TAIL])) is not None:
            add(ref)
            keep(data[at - TAIL : at])
        elif size > ZERO_TAIL and data[at - ZERO_TAIL] == 0x12 and data[at - 8] == 7:
            ref = find(data[start : at - ZERO_TAIL])
            if ref is None:
                _series(gathered, known, data, start, at)
            else:
                add(ref)
                keep(ZERO + data[at - 7 : at])
        else:
            _series(gathered, known, data, start, at)
    return gathered


def _series(gathered: Gathered, known: dict[bytes, int], data: bytes, start: int, stop: int) -> None:
    labels, others = split(data, start, stop)
    # The bytes as a sender writes them: each label's tag, length and content.
    key = b"".join(b"\x0a" + _varint(end - begin) + data[begin:end] for begin, end in labels)
    ref = gathered.ref(key, known)
    samples_of_series(gathered, ref, data, others, histogram=_HISTOGRAM, exemplar=_EXEMPLAR)


def _varint(value: int) -> bytes:
    content = bytearray()
    while value > 127:
        content.append(value & 127 | 128)
        value >>= 7
    content.append(value)
    return bytes(content)


def labels(key: bytes) -> list[tuple[bytes, bytes]]:
    """Return the (name, value) pairs of a label set, in their order.

    Raises:
        ProtobufError: malformed.
    """
    found = []
    for _, _, start, stop in fields(key, 0, len(key)):
        pair = [b"", b""]
        for number, kind, begin, end in fields(key, start, stop):
            if number in (1, 2):
                expect(kind, BYTES, begin)
                pair[number - 1] = key[begin:end]
        found.append((pair[0], pair[1]))
    return found
