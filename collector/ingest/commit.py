"""Group commit: what arrived while one group was written is written together, and answered then."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from collector.errors import LogError
from collector.log import Log

MAX_WAITING_BYTES = 64 << 20

Waiting = TypeVar("Waiting")


class Committer(Generic[Waiting]):
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
        settle: Callable[[list[Waiting], LogError | None], None],
        observe: Callable[[float], None],
    ) -> None:
        """`linger` seconds pass before each commit.

        `settle(requests, error)` is called on the loop after each group, with all whose records were in it;
        `observe(seconds)` with the time that writing and syncing it took.
        """
        self.errors = 0
        self.failing = ""
        self.waiting_bytes = 0
        self._log = log
        self._linger = linger
        self._settle = settle
        self._observe = observe
        self._records: list[bytes] = []
        self._waiting: list[Waiting] = []
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="log")
        self._stopping = False

    def put(self, records: list[bytes], request: Waiting) -> None:
        """Queue the records of a request.

        No records is a valid request: it is settled after all that was queued before it.
        """
        self._records += records
        self.waiting_bytes += sum(map(len, records))
        self._waiting.append(request)
        self._wake.set()

    def put_one(self, record: bytes, request: Waiting) -> None:
        """Queue a request that has one record."""
        self._records.append(record)
        self.waiting_bytes += len(record)
        if not self._waiting:
            self._wake.set()
        self._waiting.append(request)

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
            self._records, self._waiting, self.waiting_bytes = [], [], 0
            self._wake.clear()
            if self._stopping:
                self._wake.set()
            error = await loop.run_in_executor(self._thread, self._write, records) if records else None
            self._settle(waiting, error)
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
