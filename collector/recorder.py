"""From the log to the history of the recent days: a consumer with a place of its own."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from agent import wire
from agent.wire import Kind
from collector.config import HistoryLimits
from collector.history import History, HistoryError
from collector.log import Reader, Record, RecordKind
from collector.rows import frame_of, samples_of

FLUSH_SECONDS = 30.0
RETRY_SECONDS = 5.0
_LOG = logging.getLogger(__name__)


class Recorder:
    """Follows the log in a thread and keeps every sample. `lock` is held while `history` changes."""

    def __init__(self, log_directory: Path, path: Path, limits: HistoryLimits) -> None:
        self.lock = threading.Lock()
        self.history = History(path, retention=limits.days * 86400, chunk_seconds=limits.chunk_minutes * 60)
        self._reader = Reader(log_directory, self.history.position() + 1)
        self._log_directory = log_directory
        self._head = 1
        self._flushed_at = 0.0
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="history")

    @property
    def position(self) -> int:
        """The record from which a start would read: those before it are on disk."""
        return self.history.position() + 1

    @property
    def lag(self) -> int:
        """Records in the log that were not read yet."""
        return max(0, self._head - self._reader.position)

    def start(self, head: int) -> None:
        """Begin to follow the log, which ends before `head` now."""
        self._head = head
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
                self._take(records)
            if stopping:
                self._flush(self._reader.position - 1, time.time(), everything=True)
                return

    def _take(self, records: list[Record]) -> None:
        with self.lock:
            for record in records:
                if record.kind == RecordKind.FRAME:
                    self._take_frame(record)
        last = records[-1]
        if last.received - self._flushed_at >= FLUSH_SECONDS:
            self._flushed_at = last.received
            self._flush(last.number, last.received)

    def _take_frame(self, record: Record) -> None:
        frame = frame_of(record)
        if frame.kind == Kind.SCHEMA:
            payload = record.body[frame.start :]
            self.history.schema(wire.schema_id(payload), payload.decode().split("\n"))
        elif frame.kind == Kind.ROWS:
            samples = samples_of(record, frame)
            if self.history.knows(samples.schema):
                self.history.append(record.device, samples.schema, samples.times, samples.values)

    def _flush(self, position: int, now: float, *, everything: bool = False) -> None:
        try:
            with self.lock:
                self.history.flush(position, now, everything=everything)
        except HistoryError as error:  # a full disk: the heads stay in memory, the log is still there
            _LOG.warning("the history was not written: %s", error)
