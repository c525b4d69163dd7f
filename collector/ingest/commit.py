"""Group commit: what arrived while one group was written is written together, and answered then."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from collector.errors import LogError
from collector.log import Log

MAX_WAITING_BYTES = 64 << 20
_LOG = logging.getLogger(__name__)

Done = Callable[[LogError | None], None]


class Committer:
    """Writes records to the log off the event loop, and tells what became of each request's own.

    Attributes:
        errors: groups that could not be written.
        failing: why the last group could not be written; empty if it was.
        waiting_bytes: bytes of records that wait for the next group.
    """

    def __init__(
        self,
        log: Log,
        *,
        linger: float,
        settled: Callable[[LogError | None, bool], None],
        observe: Callable[[float], None],
    ) -> None:
        """`linger` seconds pass before each commit.

        `settled(error, other)` is called on the loop after each group, when all were told whose records were in it;
        `other` says whether it held anything but usual pushes. `observe(seconds)` is called with the time that
        writing and syncing it took.
        """
        self.errors = 0
        self.failing = ""
        self.waiting_bytes = 0
        self._log = log
        self._linger = linger
        self._settled = settled
        self._observe = observe
        self._records: list[bytes] = []
        self._waiting: list[Done] = []
        self._other = False
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="log")
        self._stopping = False

    def put(self, records: list[bytes], done: Done, *, usual: bool = False) -> None:
        """Queue the records of a request; `done(error)` is called when they are durable, or cannot be.

        No records is a valid request: it is settled after all that was queued before it. `usual` are pushes whose
        consumers are told by the tick that follows them.
        """
        self._records += records
        self.waiting_bytes += sum(map(len, records))
        self._waiting.append(done)
        self._other |= not usual
        self._wake.set()

    @property
    def busy(self) -> bool:
        """Whether so much waits to be written that senders should wait."""
        return self.waiting_bytes > MAX_WAITING_BYTES

    async def run(self) -> None:
        """Commit until `stop`; what was queued before it is still written."""
        loop = asyncio.get_running_loop()
        while not (self._stopping and not self._waiting):
            await self._wake.wait()
            if self._linger and not self._stopping:
                await asyncio.sleep(self._linger)
            records, waiting = self._records, self._waiting
            other, self._other = self._other, False
            self._records, self._waiting, self.waiting_bytes = [], [], 0
            self._wake.clear()
            if self._stopping:
                self._wake.set()
            error = await loop.run_in_executor(self._thread, self._write, records) if records else None
            for done in waiting:
                try:
                    done(error)
                except Exception:  # noqa: BLE001 - it must not keep the others from being answered, or written
                    _LOG.exception("a request could not be settled")
            self._settled(error, other)
        self._thread.shutdown()

    def _write(self, records: list[bytes]) -> LogError | None:
        before = time.perf_counter()
        try:
            self._log.append(records)
        except LogError as error:
            self.errors += 1
            self.failing = str(error)
            return error
        self.failing = ""
        self._observe(time.perf_counter() - before)
        return None

    def stop(self) -> None:
        """Write what is queued, and end `run`."""
        self._stopping = True
        self._wake.set()
