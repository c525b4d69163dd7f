"""Answers remote writes: what can be taken is durable before the answer, what cannot is told as the specification says.

https://prometheus.io/docs/specs/prw/remote_write_spec_2_0: 204 if all was written; 400 if something never can be, the
rest of the request is written; 415 for a content that is not known; 429 and 503 for "not now", nothing is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Final, Literal

import cramjam
import numpy as np

from collector.errors import Refusal
from collector.log import RecordKind
from collector.log.record import encode
from collector.register.register import digest
from collector.register.writers import Writer, Writers
from collector.remotewrite import series, version1, version2
from collector.remotewrite.parts import Parts
from collector.remotewrite.protobuf import ProtobufError, varint
from collector.remotewrite.samples import Decoded

PATH: Final = b"/api/v1/write"
MAX_UNPACKED: Final = 16 << 20
MAX_KNOWN: Final = 1_000_000  # label sets of a sender, before they are learned anew
MAX_REASONS: Final = 5  # that an answer tells
NO_DEVICES: Final = "this token may make no more devices"
NO_SERIES: Final = "the device has too many series"
NO_TIME: Final = "a time that is none"
HISTOGRAMS: Final = "native histograms are not kept here"
EXEMPLARS: Final = "exemplars are not kept here"
_REASONS: Final = frozenset({NO_DEVICES, NO_SERIES, NO_TIME, HISTOGRAMS, EXEMPLARS})
_EARLIEST, _LATEST = 0, 10**14  # milliseconds

Version = Literal[1, 2]


@dataclass(slots=True)
class Sender:
    """A sender of remote writes, and the label sets that it was seen to use, as refs of `Parts`."""

    writer: Writer
    known1: dict[bytes, int] = field(default_factory=dict)
    known2: dict[bytes, int] = field(default_factory=dict)
    symbols: version2.Symbols = field(default_factory=version2.Symbols)

    def forget(self) -> None:
        """Learn all label sets anew."""
        self.known1, self.known2, self.symbols = {}, {}, version2.Symbols()


@dataclass(slots=True)
class Request:
    """A request whose samples are read; `new` are the series that have no place yet, by their number in `unknown`."""

    sender: Sender
    version: Version
    decoded: Decoded
    new: dict[int, series.Series] = field(default_factory=dict)
    found: dict[int, int] = field(default_factory=dict)  # number in `unknown` → ref
    refused: Counter[str] = field(default_factory=Counter)  # samples by the reason for which they are not taken


@dataclass(frozen=True, slots=True)
class Written:
    """What of a request goes into the log, and what is answered when it is durable."""

    records: list[bytes]
    samples: int
    refused: Counter[str]
    unlogged: set[int]

    @property
    def headers(self) -> str:
        """The header lines that tell how much was written."""
        return (
            f"X-Prometheus-Remote-Write-Samples-Written: {self.samples}\r\n"
            "X-Prometheus-Remote-Write-Histograms-Written: 0\r\n"
            "X-Prometheus-Remote-Write-Exemplars-Written: 0\r\n"
        )

    @property
    def complaint(self) -> str:
        """Why not all was written; empty if it was."""
        told = [f"{reason} ({count})" for reason, count in self.refused.most_common(MAX_REASONS)]
        more = len(self.refused) - len(told)
        return "; ".join(told) + (f"; and {more} more reasons" if more > 0 else "")


class Receiver:
    """The senders, and the places of their series. `devices` of a site are asked of the register when a name is new.

    Attributes:
        samples: how many were written since the start.
        refused: how many were not, by the reason.
    """

    def __init__(self, writers: Writers, parts: Parts) -> None:
        self.samples = 0
        self.refused: Counter[str] = Counter()
        self.parts = parts
        self._writers = writers
        self._by_hash: dict[str, Sender] = {}
        self._names: dict[tuple[int, str], int] = {}  # of a writer: device by name

    def read_register(self) -> tuple[dict[str, Writer], set[int]]:
        """Read who may write, and which devices there are; it takes the database.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: it does not answer.
        """
        return self._writers.credentials(), self._writers.live()

    def refresh(self, credentials: Mapping[str, Writer], devices: Set[int]) -> None:
        """Let these writers write, and forget what is known of devices that are no longer there."""
        known = self._by_hash
        self._by_hash = {
            hashed: known[hashed] if hashed in known and known[hashed].writer == writer else Sender(writer)
            for hashed, writer in credentials.items()
        }
        if self.parts.retain(devices):
            for sender in self._by_hash.values():
                sender.forget()
        self._names = {key: device for key, device in self._names.items() if device in devices}

    def find(self, token: bytes) -> Sender | None:
        """Return the sender behind a token, None if it is unknown or revoked."""
        return self._by_hash.get(digest(token.decode("latin-1")))

    def read(self, sender: Sender, body: bytes, content_type: bytes, encoding: bytes) -> Request:
        """Return the samples of a request.

        Raises:
            Refusal: 415 for another content type or encoding, 413 for too much, 400 for what is malformed.
        """
        version = _version(content_type)
        if encoding != b"snappy":
            raise Refusal(415, "Content-Encoding is snappy")
        if len(sender.known1) > MAX_KNOWN or len(sender.known2) > MAX_KNOWN or sender.symbols.full:
            sender.forget()
        try:
            data = _unpacked(body)
            if version == 1:
                decoded = version1.decode(data, sender.known1)
            else:
                decoded = version2.decode(data, sender.known2, sender.symbols)
            request = Request(sender, version, decoded)
            self._look_up(request)
        except ProtobufError as error:
            raise Refusal(400, f"not a message of remote write {version}.0: {error}") from error
        return request

    def _look_up(self, request: Request) -> None:
        """Find the series that this sender did not name before; those that nobody did are `new`."""
        for number, key in enumerate(request.decoded.unknown):
            pairs = version1.labels(key) if request.version == 1 else request.sender.symbols.labels(key)
            try:
                read = series.read(pairs, request.sender.writer.name)
            except series.Refused as error:
                self._refuse(request, number, str(error))
                continue
            device = self._names.get((request.sender.writer.id, read.device))
            ref = None if device is None else self.parts.find(device, read.text)
            if ref is None:
                request.new[number] = read
            else:
                request.found[number] = ref

    def unknown_devices(self, request: Request) -> list[str]:
        """Return the names that the register must be asked for."""
        writer = request.sender.writer.id
        return list(dict.fromkeys(s.device for s in request.new.values() if (writer, s.device) not in self._names))

    def admit(self, request: Request, now: float) -> dict[str, int]:
        """Ask the register for the devices of new names, which are made; it takes the database.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: it does not answer.
        """
        return self._writers.admit(request.sender.writer, self.unknown_devices(request), now)

    def admitted(self, request: Request, devices: Mapping[str, int]) -> None:
        """Note what `admit` returned."""
        self._names.update(((request.sender.writer.id, name), device) for name, device in devices.items())

    def take(self, request: Request, now: float) -> Written:
        """Return the records of what can be taken."""
        decoded = request.decoded
        self._place(request)
        known = request.sender.known1 if request.version == 1 else request.sender.known2
        lasting = np.full(len(decoded.unknown) + 1, -1, np.int64)
        for number, ref in request.found.items():
            known[decoded.unknown[number]] = ref
            lasting[number] = ref
        refs = np.where(decoded.refs < 0, lasting[np.maximum(-1 - decoded.refs, -1)], decoded.refs)
        timely = (decoded.times >= _EARLIEST) & (decoded.times < _LATEST)
        taken = (refs >= 0) & timely
        if not timely.all():
            request.refused[NO_TIME] += int(((refs >= 0) & ~timely).sum())
        if decoded.histograms:
            request.refused[HISTOGRAMS] += decoded.histograms
        if decoded.exemplars and request.version == 2:
            request.refused[EXEMPLARS] += decoded.exemplars
        unlogged: set[int] = set()
        samples = refs[taken], decoded.times[taken], decoded.values[taken]
        records = [
            encode(RecordKind.FRAME, device, now, 0.0, frame) for device, frame in self.parts.frames(*samples, unlogged)
        ]
        return Written(records, int(taken.sum()), request.refused, unlogged)

    def _place(self, request: Request) -> None:
        """Give new series their places: a part for those of one device and time."""
        groups: dict[tuple[int, int], dict[str, list[int]]] = {}
        times = dict(zip(request.decoded.refs.tolist(), request.decoded.times.tolist(), strict=True))
        wanted: Counter[int] = Counter()
        for number, new in request.new.items():
            device = self._names.get((request.sender.writer.id, new.device))
            ref = None if device is None else self.parts.find(device, new.text)
            if ref is not None:  # another request has placed it meanwhile
                request.found[number] = ref
            elif device is None:
                self._refuse(request, number, NO_DEVICES)
            elif wanted[device] >= self.parts.room(device):
                self._refuse(request, number, NO_SERIES)
            else:
                wanted[device] += 1
                groups.setdefault((device, times.get(-1 - number, 0)), {}).setdefault(new.text, []).append(number)
        for (device, _), texts in groups.items():
            refs = self.parts.add(device, list(texts))
            for numbers, ref in zip(texts.values(), refs, strict=True):
                request.found.update(dict.fromkeys(numbers, ref))

    @staticmethod
    def _refuse(request: Request, number: int, reason: str) -> None:
        request.refused[reason] += int((request.decoded.refs == -1 - number).sum())

    def wrote(self, written: Written) -> None:
        """Count what is durable now."""
        self.parts.logged(written.unlogged)
        self.samples += written.samples
        for reason, count in written.refused.items():
            self.refused[reason if reason in _REASONS else "labels"] += count


def _version(content_type: bytes) -> Version:
    """Return the version of the message.

    Raises:
        Refusal: 415, neither of them.
    """
    kind, *parameters = [part.strip() for part in content_type.lower().split(b";")]
    proto = next(
        (part[6:].strip(b'"') for part in parameters if part.startswith(b"proto=")), b"prometheus.writerequest"
    )
    if kind == b"application/x-protobuf" and proto == b"prometheus.writerequest":
        return 1
    if kind == b"application/x-protobuf" and proto == b"io.prometheus.write.v2.request":
        return 2
    raise Refusal(
        415, "Content-Type is application/x-protobuf, of prometheus.WriteRequest or io.prometheus.write.v2.Request"
    )


def _unpacked(body: bytes) -> bytes:
    """Return the message in a snappy block, whose first bytes say how long it is.

    Raises:
        Refusal: 413 for too much, 400 for what is no snappy block.
    """
    try:
        size, _ = varint(body, 0)
        if size > MAX_UNPACKED:
            raise Refusal(413, f"a request may have {MAX_UNPACKED} bytes when it is unpacked")
        return bytes(cramjam.snappy.decompress_raw(body))
    except (ProtobufError, cramjam.DecompressionError) as error:
        raise Refusal(400, "the body is no snappy block") from error
