"""Probes every device that has an address, each at its own beat, and writes what comes back into the log."""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from random import SystemRandom
from typing import Any, Final

import numpy as np
from sqlalchemy.exc import SQLAlchemyError

from agent import wire
from collector.config import Reach
from collector.observed import REACH, Observer, schema
from collector.reach.icmp import Pinger
from collector.reach.tcp import Knock, knock
from collector.register import Polled, Register
from collector.snmp.service import resolve

BEAT: Final = 0.05
REFRESH_SECONDS: Final = 5.0
WINDOW_SECONDS: Final = 60.0  # over which loss is counted
AT_ONCE: Final = 200  # TCP connections
_GOLDEN: Final = 0.6180339887498949
_LOG = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Host:
    """A device that is probed, and how its last probes went."""

    polled: Polled
    address: str
    ports: tuple[int, ...]
    failures: int = 0
    rtt: float | None = None
    due: float = 0.0
    busy: bool = False
    history: deque[tuple[float, bool]] = field(default_factory=deque)

    def note(self, now: float, rtt: float | None) -> None:
        """Take the end of a probe."""
        self.rtt = rtt
        self.failures = self.failures + 1 if rtt is None else 0
        self.history.append((now, rtt is None))
        while self.history[0][0] < now - WINDOW_SECONDS:
            self.history.popleft()

    @property
    def loss(self) -> float:
        """The share of the probes of the last minute that were lost."""
        return sum(lost for _, lost in self.history) / len(self.history)


class ReachService:
    """Works from `start` to `stop`. `back(device)` is called when one answers again after it did not."""

    def __init__(
        self,
        settings: Reach,
        register: Register,
        observer: Observer,
        *,
        clock: Callable[[], float],
        back: Callable[[int], object] = lambda _: None,
    ) -> None:
        self.hosts: dict[int, Host] = {}
        self.pinger = Pinger(SystemRandom(), settings.timeout)
        self._settings = settings
        self._register = register
        self._observer = observer
        self._clock = clock
        self._back = back
        self._due: list[tuple[float, int]] = []
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to probe."""
        if self._settings.icmp:
            self.pinger.open()
        await self._refresh()
        self._do(self._refreshing())
        self._tick()

    async def stop(self) -> None:
        """Cease."""
        if self._timer:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.pinger.close()

    async def _refreshing(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            await self._refresh()

    async def _refresh(self) -> None:
        try:
            polled = await asyncio.to_thread(self._register.polled)
        except SQLAlchemyError as error:
            _LOG.warning("the register was not read: %s", error)
            return
        wanted = {one.device.id: one for one in polled if one.polling.icmp or one.polling.tcp}
        for number in set(self.hosts) - set(wanted):
            del self.hosts[number]
        for number, one in wanted.items():
            known = self.hosts.get(number)
            if known is None or known.polled != one:
                address = await resolve(one.address, 0)
                if address is not None:
                    self._add(Host(one, address[0], tuple(dict.fromkeys((*one.polling.tcp, *self._settings.tcp)))))

    def _add(self, host: Host) -> None:
        number = host.polled.device.id
        self.hosts[number] = host
        interval, now = self._settings.interval, asyncio.get_running_loop().time()
        host.due = now + (number * _GOLDEN % 1.0) * interval
        heapq.heappush(self._due, (host.due, number))

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._due and self._due[0][0] <= now:
            due, number = heapq.heappop(self._due)
            host = self.hosts.get(number)
            if host is None or host.due != due:
                continue
            interval = self._settings.interval
            host.due = due + interval * max(1, -(-(now - due) // interval))
            heapq.heappush(self._due, (host.due, number))
            if not host.busy:
                self._probe(host)
        self._timer = loop.call_later(BEAT, self._tick)

    def _probe(self, host: Host) -> None:
        host.busy = True
        pings = self._settings.icmp and host.polled.polling.icmp and not self.pinger.problem
        if not pings:
            self._do(self._knock(host, None, pinged=False))
        elif not host.ports:
            self.pinger.ping(host.address, lambda rtt: self._done(host, rtt, {}))
        else:
            self.pinger.ping(host.address, lambda rtt: self._do(self._knock(host, rtt, pinged=True)))

    async def _knock(self, host: Host, rtt: float | None, *, pinged: bool) -> None:
        """Try the ports, after the ping: a host that lets none through, but refuses a connection, is alive."""
        knocks: dict[int, Knock] = {}
        for port in host.ports:
            async with self._at_once:
                knocks[port] = await knock(host.address, port, self._settings.timeout)
        if rtt is None:
            rtt = min((one.seconds for one in knocks.values() if one.alive), default=None)
        if not pinged and not host.ports:
            host.busy = False
            return
        self._done(host, rtt, knocks)

    def _done(self, host: Host, rtt: float | None, knocks: dict[int, Knock]) -> None:
        host.busy = False
        number = host.polled.device.id
        if self.hosts.get(number) is not host:
            return
        away = host.failures
        now = self._clock()
        host.note(now, rtt)
        series = ["watchdesk_icmp_failures", "watchdesk_icmp_loss_ratio", "watchdesk_icmp_rtt_seconds"]
        values = [float(host.failures), host.loss, math.nan if rtt is None else rtt]
        for port, one in knocks.items():
            labels = {"port": str(port)}
            series += [wire.format_series(name, labels) for name in ("watchdesk_tcp_open", "watchdesk_tcp_seconds")]
            values += [float(one.open), one.seconds if one.alive else math.nan]
        self._observer.rows(number, REACH, [(*schema(*series), np.array(values))], at=now, heard=rtt is not None)
        if away and rtt is not None:
            self._back(number)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
