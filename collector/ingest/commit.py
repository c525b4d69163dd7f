"""Group commit: what arrived while one group was written is written together, and answered then."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from collector.errors import LogError
from collector.log import Log

MAX_WAITING_BYTES = 64 << 20

Done = Callable[[LogError | None], None]


class Committer:
    """Writes records to the log off the event loop, and tells each sender when its own are durable.

    Attributes:
        errors: groups that could not be written.
        failing: why the last group could not be written; empty if it was.
    """

    def __init__(self, log: Log, *, linger: float, committed: Callable[[int], None]) -> None:
        """`linger` seconds pass before each commit; `committed(head of the log)` is called after each, on the loop."""
        self.errors = 0
        self.failing = ""
        self._log = log
        self._linger = linger
        self._committed = committed
        self._records: list[bytes] = []
        self._done: list[Done] = []
        self._bytes = 0
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="log")
        self._stopping = False

    def put(self, records: list[bytes], done: Done) -> None:
        """Queue records; `done` is called with None once they are durable, with the error if they are not.

        No records is a valid request: it is answered after all that was queued before it.
        """
        self._records += records
        self._bytes += sum(map(len, records))
        self._done.append(done)
        self._wake.set()

    @property
    def busy(self) -> bool:
        """Whether so much waits to be written that senders should wait."""
        return self._bytes > MAX_WAITING_BYTES

    async def run(self) -> None:
        """Commit until `stop`; what was queued before it is still written."""
        loop = asyncio.get_running_loop()
        while not (self._stopping and not self._done):
            await self._wake.wait()
            if self._linger and not self._stopping:
                await asyncio.sleep(self._linger)
            records, done = self._records, self._done
            self._records, self._done, self._bytes = [], [], 0
            self._wake.clear()
            if self._stopping:
                self._wake.set()
            error = await loop.run_in_executor(self._thread, self._write, records) if records else None
            for call in done:
                call(error)
            if error is None:
                self._committed(self._log.head)
        self._thread.shutdown()

    def _write(self, records: list[bytes]) -> LogError | None:
        try:
            self._log.append(records)
        except LogError as error:
            self.errors += 1
            self.failing = str(error)
            return error
        self.failing = ""
        return None

    def stop(self) -> None:
        """Write what is queued, and end `run`."""
        self._stopping = True
        self._wake.set()
