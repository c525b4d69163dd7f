"""From the log to the events in the database: a consumer with a place of its own."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from agent.wire import Kind
from collector.config import EventLimits
from collector.events.differences import differences
from collector.events.store import EventStore, Happening, Inventory, Parts
from collector.ingest.intake import Marks, is_new
from collector.ingest.messages import Event, decode_event
from collector.log import MergedReader, Record, Tail
from collector.rows import frame_of
from collector.singles import of_kind

RETRY_SECONDS: Final = 1.0
SWEEP_SECONDS: Final = 300.0
_IDLE_RECORDS: Final = 100_000  # records without an event after which the place is stored all the same
_LOG = logging.getLogger(__name__)


class EventKeeper:
    """Follows the log in a thread and stores its events, each once: a frame that two processes took (its
    acknowledgement was lost, it came again elsewhere) is told apart by its device, epoch and seq.

    Attributes:
        kept: events that were stored since the start.
        retries: how often the database was not there.
    """

    def __init__(
        self, log_directory: Path, head: int, store: EventStore, limits: EventLimits, tail: Tail | None = None
    ) -> None:
        """The log ends before record `head`. Raises sqlalchemy.exc.SQLAlchemyError: the database does not answer."""
        self.kept = 0
        self.retries = 0
        self._store = store
        self._limits = limits
        self._stored = store.position()
        self._marks: dict[int, Marks] = store.marks()
        self._marked: set[int] = set()  # devices whose marks have changed and are not stored
        self._reader = MergedReader(log_directory, self._stored + 1, tail)
        self._head = head
        self._swept = 0.0
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="events")

    @property
    def position(self) -> int:
        """The record from which a start would read."""
        return self._stored + 1

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
        """Store the events of what is durable, and end."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._stopping and self._reader.position >= self._head:
                    self._wake.wait()
                stopping = self._stopping
            while (block := self._reader.read_block(self._head)) is not None:
                found = [block.record(index) for index in of_kind(block, Kind.EVENT).tolist()]
                if not self._take(found, int(block.numbers[-1]), float(block.received[-1]), idle=not stopping):
                    return
            if stopping:
                self._write([], [], self._reader.position - 1)
                return

    def _take(self, records: list[Record], last: int, now: float, *, idle: bool) -> bool:
        """Store the events in some records, up to record `last`, which came at `now`; whether to go on: not if the
        database is away and the end has come.
        """
        events: list[Happening] = []
        inventories: list[tuple[int, Inventory]] = []
        known: dict[int, Parts] = {}
        for record in records:
            frame = frame_of(record)
            if not is_new(self._marks.setdefault(record.device, {}), frame):
                continue
            if frame.seq:
                self._marked.add(record.device)
            event = decode_event(record.body[frame.start :])
            at = min(event.t + record.skew, record.received)
            if event.data is None:
                events.append(_happening(record.device, at, event))
                continue
            before = known.get(record.device)
            if before is None:
                before = self._newest(record.device)
            if before != event.data:
                events += differences(record.device, at, before, event.data) if before else []
                inventories.append((record.device, Inventory(at, event.data)))
                known[record.device] = event.data
        if not (events or inventories) and idle and last - self._stored < _IDLE_RECORDS:
            return True
        done = self._write(events, inventories, last)
        if done and now - self._swept >= SWEEP_SECONDS:
            self._swept = now
            self._sweep(now)
        return done

    def _newest(self, device: int) -> Parts:
        while True:
            try:
                return self._store.newest([device]).get(device, {})
            except SQLAlchemyError as error:
                if not self._wait(error):
                    return {}  # nothing will be written any more either

    def _write(self, events: list[Happening], inventories: list[tuple[int, Inventory]], position: int) -> bool:
        while True:
            try:
                self._store.write(
                    events, inventories, position, {device: self._marks[device] for device in self._marked}
                )
            except SQLAlchemyError as error:
                if not self._wait(error):
                    return False
            else:
                self._stored = max(self._stored, position)
                self._marked.clear()
                self.kept += len(events)
                return True

    def _sweep(self, now: float) -> None:
        try:
            while self._store.drop(before=now - self._limits.days * 86400, keep=self._limits.max_events):
                pass
        except SQLAlchemyError as error:
            _LOG.warning("old events were not deleted: %s", error)

    def _wait(self, error: SQLAlchemyError) -> bool:
        """Wait before the next try; whether there is one."""
        self.retries += 1
        _LOG.warning("the events wait for the database: %s", error)
        with self._wake:
            if not self._stopping:
                self._wake.wait(RETRY_SECONDS)
            return not self._stopping


def _happening(device: int, at: float, event: Event) -> Happening:
    return Happening(device, at, event.type, event.source, event.level, event.text, dict(event.attributes))
