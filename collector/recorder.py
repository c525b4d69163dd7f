"""From the log to the history of the recent days: a consumer with a place of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agent import wire
from agent.wire import Kind
from collector.config import HistoryLimits
from collector.history.errors import HistoryError, HistoryFullError
from collector.history.history import History
from collector.history.integers import Floats
from collector.history.schema import SchemaRef
from collector.log import Block, MergedReader, Record, Tail
from collector.log.segments import segments
from collector.rows import frame_of, samples_of
from collector.singles import Singles, frames, singles

FLUSH_SECONDS = 30.0
RETRY_SECONDS = 2.0
GATHER_SECONDS = 1.0  # for so long rows are left in the log, so that each device's are taken together
MANY_RECORDS = 16_384  # or until there are so many records
_CHUNK = 16 << 20
_LOG = logging.getLogger(__name__)


class Recorder:
    """Follows the log in a thread and keeps every sample; any thread may read `history`."""

    def __init__(
        self,
        log_directory: Path,
        head: int,
        folder: Path,
        limits: HistoryLimits,
        known: Callable[[int], bytes | None],
        tail: Tail | None = None,
    ) -> None:
        """The log ends before record `head`; `known(id)` returns the payload of a schema that came before the place
        where this consumer begins to read.

        Raises:
            HistoryError: the folder cannot be used.
        """
        self.history = History(folder, retention=limits.days * 86400, chunk_seconds=limits.chunk_minutes * 60)
        kept = segments(log_directory)
        first = kept[0].first if kept else head
        if not first <= self.history.position() <= head:  # the log lost its beginning, or all of it
            self.history.rebase(first)
        self._reader = MergedReader(log_directory, self.history.position(), tail, _CHUNK)
        self._known = known
        self._schemas: dict[int, SchemaRef] = {}
        self._head = head
        self._flushed_at = 0.0
        self._last = 0.0
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="history")

    @property
    def position(self) -> int:
        """The record from which a start would read: what those before it hold is on disk."""
        return self.history.position()

    @property
    def lag(self) -> int:
        """Records in the log that were not read yet."""
        return max(0, self._head - self._reader.position)

    def start(self) -> None:
        """Begin to follow the log."""
        self._thread.start()

    def advance(self, head: int) -> None:
        """Tell that the records below `head` are durable; they are taken soon, many of them together."""
        self._head = head
        if head - self._reader.position >= MANY_RECORDS:
            with self._wake:
                self._wake.notify()

    def stop(self) -> None:
        """Read what is durable, write all of it, and end."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()
        self.history.close()

    def _run(self) -> None:
        while True:
            with self._wake:
                if not self._stopping and self._head - self._reader.position < MANY_RECORDS:
                    self._wake.wait(GATHER_SECONDS)
                stopping = self._stopping
            while (block := self._reader.read_block(self._head)) is not None:
                if not self._take(block):
                    return
            if stopping:
                self._flush(self._reader.position, everything=True)
                return

    def _take(self, block: Block) -> bool:
        """Keep the rows of some records; whether to go on: not if there is no room for them, and the end has come."""
        found = singles(block)
        indices, kinds = frames(block)
        alone = np.isin(indices, found.indices, assume_unique=True)
        rows = (kinds == Kind.ROWS) | (kinds == Kind.PART)
        mixed = np.unique(block.devices[indices[~alone & rows]])
        order = np.argsort(found.devices, kind="stable")
        order = order[~np.isin(found.devices[order], mixed)]
        alone &= ~np.isin(block.devices[indices], mixed)  # a device's rows are counted in the order of the log
        for index in indices[~alone & (rows | (kinds == Kind.SCHEMA))].tolist():
            if not self._take_frame(block.record(index)):
                return False
        if not self._take_singles(found, order):
            return False
        self._last = float(block.received[-1])
        if self._last - self._flushed_at >= FLUSH_SECONDS or self.history.due:
            self._flushed_at = self._last
            self._flush(int(block.numbers[-1]) + 1)
        return True

    def _take_singles(self, found: Singles, order: NDArray[np.intp]) -> bool:
        """Keep rows that came one by one, sorted by device."""
        if not len(order):
            return True
        devices, schemas = found.devices[order], found.schemas[order]
        changes = np.flatnonzero((devices[1:] != devices[:-1]) | (schemas[1:] != schemas[:-1])) + 1
        starts, ends = [0, *changes.tolist()], [*changes.tolist(), len(order)]
        times, at = found.times[order], found.at[order]
        for start, end in zip(starts, ends, strict=True):
            number = int(schemas[start])
            schema = self._schemas.get(number) or self._recall(number)
            if schema is None:
                continue
            values = found.floats[at[start:end, None] + np.arange(schema.columns)]
            if not self._append(int(devices[start]), schema, times[start:end], values):
                return False
        return True

    def _take_frame(self, record: Record) -> bool:
        frame = frame_of(record)
        if frame.kind == Kind.SCHEMA:
            self._learn(record.body[frame.start :])
            return True
        samples = samples_of(record, frame)
        schema = self._schemas.get(samples.schema) or self._recall(samples.schema)
        return schema is None or self._append(record.device, schema, samples.times, samples.values)

    def _learn(self, payload: bytes) -> SchemaRef:
        schema = wire.schema_id(payload)
        found = self._schemas[schema] = self.history.schema(schema, payload.decode().split("\n"))
        return found

    def _recall(self, schema: int) -> SchemaRef | None:
        payload = self._known(schema)
        return None if payload is None else self._learn(payload)

    def _append(self, device: int, schema: SchemaRef, times: Floats, values: Floats) -> bool:
        while True:
            try:
                self.history.append(device, schema, times, values)
            except HistoryFullError as error:  # the log keeps them until there is room
                if self._stopping:
                    return False
                _LOG.warning("the history waits: %s", error)
                with self._wake:
                    self._wake.wait(RETRY_SECONDS)
                self._flush(None)  # in the middle of a block, some of whose records are kept and some are not
            else:
                return True

    def _flush(self, position: int | None, *, everything: bool = False) -> None:
        try:
            self.history.flush(position, self._last, everything=everything)
        except HistoryError as error:  # it stays in memory, and in the log
            _LOG.warning("the history was not written: %s", error)
