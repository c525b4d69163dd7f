"""From the log to the history of the recent days: a consumer with a place of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from agent import wire
from agent.wire import Kind
from collector.config import HistoryLimits
from collector.history.errors import HistoryError, HistoryFullError
from collector.history.history import History
from collector.history.schema import SchemaRef
from collector.log import Reader, Record, RecordKind
from collector.log.segments import segments
from collector.rows import Samples, frame_of, samples_of

FLUSH_SECONDS = 30.0
RETRY_SECONDS = 2.0
_LOG = logging.getLogger(__name__)


class Recorder:
    """Follows the log in a thread and keeps every sample; any thread may read `history`."""

    def __init__(
        self, log_directory: Path, head: int, folder: Path, limits: HistoryLimits, known: Callable[[int], bytes | None]
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
        self._reader = Reader(log_directory, self.history.position())
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
        """Tell that the records below `head` are durable."""
        with self._wake:
            self._head = head
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
                while not self._stopping and self._reader.position >= self._head:
                    self._wake.wait()
                stopping = self._stopping
            while records := self._reader.read(self._head):
                if not self._take(records):
                    return
            if stopping:
                self._flush(self._reader.position, everything=True)
                return

    def _take(self, records: list[Record]) -> bool:
        """Keep the rows of some records; whether to go on: not if there is no room for them, and the end has come."""
        for record in records:
            if record.kind == RecordKind.FRAME and not self._take_frame(record):
                return False
        self._last = records[-1].received
        if self._last - self._flushed_at >= FLUSH_SECONDS:
            self._flushed_at = self._last
            self._flush(records[-1].number + 1)
        return True

    def _take_frame(self, record: Record) -> bool:
        frame = frame_of(record)
        if frame.kind == Kind.SCHEMA:
            self._learn(record.body[frame.start :])
        elif frame.kind in (Kind.ROWS, Kind.PART):
            samples = samples_of(record, frame)
            schema = self._schemas.get(samples.schema) or self._recall(samples.schema)
            return schema is None or self._append(record, schema, samples)
        return True

    def _learn(self, payload: bytes) -> SchemaRef:
        schema = wire.schema_id(payload)
        found = self._schemas[schema] = self.history.schema(schema, payload.decode().split("\n"))
        return found

    def _recall(self, schema: int) -> SchemaRef | None:
        payload = self._known(schema)
        return None if payload is None else self._learn(payload)

    def _append(self, record: Record, schema: SchemaRef, samples: Samples) -> bool:
        while True:
            try:
                self.history.append(record.device, schema, samples.times, samples.values)
            except HistoryFullError as error:  # the log keeps them until there is room
                if self._stopping:
                    return False
                _LOG.warning("the history waits: %s", error)
                with self._wake:
                    self._wake.wait(RETRY_SECONDS)
                self._flush(record.number)
            else:
                return True

    def _flush(self, position: int, *, everything: bool = False) -> None:
        try:
            self.history.flush(position, self._last, everything=everything)
        except HistoryError as error:  # it stays in memory, and in the log
            _LOG.warning("the history was not written: %s", error)
