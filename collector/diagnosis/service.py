"""Diagnoses in the running collector: the timeline and people ask, agents and network gear answer."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from collector.config import Diagnosis
from collector.diagnosis.gear import GearExaminer
from collector.register import Device
from ticketing.diagnosis.asked import Subject
from ticketing.diagnosis.book import Budget
from ticketing.diagnosis.hooks import Hooks
from ticketing.diagnosis.wishes import ANNOTATION
from ticketing.errors import Unavailable
from ticketing.priority import severity

if TYPE_CHECKING:
    from collector.collector import Collector

POLL_SECONDS: Final = 2.0  # how often the database is asked for requests that nobody told of
FOLLOW_SECONDS: Final = 1.0  # the same for incidents
ADVISE_SECONDS: Final = 5.0
FORGET_SECONDS: Final = 3_600.0
_FIRST: Final = {"server": 1, "network": 1}  # after the devices with an alert
_LOG = logging.getLogger(__name__)


class DiagnosisService:
    """Works from `start` to `stop`."""

    def __init__(self, collector: Collector, settings: Diagnosis) -> None:
        self._collector = collector
        self._settings = settings
        self._book = collector.store.diagnoses
        self._book.budget = Budget(settings.device, settings.customer, settings.person)
        self._book.asked = self._asked
        self._desk = collector.desk
        self._hooks = Hooks(collector.engine, self._book, self)
        self._gear = GearExaminer(self._book, collector.snmp, collector.clock)
        self._changed = collector.incidents_changed
        self._devices: dict[tuple[str, str, str], Device] = {}
        self._written: tuple[object, dict[tuple[str, str], str]] = (None, {})
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="diagnoses")
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin."""
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._read_register)
        self._thread.start()
        beats: tuple[tuple[float, Callable[[], None]], ...] = (
            (POLL_SECONDS, self._look),
            (ADVISE_SECONDS, self._advise),
            (FORGET_SECONDS, self._forget),
        )
        self._tasks = [asyncio.create_task(self._every(seconds, work)) for seconds, work in beats]
        self._gear.start()

    async def stop(self) -> None:
        """End; what was asked is asked at the next start."""
        self._book.asked = lambda _: None
        self._stopping.set()
        self._changed.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._gear.stop()
        await asyncio.to_thread(self._thread.join)

    # For the hooks: called in their thread

    def subject(self, customer: str, site: str, device: str) -> Subject | None:
        """Return a device of the register, which is read anew for one that is not known."""
        found = self._devices.get((customer, site, device))
        if found is None:
            self._read_register()
            found = self._devices.get((customer, site, device))
        return None if found is None else self.subject_of(found)

    def subject_of(self, device: Device) -> Subject:
        """Return how a device can be asked."""
        polled = device.id in self._collector.snmp.poller.devices
        return Subject(device.id, device.instance, device.customer, device.os, device.origin == "agent", polled)

    def written(self, alertname: str, level: str) -> str:
        """Return the annotation of the rule of this name, of several that of the severity."""
        rules = self._collector.pipeline.state.rules
        if self._written[0] is not rules:
            self._written = rules, self._annotations()
        found = self._written[1]
        return found.get((alertname, level), found.get((alertname, ""), ""))

    def _annotations(self) -> dict[tuple[str, str], str]:
        with self._collector.pipeline.lock:
            rules = [work.rule for work, _ in self._collector.pipeline.state.engine.alerting()]
        found: dict[tuple[str, str], str] = {}
        for rule in rules:
            if text := rule.annotations.get(ANNOTATION, ""):
                found.setdefault((rule.name, ""), text)
                found.setdefault((rule.name, severity(rule.labels.get("severity", "")).value), text)
        return found

    def _read_register(self) -> None:
        self._devices = {(one.customer, one.site, one.name): one for one in self._collector.register.devices()}

    # Threads and beats

    def _follow(self) -> None:
        """Follow the timeline."""
        while not self._stopping.is_set():
            self._changed.wait(FOLLOW_SECONDS)
            self._changed.clear()
            # Now, for the pipeline may hold its lock while it waits for the database, which the hooks hold below.
            self.written("", "")
            try:
                while not self._stopping.is_set() and self._hooks.follow(self._collector.clock()):
                    pass
            except Unavailable as error:
                _LOG.warning("diagnoses wait for the database: %s", error)

    def _asked(self, device: int) -> None:
        """Hear that a device was asked; in any thread."""
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._wake, device)

    def _wake(self, device: int) -> None:
        self._gear.wake()
        self._desk.wake([device])

    async def _every(self, seconds: float, work: Callable[[], None]) -> None:
        while True:
            try:
                await asyncio.to_thread(work)
            except Unavailable as error:
                _LOG.warning("diagnoses wait for the database: %s", error)
            await asyncio.sleep(seconds)

    def _look(self) -> None:
        """Give up what took too long, and look for requests."""
        now = self._collector.clock()
        self._book.sweep(now)
        waiting = self._book.devices_waiting(now)
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._desk.turn_away)
            self._loop.call_soon_threadsafe(self._desk.waiting, waiting)
            self._loop.call_soon_threadsafe(self._gear.wake)

    def _advise(self) -> None:
        """Say which devices should hold a call: those with an alert first, then servers, then all as far as it goes."""
        self._read_register()
        with self._collector.pipeline.lock:
            troubled = {alert.labels.get("instance", "") for alert in self._collector.pipeline.state.engine.active()}
        agents = [device for device in self._devices.values() if device.origin == "agent"]
        agents.sort(key=lambda one: (one.instance not in troubled, 2 - _FIRST.get(one.kind, 0), one.id))
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._desk.advise, [device.id for device in agents[: self._settings.held]])

    def _forget(self) -> None:
        self._book.forget(self._collector.clock() - self._settings.keep_days * 86_400)
