"""The samples of a request, as arrays, and the fast way to read those that look as Prometheus writes them.

A series with one sample ends in `12 10 09 VALUE(8) 10 TIME(6)`, or in `12 07 10 TIME(6)` if the value is 0: field 2, of
16 or 7 bytes, with a double in field 1 and a varint of six bytes in field 2, as the milliseconds of our days have.
What is in front of that end is looked up among the label sets that are known. If it is one of them, it is whole
fields, and so is what follows it: bytes of a label can never pass for a sample.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from collector.remotewrite.protobuf import BYTES, FIXED64, VARINT, ProtobufError, expect, fields, signed, varint

TAIL: Final = 18
ZERO_TAIL: Final = 9
ZERO: Final = b"\x12\x10\x09" + bytes(8)  # what the end of a series with the value 0 lacks in front
_DOUBLE: Final = struct.Struct("<d")
_POWERS: Final = np.array([1 << 7 * place for place in range(6)], np.int64)


@dataclass(slots=True)
class Decoded:
    """What a request holds: sample k is values[k] at times[k] (Unix milliseconds) of the series refs[k].

    A ref below zero stands for unknown[-1 - ref], a label set that was not seen before.
    """

    refs: NDArray[np.int64]
    values: NDArray[np.float64]
    times: NDArray[np.int64]
    unknown: list[bytes] = field(default_factory=list)
    histograms: int = 0
    exemplars: int = 0


@dataclass(slots=True)
class Gathered:
    """Samples while they are read: those with an end of the usual form, and others."""

    refs: list[int] = field(default_factory=list)
    tails: list[bytes] = field(default_factory=list)
    slow_refs: list[int] = field(default_factory=list)
    slow_values: list[float] = field(default_factory=list)
    slow_times: list[int] = field(default_factory=list)
    unknown: dict[bytes, int] = field(default_factory=dict)
    histograms: int = 0
    exemplars: int = 0

    def ref(self, key: bytes, known: dict[bytes, int]) -> int:
        """Return the number of a label set; one below zero if it was not seen before."""
        found = known.get(key)
        if found is None:
            found = self.unknown.get(key)
            if found is None:
                found = self.unknown[key] = -1 - len(self.unknown)
        return found

    def sample(self, ref: int, data: bytes, at: int, end: int) -> None:
        """Read a sample of any form."""
        value, time = 0.0, 0
        for number, kind, start, _ in fields(data, at, end):
            if number == 1:
                expect(kind, FIXED64, start)
                (value,) = _DOUBLE.unpack_from(data, start)
            elif number == 2:
                expect(kind, VARINT, start)
                time = signed(varint(data, start)[0])
        self.slow_refs.append(ref)
        self.slow_values.append(value)
        self.slow_times.append(time)

    def decoded(self) -> Decoded:
        """Return all of it as arrays.

        Raises:
            ProtobufError: an end was not of the usual form after all.
        """
        tails = np.frombuffer(b"".join(self.tails), np.uint8).reshape(-1, TAIL)
        usual = (
            (tails[:, 0] == 0x12)
            & (tails[:, 1] == 0x10)
            & (tails[:, 2] == 0x09)
            & (tails[:, 11] == 0x10)
            & (tails[:, 12:17] > 127).all(1)
            & (tails[:, 17] < 128)
        )
        if not usual.all():
            raise ProtobufError("a sample of another form")
        values = np.ascontiguousarray(tails[:, 3:11]).view("<f8")[:, 0]
        times = (tails[:, 12:18] & 127).astype(np.int64) @ _POWERS
        return Decoded(
            np.array([*self.refs, *self.slow_refs], np.int64),
            np.concatenate((values, np.array(self.slow_values, np.float64))),
            np.concatenate((times, np.array(self.slow_times, np.int64))),
            list(self.unknown),
            self.histograms,
            self.exemplars,
        )


def samples_of_series(
    gathered: Gathered, ref: int, data: bytes, spans: list[tuple[int, int, int]], *, histogram: int, exemplar: int
) -> None:
    """Take the samples of one series, whose fields but the labels are `spans` (number, start, stop), and count what is
    in the fields with the numbers of histograms and exemplars."""
    for number, start, stop in spans:
        if number == 2:
            gathered.sample(ref, data, start, stop)
        elif number == histogram:
            gathered.histograms += 1
        elif number == exemplar:
            gathered.exemplars += 1


def split(data: bytes, at: int, end: int) -> tuple[list[tuple[int, int]], list[tuple[int, int, int]]]:
    """Return the (start, stop) of the label fields of a series, number 1, and (number, start, stop) of its others.

    Raises:
        ProtobufError: malformed.
    """
    labels: list[tuple[int, int]] = []
    others: list[tuple[int, int, int]] = []
    for number, kind, start, stop in fields(data, at, end):
        if number <= 5:
            expect(kind, BYTES, start)
            if number == 1:
                labels.append((start, stop))
            else:
                others.append((number, start, stop))
    return labels, others
