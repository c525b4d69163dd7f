"""What the collector itself writes to the log: its starts, rules, changes of the register, and time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from collector.errors import LogError
from collector.facts import Facts, differences
from collector.ingest.commit import Done
from collector.ingest.senders import Senders
from collector.ingest.workers import POLL_SECONDS, Workers
from collector.log import RecordKind
from collector.log.record import encode
from collector.register import Register

TICK_AT_MOST: Final = 0.1  # seconds between ticks when data waits
TICK_AT_LEAST: Final = 1.0
TICK_PAUSE: Final = 8.0  # times its cost must pass before the next tick: a large fleet is looked at less often
REFRESH_SECONDS: Final = 2.0  # how often the register is read again: a revoked token is refused after that

Put = Callable[[list[bytes], Done], None]


def pause(cost: float) -> float:
    """Return the seconds between two ticks while data waits, by the seconds of the processor that one takes."""
    return min(max(TICK_AT_MOST, TICK_PAUSE * cost), TICK_AT_LEAST)


class Spine:
    """Queues the collector's own records with `put`.

    Attributes:
        ticks: how many were written since the start.
    """

    def __init__(
        self,
        put: Put,
        register: Register,
        senders: Senders,
        *,
        announced: dict[int, dict[str, str]],
        clock: Callable[[], float],
        workers: Workers | None = None,
        cost: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`announced` are the target labels of the devices that the log knows of; `workers` are the processes that
        write partitions of the log, which the ticks put in order; `cost()` returns the seconds that a tick takes.
        """
        self.ticks = 0
        self._put = put
        self._register = register
        self._senders = senders
        self._announced = announced
        self._clock = clock
        self._workers = workers
        self._cost = cost
        self._tasks: list[asyncio.Task[None]] = []
        self._reloading = asyncio.Lock()
        self._version = 0
        self._seen: int | None = None  # the register's fingerprint when it was read last
        self._facts: Facts | None = None  # what the log was told, None: not since the start
        self._last_tick = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def start(self, rules: dict[str, str] | None) -> None:
        """Write that the collector has started; `rules`, if given, hold from here on."""
        self._write(RecordKind.START)
        if rules is not None:
            self.rules(rules)
        await self.reload()
        self._tasks = [asyncio.create_task(self._ticks()), asyncio.create_task(self._housekeeping())]
        if self._workers is not None:
            self._tasks.append(asyncio.create_task(self._watch(self._workers)))

    def stop(self) -> None:
        """Write no more ticks."""
        for task in self._tasks:
            task.cancel()
        if self._timer:
            self._timer.cancel()

    def rules(self, files: dict[str, str]) -> None:
        """Let these rule files hold from here on."""
        self._write(RecordKind.RULES, msgspec.json.encode(files))

    def tables(self, texts: dict[str, str]) -> None:
        """Let these thresholds and baselines hold from here on."""
        self._write(RecordKind.TABLES, msgspec.json.encode(texts))

    async def reload(self) -> None:
        """Read the register again, and put what changed into the log; it is there when this returns."""
        async with self._reloading:  # or an older reading, come late, would announce a device that was just retired
            seen = await asyncio.to_thread(self._register.fingerprint)
            if seen == self._seen:
                return
            self._seen = seen
            await asyncio.to_thread(self._senders.refresh)
            devices = await asyncio.to_thread(self._register.devices)
            wanted = {device.id: device.labels() for device in devices}
            changed = [(device, labels) for device, labels in wanted.items() if self._announced.get(device) != labels]
            gone = [(device, None) for device in set(self._announced) - set(wanted)]
            await asyncio.gather(*[self._announce(device, labels) for device, labels in [*changed, *gone]])
            if self._workers is not None and self._version != self._senders.version:
                self._version = self._senders.version
                await self._workers.refresh()
            await self._tell_facts()

    async def _tell_facts(self) -> None:
        """Put into the log what the register knows around devices, where that has changed."""
        devices, sites = await asyncio.to_thread(self._register.facts)

        def done(error: LogError | None) -> None:
            if error is not None:
                self._facts = self._seen = None  # all of it is told again

        for change in differences(self._facts, devices, sites):
            self._write(RecordKind.FACTS, msgspec.json.encode(change), done=done)
        self._facts = Facts({**devices}, sites)

    def _announce(self, device: int, labels: dict[str, str] | None) -> asyncio.Future[None]:
        written = asyncio.get_running_loop().create_future()
        if labels is None:
            self._announced.pop(device)
        else:
            self._announced[device] = labels

        def done(error: LogError | None) -> None:
            if error is not None:  # told again at the next reading of the register
                self._seen = None
                self._announced[device] = {}
            if not written.done():
                written.set_result(None)

        self._write(RecordKind.DEVICE, msgspec.json.encode(labels), device, done)
        return written

    async def _housekeeping(self) -> None:
        """Keep true to the register."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            with suppress(SQLAlchemyError):  # the next beat tries again; what is known goes on
                await self.reload()

    async def _ticks(self) -> None:
        """See to it that the rules are evaluated when nothing arrives, too."""
        while True:
            await asyncio.sleep(TICK_AT_LEAST / 2)
            if self._clock() - self._last_tick >= TICK_AT_LEAST * 0.9:
                self._tick()

    async def _watch(self, workers: Workers) -> None:
        """Have a tick soon when an ingest process has written something."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if workers.waits:
                self.data_waits()

    async def last(self) -> None:
        """Write a last tick, which names all that is in the partitions."""
        done = asyncio.get_running_loop().create_future()
        if self._workers is not None:
            workers = self._workers

            def ticked(error: LogError | None) -> None:
                workers.ticked(error)
                done.set_result(None)

            self._write(RecordKind.TICK, workers.ranges(), done=ticked)
            await done

    def data_waits(self) -> None:
        """See to it that there is a tick soon."""
        if self._timer is None:
            delay = max(0.0, self._last_tick + pause(self._cost()) - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._last_tick = self._clock()
        self.ticks += 1
        if self._workers is None:
            self._write(RecordKind.TICK)
        else:
            self._write(RecordKind.TICK, self._workers.ranges(), done=self._workers.ticked)

    def _write(self, kind: RecordKind, body: bytes = b"", device: int = 0, done: Done = lambda _: None) -> None:
        self._put([encode(kind, device, self._clock(), 0.0, body)], done)
