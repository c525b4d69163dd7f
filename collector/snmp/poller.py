"""Polls all devices from one socket: each at its own beat, spread evenly over the interval, none waiting for another.

A device whose poll is still on its way when the next is due is left alone and counted; one that is silent, slow or
lies costs its own budget and no more, and is named.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable, Collection, Sequence
from random import Random
from typing import Final, Protocol

from collector.snmp import finding
from collector.snmp.channel import Channel
from collector.snmp.compiled import Compiled, compiled
from collector.snmp.credential import Credential, fitting
from collector.snmp.device import SnmpDevice
from collector.snmp.errors import Lying, ProfileError, Refused, Silent, SnmpError
from collector.snmp.finding import AGAIN_SILENT, NotFound
from collector.snmp.pdu import Value
from collector.snmp.plan import Plan
from collector.snmp.profile import Profiles
from collector.snmp.readings import Floats, Readings, uptime
from collector.snmp.shapes import Shapes
from collector.snmp.walk import Budget, Result, Walk

BEAT: Final = 0.05
FRESH_SECONDS: Final = 3_600.0  # after which a device is asked again what it is, and for tables that it had not
_GOLDEN: Final = 0.6180339887498949  # its multiples are spread evenly, however many there are
_LOG = logging.getLogger(__name__)


class Sink(Protocol):
    """Takes what polls bring."""

    def poll(self, device: SnmpDevice, readings: Readings | None, values: Floats | None, result: Result) -> None:
        """Take a poll: `readings` and `values` are None where it brought nothing."""

    def problem(self, device: SnmpDevice, problem: str) -> None:
        """Take that something is wrong with a device, or no longer (empty)."""

    def found(self, device: SnmpDevice) -> None:
        """Take how a device speaks, and what it is."""


class Poller:
    """Works on the running event loop, from `start` to `stop`."""

    def __init__(
        self,
        channel: Channel,
        profiles: Profiles,
        sink: Sink,
        *,
        interval: float,
        at_once: int,
        clock: Callable[[], float],
        random: Random,
        budget: Budget | None = None,
    ) -> None:
        """`clock` gives Unix seconds."""
        self.devices: dict[int, SnmpDevice] = {}
        self.profiles = profiles
        self.running = 0
        self.polls = 0
        self.late = 0  # polls that were due and had to wait, as too many were on their way
        self._by_host: dict[str, list[SnmpDevice]] = {}
        self._credentials: Sequence[Credential] = ()
        self._wanted: Collection[str] | None = None
        self._channel = channel
        self._sink = sink
        self._interval = interval
        self._at_once = at_once
        self._clock = clock
        self._random = random
        self._budget = budget or Budget(seconds=min(10.0, interval))
        self._shapes = Shapes()
        self._compiled: dict[str, Compiled] = {}
        self._due: list[tuple[float, int]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # What is polled

    def add(self, device: SnmpDevice) -> None:
        """Begin to poll a device, somewhere within the next interval."""
        self.devices[device.id] = device
        self._by_host.setdefault(device.address[0], []).append(device)
        share = device.id * _GOLDEN % 1.0
        interval = self.interval(device)
        now = asyncio.get_running_loop().time()
        device.due = now - now % interval + share * interval
        if device.due < now:
            device.due += interval
        heapq.heappush(self._due, (device.due, device.id))

    def remove(self, number: int) -> None:
        """Cease to poll a device."""
        device = self.devices.pop(number, None)
        if device:
            self._by_host[device.address[0]].remove(device)
        if device and device.walk:
            device.walk.cancel()
            self.running -= 1

    def hurry(self, number: int) -> bool:
        """Poll a device now: a trap says that something has changed. False if it is polled already, or not known."""
        device = self.devices.get(number)
        if device is None or self.running >= self._at_once:
            return False
        if device.busy:
            device.again = True
            return False
        if device.speaker is None:  # what was met by silence may be answered now
            device.tried = {one: when for one, when in device.tried.items() if when > self._clock() + AGAIN_SILENT}
        self._begin(device)
        return True

    def at(self, host: str) -> list[SnmpDevice]:
        """Return the devices that are polled at an IP address."""
        return self._by_host.get(host, [])

    def fitting(self, device: SnmpDevice) -> list[Credential]:
        """Return the credentials that a device may speak with."""
        own = device.polled.device
        return fitting(list(self._credentials), own.customer, own.site)

    def interval(self, device: SnmpDevice) -> float:
        """Return the seconds between the polls of a device."""
        return device.polled.polling.interval or self._interval

    def credentials(self, credentials: Sequence[Credential]) -> None:
        """Try these from now on; devices whose own is gone look for another."""
        if list(credentials) == list(self._credentials):
            return
        known = {one.id: one for one in credentials}
        before = {one.id: one for one in self._credentials}
        self._credentials = credentials
        for device in self.devices.values():
            number = device.credential
            if number is not None and known.get(number) != before.get(number, known.get(number)):
                device.speaker, device.credential = None, None
            device.tried = {one: when for one, when in device.tried.items() if known.get(one) == before.get(one)}

    def wanted(self, metrics: Collection[str] | None) -> None:
        """Ask only for these metrics from now on; None for all that the profiles have."""
        if metrics != self._wanted:
            self._wanted = metrics
            self._compiled.clear()
            for device in self.devices.values():
                device.compiled = None

    # The beat

    def start(self) -> None:
        """Begin."""
        self._tick()

    def stop(self) -> None:
        """Cease; polls on their way bring nothing any more."""
        if self._timer:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        for device in self.devices.values():
            if device.walk:
                device.walk.cancel()

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._due and self._due[0][0] <= now:
            if self.running >= self._at_once:
                self.late += 1
                break
            due, number = heapq.heappop(self._due)
            device = self.devices.get(number)
            if device is None or device.due != due:
                continue
            interval = self.interval(device)
            device.due = due + interval * max(1, -(-(now - due) // interval))
            heapq.heappush(self._due, (device.due, number))
            if device.busy:
                device.overruns += 1
                if device.walk:
                    self._problem(device, f"a poll takes longer than its interval of {interval:g} s")
            else:
                self._begin(device)
        self._timer = loop.call_later(BEAT, self._tick)

    def _begin(self, device: SnmpDevice) -> None:
        device.busy = True
        self.running += 1
        if device.speaker is None or device.compiled is None or self._clock() >= device.fresh_at:
            task = asyncio.get_running_loop().create_task(self._acquaint(device))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._poll(device, device.compiled)

    # Getting to know a device

    async def _acquaint(self, device: SnmpDevice) -> None:
        """Find out how a device speaks and what it is, then poll it."""
        now = self._clock()
        try:
            if device.speaker is None:
                await self._find(device, now)
            elif now >= device.fresh_at:
                system = await finding.identify(self._channel, device.address, device.speaker)
                device.object_id, device.descr, device.name = system
            device.missing = set()
            device.fresh_at = now + FRESH_SECONDS
            ready = device.compiled = self._ready(device)
        except SnmpError as error:
            self._failed(device, Result(error=error))
            return
        self._sink.found(device)
        if device.id in self.devices:
            self._poll(device, ready)
        else:
            self._end(device)

    async def _find(self, device: SnmpDevice, now: float) -> None:
        own = device.polled.device
        fit = fitting(list(self._credentials), own.customer, own.site, device.polled.polling.credential)
        if device.credential is not None:  # the one of the last time first
            fit.sort(key=lambda one: one.id != device.credential)
        found = await finding.find(self._channel, device.address, fit, device.tried, now=now, random=self._random)
        device.speaker, device.credential = found.speaker, found.credential.id
        device.object_id, device.descr, device.name = found.system

    def _ready(self, device: SnmpDevice) -> Compiled:
        wanted = device.polled.polling.profile
        profile = self.profiles.get(wanted) if wanted else self.profiles.match(device.object_id, device.descr)
        ready = self._compiled.get(profile.name)
        if ready is None:
            ready = self._compiled[profile.name] = compiled(profile, self._wanted)
        return ready

    # A poll

    def _poll(self, device: SnmpDevice, ready: Compiled) -> None:
        if device.speaker is None:
            self._end(device)
            return
        plan = ready.plan
        if device.missing:
            spans = tuple(span for span in plan.spans if span.start not in device.missing)
            plan = Plan(plan.scalars, spans, plan.columns)
        device.walk = Walk(
            self._channel,
            device.address,
            device.speaker,
            plan,
            manners=device.manners,
            budget=self._budget,
            done=lambda result: self._done(device, ready, result),
        )
        device.walk.start()

    def _done(self, device: SnmpDevice, ready: Compiled, result: Result) -> None:
        if device.id not in self.devices:
            return
        if result.error is not None:
            self._failed(device, result)
            return
        self._end(device)
        now = self._clock()
        device.missing |= result.missing
        names = [*result.scalars, *result.oids]
        values: list[Value] = [*result.scalars.values(), *result.values]
        memory = device.memory
        readings = self._shapes.readings(memory, ready, names, values)
        numbers = readings.values(values)
        if len(readings.counters):
            breaks = readings.breaks(values) if readings.breaks else ()
            restarts = memory.totals.restarts
            memory.totals.take(readings, numbers, now, uptime(result.scalars), breaks)
            if memory.totals.restarts != restarts:
                device.fresh_at = 0.0  # it may have other tables now
        device.failures = 0
        device.refused = False
        device.answered_at = now
        device.seconds = result.seconds
        self._sink.poll(device, readings, numbers, result)
        self._problem(device, "")

    def _failed(self, device: SnmpDevice, result: Result) -> None:
        self._end(device)
        error = result.error
        device.failures += 1
        # While every credential waits after a refusal, it is refused still.
        again = isinstance(error, NotFound) and (bool(error.refused) or device.refused)
        device.refused = isinstance(error, Refused) or again
        if isinstance(error, Refused | NotFound) and device.speaker is not None:
            # Its keys or its engine have changed: what is known is tried once more, and then not for long.
            device.speaker = None
            device.fresh_at = 0.0
        self._sink.poll(device, None, None, result)
        silent = isinstance(error, Silent) and device.failures < 2
        if not silent:
            self._problem(device, _words(error))

    def _end(self, device: SnmpDevice) -> None:
        device.busy = False
        device.walk = None
        device.polls += 1
        self.running -= 1
        self.polls += 1
        if device.again:  # something was told of it meanwhile
            device.again = False
            asyncio.get_running_loop().call_soon(self.hurry, device.id)

    def _problem(self, device: SnmpDevice, problem: str) -> None:
        if problem != device.problem:
            device.problem = problem
            if problem:
                _LOG.warning("%s: %s", device.instance, problem)
            else:
                _LOG.info("%s is polled again", device.instance)
            self._sink.problem(device, problem)


def _words(error: SnmpError | None) -> str:
    if isinstance(error, Lying):
        return f"the poll was ended: {error}"
    if isinstance(error, ProfileError):
        return f"no profile: {error}"
    return str(error)
