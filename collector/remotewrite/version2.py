"""io.prometheus.write.v2.Request: labels by reference to a table of symbols (remote write 2.0).

    Request { repeated string symbols = 4; repeated TimeSeries timeseries = 5; }
    TimeSeries { repeated uint32 labels_refs = 1 [packed]; repeated Sample samples = 2; histograms = 3; exemplars = 4;
                 Metadata metadata = 5; }

https://prometheus.io/docs/specs/prw/remote_write_spec_2_0. Each request has a table of its own; `Symbols` gives every
text a number that stays, so that the label set of a series has the same bytes in each request.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from collector.remotewrite.protobuf import BYTES, ProtobufError, expect, fields, varint
from collector.remotewrite.samples import TAIL, ZERO, ZERO_TAIL, Decoded, Gathered, samples_of_series, split

MAX_SYMBOLS: Final = 2_000_000  # of a sender, before its label sets are learned anew
_HISTOGRAM, _EXEMPLAR = 3, 4
_METADATA: Final = 0x2A

Span = tuple[int, int]


class Symbols:
    """The texts that a sender uses, numbered as they came. Texts are forgotten together, with what refers to them."""

    def __init__(self) -> None:
        self.texts: list[bytes] = []
        self._numbers: dict[bytes, int] = {}

    def numbers(self, texts: list[bytes]) -> list[int]:
        """Return the number of each text."""
        find = self._numbers.get
        found = []
        for text in texts:
            number = find(text)
            if number is None:
                number = self._numbers[text] = len(self.texts)
                self.texts.append(text)
            found.append(number)
        return found

    @property
    def full(self) -> bool:
        """Whether there are so many that they should be forgotten."""
        return len(self.texts) > MAX_SYMBOLS

    def labels(self, key: bytes) -> list[tuple[bytes, bytes]]:
        """Return the (name, value) pairs of a label set, in their order."""
        texts = [self.texts[number] for number in np.frombuffer(key, np.int32).tolist()]
        return list(zip(texts[::2], texts[1::2], strict=True))


def decode(data: bytes, known: dict[bytes, int], symbols: Symbols) -> Decoded:
    """Return the samples of a request. `known` has the numbers of the label sets seen before.

    Raises:
        ProtobufError: malformed; nothing of it may be used.
    """
    table: list[bytes] = []
    series: list[Span] = []
    for number, kind, start, stop in fields(data, 0, len(data)):
        if number in (4, 5):
            expect(kind, BYTES, start)
            if number == 4:
                table.append(data[start:stop])
            else:
                series.append((start, stop))
    if series and (not table or table[0]):
        raise ProtobufError("the first symbol is not the empty text")
    for text in table:
        _check(text)
    parts = [_parted(data, start, stop) for start, stop in series]
    keys = _keys([refs for refs, _ in parts], np.array(symbols.numbers(table), np.int32))
    gathered = Gathered()
    for key, (_, rest), (_, stop) in zip(keys, parts, series, strict=True):
        ref = gathered.ref(key, known)
        if not _usual(gathered, ref, data, rest, stop):
            _, others = split(data, rest, stop)
            samples_of_series(gathered, ref, data, others, histogram=_HISTOGRAM, exemplar=_EXEMPLAR)
    return gathered.decoded()


def _check(text: bytes) -> None:
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise ProtobufError("a symbol is not UTF-8") from error


def _parted(data: bytes, start: int, stop: int) -> tuple[bytes, int]:
    """Return the packed references of a series, and where its other fields begin."""
    refs = b""
    while start < stop and data[start] == 0x0A:
        size, begin = varint(data, start + 1)
        start = begin + size
        if start > stop:
            raise ProtobufError("references that do not fit")
        refs += data[begin:start]
    return refs, start


def _keys(packed: list[bytes], numbers: np.ndarray[tuple[int], np.dtype[np.int32]]) -> list[bytes]:
    """Return the label sets as the bytes of their symbols' lasting numbers.

    Raises:
        ProtobufError: a reference to no symbol, a number of them that is not even, or none.
    """
    every = np.frombuffer(b"".join(packed), np.uint8)
    ends = np.flatnonzero(every < 128)
    places = np.cumsum([0, *map(len, packed)])  # of the series, in bytes
    bounds = np.searchsorted(ends, places)  # and in references
    if (
        (places[1:] == places[:-1]).any()
        or (every[places[1:] - 1] > 127).any()
        or ((bounds[1:] - bounds[:-1]) % 2).any()
    ):
        raise ProtobufError("the references of a series are no pairs")
    first = np.concatenate(([0], ends[:-1] + 1)) if len(ends) else ends
    sizes = ends - first + 1
    if len(sizes) and sizes.max() > 5:
        raise ProtobufError("a reference is too long")
    refs = np.zeros(len(ends), np.int64)
    for place in range(int(sizes.max(initial=0))):
        here = sizes > place
        refs[here] |= (every[first[here] + place].astype(np.int64) & 127) << (7 * place)
    if len(refs) and refs.max() >= len(numbers):
        raise ProtobufError("a reference to no symbol")
    lasting = numbers[refs].tobytes()
    return [
        lasting[4 * start : 4 * stop] for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    ]


def _usual(gathered: Gathered, ref: int, data: bytes, at: int, stop: int) -> bool:
    """Take a series that is one sample of the usual form and perhaps metadata; whether it is that."""
    if at + ZERO_TAIL > stop or data[at] != 0x12:
        return False
    size = data[at + 1]
    end = at + 2 + size
    behind = end
    if end + 1 < stop and data[end] == _METADATA and data[end + 1] < 128:
        behind = end + 2 + data[end + 1]
    if behind != stop or size not in (TAIL - 2, ZERO_TAIL - 2):
        return False
    tail = data[at:end] if size == TAIL - 2 else ZERO + data[at + 2 : end]
    # Here nothing has proved the form yet, as a known label set does in version 1.
    if tail[2] != 0x09 or tail[11] != 0x10 or tail[17] > 127 or min(tail[12:17]) < 128:
        return False
    gathered.refs.append(ref)
    gathered.tails.append(tail)
    return True
