"""Diagnoses of network gear: the collector itself asks, by SNMP, what an agent would be asked."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from typing import Final

import msgspec

from collector.diagnosis.examine import EXAMINATIONS, Gear, NotFound
from collector.snmp.device import SnmpDevice
from collector.snmp.errors import SnmpError
from collector.snmp.plan import Plan
from collector.snmp.service import SnmpService
from collector.snmp.walk import Result as Walked
from collector.snmp.walk import walk
from ticketing.diagnosis.asked import Diagnosis, Result, State
from ticketing.diagnosis.book import Diagnoses, Over
from ticketing.errors import Unavailable

SECONDS: Final = 60.0  # of one examination, at most
AT_ONCE: Final = 8
_LOG = logging.getLogger(__name__)


class GearExaminer:
    """Answers the requests whose names begin with `snmp.`, from `start` to `stop`."""

    def __init__(self, book: Diagnoses, snmp: SnmpService, clock: Callable[[], float]) -> None:
        self._book = book
        self._snmp = snmp
        self._clock = clock
        self._wake = asyncio.Event()
        self._limit = asyncio.Semaphore(AT_ONCE)
        self._gear = Gear(self._walk, self._others)
        self._task: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def wake(self) -> None:
        """Look for requests."""
        self._wake.set()

    async def stop(self) -> None:
        """End; what was not done is given up."""
        tasks = [*self._running, *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                now = self._clock()
                for device in await asyncio.to_thread(self._book.devices_waiting, now, gear=True):
                    for one in await asyncio.to_thread(self._book.take, device, now, gear=True):
                        task = asyncio.get_running_loop().create_task(self._answer(one))
                        self._running.add(task)
                        task.add_done_callback(self._running.discard)
            except Unavailable as error:
                _LOG.warning("diagnoses of network gear wait for the database: %s", error)

    async def _answer(self, one: Diagnosis) -> None:
        try:
            async with self._limit:
                await asyncio.to_thread(self._book.answer, one.device, one.uid, Result(State.RUNNING), self._clock())
                result = await self._examine(one)
            await asyncio.to_thread(self._book.answer, one.device, one.uid, result, self._clock())
        except (Unavailable, Over) as error:
            _LOG.warning("%s of %s was not stored: %s", one.name, one.instance, error)

    async def _examine(self, one: Diagnosis) -> Result:
        device = self._snmp.poller.devices.get(one.device)
        if device is None or device.speaker is None:
            return Result(State.FAILED, "it is not known how to speak with it by SNMP")
        started = self._clock()
        try:
            async with asyncio.timeout(SECONDS):
                found = await EXAMINATIONS[one.name](self._gear, device, **one.arguments)
        except NotFound as error:
            return Result(State.DONE, finding=str(error), started=started, seconds=self._clock() - started)
        except (SnmpError, TimeoutError) as error:
            return Result(State.FAILED, str(error) or "it took too long", started=started)
        data = msgspec.json.encode(found.data, order="sorted")
        return Result(
            State.DONE,
            finding=found.finding,
            data=data.decode(),
            sha256=hashlib.sha256(data).hexdigest(),
            started=started,
            seconds=self._clock() - started,
        )

    async def _walk(self, device: SnmpDevice, plan: Plan) -> Walked:
        if device.speaker is None:
            raise SnmpError(f"{device.instance} has no credential that fits.")
        return await walk(self._snmp.channel, device.address, device.speaker, plan, manners=device.manners)

    def _others(self, device: SnmpDevice) -> list[SnmpDevice]:
        customer = device.polled.device.customer
        return [one for one in self._snmp.poller.devices.values() if one.polled.device.customer == customer]
