"""The pushes that one turn of the loop brings, taken together.

Nearly every push is like the one before it on its connection: the same head but its time, and a body of the same
shape. Those are checked and queued in one pass, without a call for each; any other goes by `Connection.receive`, as if
it had come alone. What is checked is the same.
"""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from collector.errors import LogError
from collector.ingest.commit import Committer
from collector.ingest.connection import MAX_PIPELINED, Connection, Slot
from collector.ingest.counters import Counters
from collector.ingest.http import answer, refusal, with_lines
from collector.ingest.intake import SKEW_TOLERANCE, Intake, Sender, not_written
from collector.ingest.senders import Senders
from collector.log.record import HEADER, RecordKind

# Who sent, where the answer goes, whose it is, its epoch, the seq that was the highest until then, its columns.
Push: TypeAlias = tuple[Connection, Slot, Sender, int, int, int]

_NUMBERS: Final = struct.Struct("<12xIQQ16xd")  # of a frame with rows: checksum, epoch, seq, time of the first row
_SHAPE: Final = slice(32, 48)


class Lane:
    """Takes what arrives on connections whose head is known.

    Attributes:
        arrived: what came since the last turn; who adds the first calls `wake`.
    """

    def __init__(
        self,
        senders: Senders,
        intake: Intake,
        committer: Committer,
        counters: Counters,
        *,
        clock: Callable[[], float],
        lines: Mapping[int, bytes],
    ) -> None:
        """`lines` are further header lines of the answers to some devices."""
        self.arrived: list[tuple[Connection, bytes]] = []
        self._senders = senders
        self._intake = intake
        self._committer = committer
        self._counters = counters
        self._clock = clock
        self._lines = lines

    def wake(self) -> None:
        """Take what has arrived when the loop has read everything that is there."""
        asyncio.get_running_loop().call_soon(self.take)

    def take(self) -> None:
        """Take what has arrived, in its order."""
        arrived = self.arrived.copy()
        self.arrived.clear()
        now, version, schemas = self._clock(), self._senders.version, self._intake.schemas
        free = not self._committer.busy
        pack, unpack, crc32 = HEADER.pack, _NUMBERS.unpack_from, zlib.crc32
        records: list[bytes] = []
        pushes: list[Push] = []
        received = 0
        for connection, data in arrived:
            head, answers = connection.head, connection.answers
            if (
                head is not None
                and len(data) == head.size
                and data.startswith(head.before)
                and data.startswith(head.behind, head.time.stop)
                and head.version == version
                and free
            ):
                sender = head.sender
                body = data[head.body :]
                if sender is not None and len(body) == sender.size and len(answers) < MAX_PIPELINED:
                    crc, epoch, seq, time = unpack(body)
                    before = sender.marks.get(epoch)
                    digits = data[head.time]
                    own, whole = sender.account.allowance, sender.customer.allowance
                    if (
                        own.left > 0
                        and whole.left > 0
                        and before is not None
                        and seq > before
                        and epoch >= sender.newest
                        and body.startswith(sender.start)
                        and body[_SHAPE] == sender.shape
                        and schemas.get(sender.schema) == sender.columns
                        and 0 <= time < 1e11
                        and digits.replace(b".", b"", 1).isdigit()
                        and crc32(body[16:], sender.crc) == crc
                    ):
                        skew = now - float(digits)
                        if -SKEW_TOLERANCE <= skew <= SKEW_TOLERANCE:
                            skew = 0.0
                        sender.marks[epoch] = seq
                        own.spend(sender.columns)
                        whole.spend(sender.columns)
                        records.append(pack(sender.size, RecordKind.FRAME, sender.device.id, now, skew) + body)
                        received += sender.size
                        slot: Slot = []
                        answers.append(slot)
                        pushes.append((connection, slot, sender, epoch, before, sender.columns))
                        continue
            if pushes:  # of one device, what came first must be first in the log
                self._put(records, pushes)
                records, pushes = [], []
            connection.receive(data)
        self._counters.bytes += received
        if pushes:
            self._put(records, pushes)

    def put_one(self, record: bytes, push: Push, size: int) -> None:
        """Queue a push that was taken by itself; its body had so many bytes when it came."""
        self._counters.bytes += size
        self._put([record], [push])

    def _put(self, records: list[bytes], pushes: list[Push]) -> None:
        self._committer.put(records, lambda error: self._answer(pushes, error), usual=True)

    def _answer(self, pushes: list[Push], error: LogError | None) -> None:
        now = self._clock()
        response = answer(204, now) if error is None else refusal(not_written(error), now)
        lines = self._lines if error is None else {}
        values = 0
        for connection, slot, sender, epoch, before, columns in pushes:
            values += columns
            if error is not None:
                self._intake.take_row_back(sender, epoch, before)
            more = lines.get(sender.device.id)
            connection.reply(slot, response if more is None else with_lines(response, more))
        self._counters.count(204 if error is None else 503, len(pushes))
        if error is None:
            self._counters.pushes += len(pushes)
            self._counters.values += values
