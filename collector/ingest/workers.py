"""The ingest processes of a collector, seen from its main process: started, kept running, and put in one order."""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from collector.diagnosis.desk import apply
from collector.errors import LogError
from collector.ingest.published import Heads
from collector.ingest.worker import Task
from collector.log.partitions import Range, drop, encode_ranges, partitions

POLL_SECONDS: Final = 0.01
FIRST_RETRY: Final = 0.2
LAST_RETRY: Final = 10.0
STOP_SECONDS: Final = 20.0
_LOG = logging.getLogger(__name__)


class _Process:
    """One of them."""

    def __init__(self, popen: subprocess.Popen[bytes], writer: asyncio.StreamWriter) -> None:
        self.popen = popen
        self.writer = writer
        self.ready = asyncio.Event()
        self.refreshed = 0
        self.changed = asyncio.Condition()

    async def has_refreshed(self, number: int) -> None:
        """Wait until it has read the register that often, or is no more."""
        async with self.changed:
            await self.changed.wait_for(lambda: self.refreshed >= number or not self.ready.is_set())

    def say(self, message: dict[str, Any]) -> None:
        """Send it a message; to one that has just died, none."""
        with suppress(OSError):
            self.writer.write(msgspec.json.encode(message) + b"\n")


class Workers:
    """Ingest processes, one for each partition from 0 on.

    Attributes:
        restarts: how often one had to be started again.
        stats: what each told of itself last, by partition.
        merged: the record of each partition from which on no tick has named it yet.
    """

    def __init__(
        self, count: int, task: Callable[[int, int], Task], log: Path, heads: Path, merged: dict[int, int]
    ) -> None:
        """`task(partition, floor)` says what a process is to do; `merged` is as the log's ticks say."""
        self.restarts = 0
        self.stats: dict[int, dict[str, Any]] = {}
        self._gone: Counter[str] = Counter()  # the counts of processes that are no more
        self.merged = dict(merged)
        self._count = count
        self._task = task
        self._log = log
        self._heads = Heads(heads, make=True)
        self._processes: dict[int, _Process] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._refreshes = 0
        self._lines: dict[int, bytes] = {}
        self._pending: list[Range] = []
        self._passed: deque[tuple[int, dict[int, int]]] = deque()  # heads of the spine, and what was merged by then

    async def start(self) -> None:
        """Start all, and return when they are ready."""
        for partition in partitions(self._log):
            self.merged.setdefault(partition, 1)
        self._tasks = [asyncio.create_task(self._keep(partition)) for partition in range(self._count)]
        while not all(p in self._processes and self._processes[p].ready.is_set() for p in range(self._count)):
            for task in self._tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(POLL_SECONDS)

    # Order

    @property
    def waits(self) -> bool:
        """Whether records are durable that no tick has named."""
        heads = self._heads.read()
        return not self._pending and any(heads[p] > first for p, first in self.merged.items())

    def ranges(self) -> bytes:
        """Return what a tick has to say now: all that became durable since the last one that was written."""
        if self._pending:
            return b""  # the tick before is not durable yet
        heads = self._heads.read()
        self._pending = [Range(p, first, heads[p]) for p, first in self.merged.items() if heads[p] > first]
        return encode_ranges(self._pending)

    def ticked(self, error: LogError | None) -> None:
        """Take it that the last tick is in the log, or is not."""
        if error is None:
            self.merged.update({each.partition: each.end for each in self._pending})
        self._pending = []

    def drop(self, position: int, head: int, keep_bytes: int, written_before: float) -> None:
        """Remove what is old of the partitions and what no consumer needs: all have read the spine to `position`.

        `head` is where the spine ends now.
        """
        self._passed.append((head, dict(self.merged)))
        while len(self._passed) > 1 and self._passed[1][0] <= position:
            self._passed.popleft()
        known, merged = self._passed[0]
        if known <= position:
            drop(self._log, merged, keep_bytes, written_before)

    def publish_left(self, partition: int, head: int) -> None:
        """Tell the head of a partition that no process writes any more."""
        self.merged.setdefault(partition, 1)
        self._heads.publish(partition, head)

    # Processes

    async def _keep(self, partition: int) -> None:
        """Keep a process running."""
        self.merged.setdefault(partition, 1)
        wait = FIRST_RETRY
        while True:
            process, reader = await self._spawn(partition)
            while line := await reader.readline():
                await self._hear(partition, process, msgspec.json.decode(line))
                wait = FIRST_RETRY
            code = await asyncio.to_thread(process.popen.wait)
            process.ready.clear()
            async with process.changed:
                process.changed.notify_all()
            self._count_gone(partition)
            if self._stopping:
                return
            self.restarts += 1
            _LOG.error("ingest process %d ended with %d, starting it again", partition, code)
            await asyncio.sleep(wait)
            wait = min(2 * wait, LAST_RETRY)

    async def _spawn(self, partition: int) -> tuple[_Process, asyncio.StreamReader]:
        ours, theirs = socket.socketpair()
        task = self._task(partition, self.merged[partition])
        command = [sys.executable, "-m", "collector.ingest.worker", str(theirs.fileno())]
        popen = await asyncio.to_thread(
            subprocess.Popen, command, pass_fds=(theirs.fileno(), task.listening), stdin=subprocess.DEVNULL
        )
        theirs.close()
        reader, writer = await asyncio.open_connection(sock=ours, limit=1 << 20)
        process = self._processes[partition] = _Process(popen, writer)
        writer.write(msgspec.json.encode(task) + b"\n")
        return process, reader

    async def _hear(self, partition: int, process: _Process, message: dict[str, Any]) -> None:
        if "ready" in message:
            process.say({"lines": {str(device): line.decode() for device, line in self._lines.items()}})
            process.ready.set()
        if "refreshed" in message:
            async with process.changed:
                process.refreshed = message["refreshed"]
                process.changed.notify_all()
        if "stats" in message:
            self.stats[partition] = message["stats"]
        if "spent" in message:
            for other in self._processes.values():
                if other is not process:
                    other.say({"spent": message["spent"]})

    def _count_gone(self, partition: int) -> None:
        for name, value in self.stats.pop(partition, {}).items():
            if isinstance(value, int | float) and name not in ("connections", "waiting_bytes", "size"):
                self._gone[name] += value  # type: ignore[assignment]

    def total(self, name: str) -> float:
        """Return a count of all processes, of those that are no more too."""
        return float(self._gone[name]) + sum(float(stats.get(name, 0)) for stats in self.stats.values())

    def by(self, name: str) -> dict[str, int]:
        """Return a count by its label."""
        total: Counter[str] = Counter()
        for stats in self.stats.values():
            total.update(stats.get(name, {}))
        return dict(total)

    def failing(self) -> str:
        """Return why a process cannot write; empty if all can."""
        return next((str(stats["failing"]) for stats in self.stats.values() if stats.get("failing")), "")

    async def refresh(self) -> None:
        """Let all read the register again, and return when they have."""
        self._refreshes += 1
        number = self._refreshes
        asked = [process for process in self._processes.values() if process.ready.is_set()]
        for process in asked:
            process.say({"refresh": number})
        await asyncio.gather(*[process.has_refreshed(number) for process in asked])

    def forget(self, schemas: list[int]) -> None:
        """Let all ask for these schemas again."""
        for process in self._processes.values():
            process.say({"forget": schemas})

    def lines(self, changed: dict[int, bytes]) -> None:
        """Let all know of header lines for the answers to pushes, by device."""
        apply(self._lines, changed)
        for process in self._processes.values():
            process.say({"lines": {str(device): line.decode() for device, line in changed.items()}})

    async def stop(self) -> None:
        """Let all write and answer what they accepted, and end."""
        self._stopping = True
        for process in self._processes.values():
            process.say({"stop": True})
        _, late = await asyncio.wait(self._tasks, timeout=STOP_SECONDS) if self._tasks else (set(), set())
        for process in self._processes.values():
            if process.popen.poll() is None:
                process.popen.kill()
        await asyncio.gather(*late, return_exceptions=True)
        for process in self._processes.values():
            process.writer.close()

    def close(self) -> None:
        """Let go of the shared memory."""
        self._heads.close()
