"""Decides what of a push is taken: the checks of each frame, and which frames were taken before."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite
from typing import Final, NamedTuple

from agent import wire
from agent.wire import Kind
from collector.errors import LogError, Refusal
from collector.ingest.limits import Account, Accounts, Limits
from collector.ingest.messages import Goodbye, Hello, decode, decode_event
from collector.log.record import RecordKind, encode
from collector.observed import OWN
from collector.register import Device

MAX_EPOCHS = 64  # of a device that are told apart: each crash of an agent, and each long backlog, begins a new one
FORK_SLACK: Final = 60.0  # seconds that clocks may be apart before two senders are seen in one token
FORK_TOLD: Final = 600.0
_EARLIEST: Final = 1e9  # an epoch that is no time of day says nothing
SKEW_TOLERANCE = 2.0  # seconds that a clock may be off before its times are corrected
_ROW: Final = struct.Struct("<4sB3xIIQQQIId")  # the head of a frame, of its rows, and the time of the first
_ROW_HEAD: Final = wire.ROWS_HEADER.size + 8
_ZERO: Final = bytes(4)
_TIMES = [struct.Struct(f"<{rows}d") for rows in range(wire.MAX_ROWS + 1)]

Marks = dict[int, int]  # epoch → the highest seq that was taken


@dataclass(slots=True)
class Sender:
    """A device that may report, and what was taken of it."""

    device: Device
    account: Account
    customer: Account
    marks: Marks = field(default_factory=dict)
    schema: int = 0  # of the rows that it sent last
    paced: bool = False  # whether it was told to send its backlog more slowly
    # Of the last push that was a single row: its bytes, the first 12 and 16 of them, the checksum of the former with
    # the field of the checksum, its columns.
    size: int = 0
    start: bytes = b""
    shape: bytes = b""
    crc: int = 0
    columns: int = 0
    newest: int = 0  # epoch
    forked_at: float = 0.0  # when that was told last

    def __post_init__(self) -> None:
        self.newest = max(self.marks, default=0)


@dataclass(slots=True)
class Taken:
    """What of a push goes into the log: records, and how to take it back if they cannot be made durable."""

    records: list[bytes]
    sender: Sender
    before: Marks
    values: int = 0
    rows: int = 0


class Row(NamedTuple):
    """A push of one frame with one row, checked: its record, and what it is told apart by."""

    record: bytes
    epoch: int
    before: int  # the seq that was the highest until now
    columns: int


class Intake:
    """The checks between a request and the log.

    Attributes:
        schemas: the number of columns of each schema that is known, by its id.
        forked: called when a device's token is used by two senders, at most every FORK_TOLD seconds of a device.
    """

    def __init__(self, accounts: Accounts | None = None) -> None:
        self.schemas: dict[int, int] = {}
        self.forked: Callable[[Device], None] = lambda _: None
        self._accounts = accounts or Accounts(Limits())

    def take(self, sender: Sender, body: bytes, *, sent: float | None, now: float) -> Taken:
        """Return the records for the log; frames that were taken before are passed over.

        All or nothing: after a Refusal nothing of the body was taken.

        Raises:
            Refusal: 400 for a malformed body, 409 for rows of schemas that are not known, 413 for more series than
                the device or its customer may have.
        """
        skew = _skew(sent, now)
        taken = Taken([], sender, dict(sender.marks))
        marks = dict(sender.marks)
        schemas: dict[int, int] = {}
        need: list[int] = []
        try:
            for number, frame in enumerate(wire.frames(body)):
                path = f"$.frames[{number}]"
                if frame.epoch >= OWN:
                    raise wire.WireError(f"{path}.epoch", "this epoch is the collector's own")
                if frame.kind == Kind.SCHEMA:
                    schema, columns = _schema(body, frame, path)
                    new = schema not in self.schemas and schema not in schemas
                    schemas[schema] = columns
                else:
                    new = is_new(marks, frame)
                    if frame.kind == Kind.ROWS:
                        rows = wire.read_rows(body, frame, path)
                        known = self.schemas.get(rows.schema) or schemas.get(rows.schema)
                        _check_rows(body, rows, known, path)
                        if new and frame.seq and frame.epoch < sender.newest:
                            self._look_for_fork(sender, _TIMES[rows.rows].unpack_from(body, rows.times)[0], now)
                        if known is None:
                            need.append(rows.schema)
                        elif rows.schema != sender.schema:
                            self._accounts.check_series(sender.account, sender.customer, known, path)
                            sender.schema, sender.size = rows.schema, 0
                        taken.values += rows.rows * rows.columns
                        taken.rows += rows.rows
                    else:
                        _check_message(body, frame, path)
                if new:
                    whole = body[frame.start - wire.HEADER.size : frame.end]
                    taken.records.append(encode(RecordKind.FRAME, sender.device.id, now, skew, whole))
        except wire.WireError as error:
            raise Refusal(400, error.message, path=error.path) from error
        if need:
            raise Refusal(409, "rows of a schema that is not known", need=tuple(dict.fromkeys(need)))
        self.schemas.update(schemas)
        sender.marks, sender.newest = marks, max(marks, default=0)
        return taken

    def _look_for_fork(self, sender: Sender, time: float, now: float) -> None:
        """Tell of rows in an epoch that had ended: an agent that began another (its number is when, in milliseconds)
        never adds to the one before; somebody else reports with its token.
        """
        began = sender.newest / 1000
        timely = _EARLIEST < began <= now + FORK_SLACK
        if timely and time > began + FORK_SLACK and now - sender.forked_at >= FORK_TOLD:
            sender.forked_at = now
            self.forked(sender.device)

    def take_row(self, sender: Sender, body: bytes, *, sent: float | None, now: float) -> Row | None:
        """Take the push that most pushes are: a single new frame with a single row of a schema that is known.

        None: it is another one, or not as it should be; nothing was taken, and `take` tells.
        """
        size = len(body)
        if size < _ROW.size:
            return None
        magic, kind, length, crc, epoch, seq, schema, rows, columns, time = _ROW.unpack_from(body)
        if kind != Kind.ROWS or rows != 1 or length + wire.HEADER.size != size or magic != wire.MAGIC:
            return None
        if columns != self.schemas.get(schema) or _ROW_HEAD + 8 * columns != length or not 0 <= time < 1e11:
            return None
        before = sender.marks.get(epoch)
        if before is None or seq <= before or schema != sender.schema or epoch < sender.newest:
            return None
        begun = zlib.crc32(_ZERO, zlib.crc32(body[:12]))
        if zlib.crc32(body[16:], begun) != crc:
            return None
        sender.marks[epoch] = seq
        sender.size, sender.start, sender.shape = size, body[:12], body[32:48]
        sender.crc, sender.columns = begun, columns
        skew = 0.0 if sent is None or -SKEW_TOLERANCE <= now - sent <= SKEW_TOLERANCE else now - sent
        return Row(encode(RecordKind.FRAME, sender.device.id, now, skew, body), epoch, before, columns)

    def take_row_back(self, sender: Sender, epoch: int, before: int) -> None:
        """Undo `take_row` for a push whose record did not become durable."""
        self.schemas.clear()
        sender.marks[epoch] = min(sender.marks.get(epoch, before), before)

    def take_back(self, taken: Taken) -> None:
        """Undo `take` for a push whose records did not become durable: the device will send it again."""
        self.schemas.clear()  # some may not be in the log; agents are asked for them anew
        for epoch, seq in taken.before.items():
            taken.sender.marks[epoch] = min(taken.sender.marks.get(epoch, seq), seq)
        for epoch in set(taken.sender.marks) - set(taken.before):
            del taken.sender.marks[epoch]


def remember(marks: Marks, epoch: int, seq: int) -> None:
    """Note that a frame was taken; only the latest epochs are kept."""
    marks[epoch] = seq
    if len(marks) > MAX_EPOCHS:
        del marks[min(marks)]


def is_new(marks: Marks, frame: wire.Frame) -> bool:
    """Whether a frame was not taken before; note that it is now."""
    if not frame.seq:
        return True  # its sender does not number its frames
    known = marks.get(frame.epoch)
    if known is None and len(marks) == MAX_EPOCHS and frame.epoch < min(marks):
        return False  # older than all that is remembered: taken, or lost, long ago
    if known is not None and frame.seq <= known:
        return False
    remember(marks, frame.epoch, frame.seq)
    return True


def not_written(error: LogError) -> Refusal:
    """Return the refusal of a push whose records could not be made durable."""
    return Refusal(503, str(error), retry_after=5)


def _schema(body: bytes, frame: wire.Frame, path: str) -> tuple[int, int]:
    payload = body[frame.start : frame.end]
    return wire.schema_id(payload), len(wire.read_schema(payload, path))


def _check_rows(body: bytes, rows: wire.Rows, columns: int | None, path: str) -> None:
    if columns is not None and columns != rows.columns:
        raise wire.WireError(f"{path}.columns", f"{rows.columns} columns, the schema has {columns}")
    for time in _TIMES[rows.rows].unpack_from(body, rows.times):
        if not (isfinite(time) and 0 <= time < 1e11):
            raise wire.WireError(f"{path}.times", f"{time} is no time")


def _check_message(body: bytes, frame: wire.Frame, path: str) -> None:
    payload = body[frame.start : frame.end]
    if frame.kind == Kind.HELLO:
        decode(payload, Hello, path)
    elif frame.kind == Kind.GOODBYE:
        decode(payload, Goodbye, path)
    elif frame.kind == Kind.EVENT:
        if not frame.seq:
            raise wire.WireError(f"{path}.seq", "an event is in the sequence, from 1 on")
        decode_event(payload, path)
    else:
        raise wire.WireError(f"{path}.kind", f"{frame.kind} is no kind of frame that is taken")


def _skew(sent: float | None, now: float) -> float:
    """Return what to add to the sender's times; a difference that the network may have made is none."""
    if sent is None:
        return 0.0
    skew = now - sent
    return skew if abs(skew) > SKEW_TOLERANCE else 0.0
