"""SNMP in the running collector: the register says what is polled, the log takes what it brings."""

from __future__ import annotations

import asyncio
import logging
import math
import re
import socket
import time
from collections.abc import Callable, Coroutine
from ipaddress import ip_address
from pathlib import Path
from random import SystemRandom
from typing import Any, Final

import numpy as np
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from collector.config import Snmp
from collector.observed import POLL, SERIES, Observer, schema
from collector.register import Polled, Register
from collector.snmp.channel import Address, Channel
from collector.snmp.device import SnmpDevice
from collector.snmp.errors import SnmpError
from collector.snmp.known import Known
from collector.snmp.poller import Poller
from collector.snmp.profile import FOLDER, Profiles, names
from collector.snmp.readings import Floats, Readings
from collector.snmp.vault import Vault
from collector.snmp.walk import Result

REFRESH_SECONDS: Final = 5.0
SAVE_SECONDS: Final = 60.0
# What the pages, the dashboards and the map use beside what the rules name.
ALWAYS: Final = frozenset(
    (
        *("ifHCInOctets", "ifHCOutOctets", "ifInOctets", "ifOutOctets", "ifHighSpeed", "ifSpeed", "ifOperStatus"),
        *("ifAdminStatus", "ifInErrors", "ifOutErrors", "ifInDiscards", "ifOutDiscards", "dot3StatsDuplexStatus"),
        *("sysUpTime", "upsOutputSource", "upsOutputPercentLoad", "upsEstimatedChargeRemaining", "hrPrinterStatus"),
    )
)
_POLL: Final = schema(
    *("up", "snmp_scrape_duration_seconds", "snmp_scrape_pdus_returned", "snmp_scrape_packets_retried"),
    *("watchdesk_snmp_refused", "watchdesk_snmp_restarts_total"),
)
_WORD: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LOG = logging.getLogger(__name__)


class SnmpService:
    """Polls what the register names, from `start` to `stop`."""

    def __init__(
        self,
        settings: Snmp,
        data: Path,
        engine: Engine,
        register: Register,
        observer: Observer,
        *,
        clock: Callable[[], float],
        rules: Callable[[], dict[str, str]],
    ) -> None:
        """`rules()` are the texts of the rule files that hold: what they name is asked for.

        Raises:
            SnmpError: a profile or the credentials' key cannot be used.
        """
        self.vault = Vault(engine, data)
        self.known = Known(engine, data)
        self.profiles = Profiles.load(FOLDER, data / settings.profiles)
        random = SystemRandom()
        timeouts = tuple(settings.timeout * (number + 1) for number in range(settings.retries + 1))
        self.channel = Channel(time.monotonic, random, timeouts=timeouts, source=settings.source)
        self.poller = Poller(
            self.channel,
            self.profiles,
            self,
            interval=settings.interval,
            at_once=settings.at_once,
            clock=clock,
            random=random,
        )
        self._settings = settings
        self._register = register
        self._observer = observer
        self._clock = clock
        self._rules = rules
        self._read_rules: dict[str, str] = {}
        self._polled: dict[int, Polled] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._later: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to poll."""
        self.channel.open()
        await self._refresh()
        self.poller.start()
        self._tasks = [asyncio.create_task(self._refreshing()), asyncio.create_task(self._saving())]

    async def stop(self) -> None:
        """Cease to poll, and keep what the counters were."""
        self.poller.stop()
        for task in (*self._tasks, *self._later):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._later, return_exceptions=True)
        self.channel.close()
        await asyncio.to_thread(self.known.save, list(self.poller.devices.values()))

    # The register

    async def _refreshing(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            await self._refresh()

    async def _saving(self) -> None:
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            await asyncio.to_thread(self.known.save, list(self.poller.devices.values()))

    async def _refresh(self) -> None:
        """Bring devices, credentials and wishes up to date; while the database is away, what is known goes on."""
        try:
            polled = await asyncio.to_thread(self._register.polled)
            credentials = await asyncio.to_thread(self.vault.all)
        except SQLAlchemyError as error:
            _LOG.warning("the register was not read: %s", error)
            return
        except SnmpError as error:
            _LOG.error("no credentials: %s", error)
            return
        self._want()
        self.poller.credentials(credentials)
        wanted = {one.device.id: one for one in polled if one.polling.snmp}
        for number in set(self._polled) - set(wanted):
            self._drop(number)
        for number, one in wanted.items():
            if self._polled.get(number) != one:
                self._drop(number)
                await self._add(one)

    def _drop(self, number: int) -> None:
        self._polled.pop(number, None)
        self.poller.remove(number)

    async def _add(self, polled: Polled) -> None:
        address = await resolve(polled.address, polled.polling.port)
        if address is None:
            return  # tried again at the next beat
        device = SnmpDevice(polled, address)
        try:
            await asyncio.to_thread(self.known.recall, device)
        except SQLAlchemyError:
            return
        self._polled[polled.device.id] = polled
        self.poller.add(device)

    def _want(self) -> None:
        """Ask for the metrics that a rule names, that the pages use, and that are configured."""
        rules = self._rules()
        if rules is self._read_rules:
            return
        self._read_rules = rules
        words = {word for text in rules.values() for word in _WORD.findall(text)}
        offered = {metric for name in self.profiles.by_name for metric in names(self.profiles.get(name))}
        self.poller.wanted(frozenset(offered & (words | ALWAYS | set(self._settings.metrics))))

    # What the polls bring (`poller.Sink`)

    def poll(self, device: SnmpDevice, readings: Readings | None, values: Floats | None, result: Result) -> None:
        """Put a poll into the log."""
        at, heard = self._clock(), readings is not None
        seconds = result.seconds if heard else math.nan
        requests = float(result.requests) if heard else math.nan
        more = float(device.refused), float(device.memory.totals.restarts)
        numbers = np.array([float(heard), seconds, requests, result.retries, *more])
        self._observer.rows(device.id, POLL, [(*_POLL, numbers)], at=at, heard=heard)
        if readings is not None and values is not None:
            parts = [(part.schema, part.payload, values[part.start : part.stop]) for part in readings.parts]
            self._observer.rows(device.id, SERIES, parts, at=at, heard=True)

    def problem(self, device: SnmpDevice, problem: str) -> None:
        """Make an event of it, and keep it for the pages."""
        level, text = ("warning", problem) if problem else ("info", "SNMP polls are answered again")
        self._observer.event(device.id, "check", "snmp", level, text, {"address": device.address[0]})
        self._do(self._keep(device))

    def found(self, device: SnmpDevice) -> None:
        """Keep how a device speaks."""
        self._do(self._keep(device))

    async def _keep(self, device: SnmpDevice) -> None:
        try:
            await asyncio.to_thread(self.known.keep, device, self._clock())
        except SQLAlchemyError as error:
            _LOG.warning("what is known of %s was not stored: %s", device.instance, error)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)


async def resolve(host: str, port: int) -> Address | None:
    """Return the address of a device that is given by number or name; None if the name is not known now."""
    try:
        return str(ip_address(host)), port
    except ValueError:
        pass
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except OSError as error:
        _LOG.warning("%s has no address: %s", host, error)
        return None
    return str(found[0][4][0]), port
