"""From the log to incidents: a thread that applies the log's records and commits what they change.

Whatever it does can be done again: after a crash it starts from the last snapshot, reads the log behind it, and
leaves out the effects up to the position that the last incident transaction stored.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from collector import alerts
from collector.bulk import Bulk
from collector.log import MergedReader, Record, Tail
from collector.state import State, write_snapshot
from rules.alerts import Transition
from ticketing.alert import Alert
from ticketing.errors import Unavailable
from ticketing.maintenance import Window
from ticketing.store import Store

CONSUMER = "incidents"
RETRY_SECONDS = 1.0
COMMIT_AT_LEAST = 5.0  # seconds between commits when nothing happens: what time alone does, and the cursor
_SMOOTH = 8  # ticks over which their cost is smoothed
VALUES_EVERY = 15.0  # seconds between updates of the values of alerts that go on firing
_LOG = logging.getLogger(__name__)


class Pipeline:
    """Applies the log to `state` and its effects to the store. `lock` is held while the state changes.

    `observe(seconds)` is called with the time that each tick took.

    Attributes:
        records: how many records were applied since the start.
        begun: how many alerts began to fire since the start, by customer.
        retries: how often the store was not there and a commit was tried again.
        snapshot_position: the last record that the snapshot on disk holds; a start reads from there.
        tick_cost: seconds of the processor that a tick takes, about, with its commit.
    """

    def __init__(
        self,
        log_directory: Path,
        store: Store,
        *,
        tail: Tail | None = None,
        snapshot: Path,
        snapshot_seconds: float,
        observe: Callable[[float], None],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """`changed()` is called after each transaction that changed incidents."""
        self.state = State()
        self.lock = threading.Lock()
        self.head = 1
        self.records = 0
        self.begun: Counter[str] = Counter()
        self.retries = 0
        self.snapshot_position = 0
        self.tick_cost = 0.0
        self._store = store
        self._log_directory = log_directory
        self._tail = tail
        self._reader = MergedReader(log_directory)
        self._snapshot = snapshot
        self._snapshot_seconds = snapshot_seconds
        self._snapshot_at = 0.0
        self._observe = observe
        self._changed = changed
        self._windows: list[Window] = []  # opened by goodbyes, not stored yet
        self._pending: list[Alert] = []  # changed since the last tick
        self._committed = 0  # position of the last transaction
        self._committed_at = 0.0
        self._values_at = 0.0
        self._wake = threading.Condition()
        self._stopping = False
        self._given_up = False
        self._thread: threading.Thread | None = None

    @property
    def lag(self) -> int:
        """Records in the log that were not applied yet."""
        return max(0, self.head - 1 - self.state.position)

    @property
    def lost_bytes(self) -> int:
        """Bytes of the log that were no sound records."""
        return self._reader.lost_bytes

    def recover(self, head: int) -> None:
        """Apply all that the log holds below `head`, as a start does; effects that were not committed yet are.

        Raises:
            Unavailable: the database does not answer.
        """
        self._committed = self._store.position(CONSUMER)
        if self._snapshot.exists():
            try:
                self.state.restore(self._snapshot.read_bytes())
            except ValueError as error:
                _LOG.warning("the snapshot cannot be used, reading the whole log: %s", error)
                self.state = State()
        self.snapshot_position = self.state.position
        self._reader = MergedReader(self._log_directory, self.state.position + 1, self._tail)
        self.head = head
        while self._apply_some():
            pass

    def start(self) -> None:
        """Begin to follow the log."""
        self._thread = threading.Thread(target=self._run, name="pipeline")
        self._thread.start()

    def advance(self, head: int) -> None:
        """Tell that the records below `head` are durable."""
        with self._wake:
            self.head = head
            self._wake.notify()

    def stop(self) -> None:
        """Apply what is durable, write a snapshot, and end."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._stopping and self._reader.position >= self.head:
                    self._wake.wait()
                stopping = self._stopping
            while self._apply_some():
                pass
            if stopping:
                self._write_snapshot()
                return

    def _apply_some(self) -> bool:
        """Apply the next records of the log; whether there were any."""
        block = self._reader.read_block(self.head)
        if block is None:
            return False
        bulk = Bulk(block)
        first = 0
        for tick in bulk.ticks:
            self._apply(bulk, first, tick)
            record = block.record(tick)
            before = time.thread_time()
            self._commit(record, self._tick(record))
            self.tick_cost += (time.thread_time() - before - self.tick_cost) / _SMOOTH
            first = tick + 1
        self._apply(bulk, first, len(block))
        self.records += len(block)
        last = float(block.received[-1])
        if last - self._snapshot_at > self._snapshot_seconds:
            self._snapshot_at = last
            self._write_snapshot()
        return True

    def _apply(self, bulk: Bulk, first: int, end: int) -> None:
        with self.lock:
            self._pending += self._counted(bulk.apply(self.state, first, end))

    def _tick(self, record: Record) -> list[Alert]:
        """Apply a tick; return the alerts that changed since the last one."""
        with self.lock:
            before = time.perf_counter()
            changes = self._pending + self._counted(self.state.apply(record))
            self._observe(time.perf_counter() - before)
            self._pending = []
            self._windows += self.state.windows
            self.state.windows = []
            if record.received - self._values_at >= VALUES_EVERY:
                self._values_at = record.received
                changes += alerts.from_active(self.state.engine.active(), record.received)
        return changes

    def _counted(self, transitions: list[Transition]) -> list[Alert]:
        changes = alerts.from_transitions(transitions)
        self.begun.update(alert.customer for alert in changes if alert.state == "firing")
        return changes

    def _commit(self, tick: Record, changes: list[Alert]) -> None:
        """Store what a tick changed, once: a position that was committed before is passed over."""
        idle = tick.received - self._committed_at < COMMIT_AT_LEAST
        if tick.number <= self._committed:
            self._windows = []
            return
        if idle and not changes and not self._windows:
            return
        known = self.state.facts.topology
        while True:
            try:
                incidents = self._store.apply(
                    changes,
                    consumer=CONSUMER,
                    position=tick.number,
                    now=tick.received,
                    topology=known,
                    windows=self._windows,
                )
                break
            except Unavailable as error:
                self.retries += 1
                _LOG.warning("the database does not answer, trying again: %s", error)
                if self._stopping:
                    self._given_up = True  # the log still has it: a start reads it again, from an older snapshot
                    return
                time.sleep(RETRY_SECONDS)
        self._committed, self._committed_at = tick.number, tick.received
        self._windows = []
        if incidents:
            self._changed()

    def _write_snapshot(self) -> None:
        if (
            self._given_up or self._pending or self._windows or self.state.windows
        ):  # what is not committed must be found in the log again
            return
        with self.lock:
            data = self.state.dump()
            position = self.state.position
        try:
            write_snapshot(self._snapshot, data)
            self.snapshot_position = position
        except OSError as error:  # a full disk: the log is still there to start from
            _LOG.warning("no snapshot was written: %s", error)
