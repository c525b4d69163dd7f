"""`watchdesk drill`: a second real agent on this machine whose readings are those of a failing one.

All behind its probes is the real path: enrolment, spool, TLS, log, rules, incidents, pages.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from collector.config import Config
from collector.enrolment import agents_url, new_token
from collector.errors import CollectorError
from collector.localagent import LocalAgent
from collector.register import Register
from ticketing.incident import Incident, State
from ticketing.scope import EVERYTHING
from ticketing.store import Filter, Order, Store

CUSTOMER, SITE, ROLE = "home", "drill", "drill"
FAULT, HEALTHY = "fault", "healthy"
INTERVAL = 1
SETTLE_SECONDS = 2.0  # of good readings before the fault, so that there is something to compare with
DEADLINE_SECONDS = 60.0
POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fault that can be played."""

    title: str
    alertname: str
    hold: float  # seconds that the fault lasts after its ticket is there


SCENARIOS = {
    "disk-full": Scenario("a disk fills up, and somebody makes room", "DiskFull", 5),
    "host-down": Scenario("a server falls silent without a goodbye, and comes back", "HostDown", 5),
    "cpu": Scenario("all processors are busy, and calm down", "CpuHigh", 5),
    "service-dead": Scenario("a service fails, and is started again", "UnitFailed", 5),
    "flapping": Scenario("a disk goes over its limit and back, again and again", "DiskFull", 30),
}


class DrillError(CollectorError):
    """The drill did not go as it should: no ticket, or one that does not resolve."""


class Drill:
    """One run of a scenario. `say` gets a line for each thing that happens."""

    def __init__(
        self,
        name: str,
        data: Path,
        config: Config,
        *,
        register: Register,
        store: Store,
        say: Callable[[str], None],
        hold: float | None = None,
    ) -> None:
        self.name = name
        self.device = f"drill-{name}"
        self._scenario = SCENARIOS[name]
        self._hold = self._scenario.hold if hold is None else hold
        self._data = data
        self._config = config
        self._register = register
        self._store = store
        self._say = say
        self._agent = LocalAgent(data / "drills" / name)
        self._began = time.time()

    async def run(self) -> Incident:
        """Play the scenario, and return the incident that it raised and that resolved.

        Raises:
            DrillError: there was no ticket in time, or it did not resolve.
        """
        try:
            await self._prepare()
            await asyncio.sleep(SETTLE_SECONDS)
            self._tell(f"The fault begins: {self._scenario.title}.")
            await self._fault()
            opened = await self._wait(lambda _: True, "no ticket was opened")
            self._tell(f"{opened.number} [P{opened.priority}] {opened.summary()}")
            await asyncio.sleep(self._hold)
            self._tell("The fault ends.")
            await self._end_of_fault()
            resolved = await self._wait(lambda incident: incident.state == State.RESOLVED, "the ticket did not resolve")
            self._tell(f"{resolved.number} resolved by itself.")
            self._story(resolved)
            return resolved
        finally:
            await self._clean_up()

    async def _prepare(self) -> None:
        self._retire()
        state = self._agent.state
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._steer(HEALTHY)
        (state / "agent.conf").write_text(
            f"interval = {INTERVAL}\ndrill = {self.name}\ndrill_state = {state / 'drill'}\n"
        )
        token = new_token(
            self._data,
            self._register,
            agents_url(self._data, self._config),
            (CUSTOMER, SITE),
            now=time.time(),
            kind="server",
            role=ROLE,
            life=60,
        )
        await self._agent.enrol(token, name=self.device, force=True)
        await self._agent.start()
        self._tell(f"A drill device has enrolled: {self.device}.{SITE}.{CUSTOMER}.")

    async def _fault(self) -> None:
        if self.name == "host-down":
            await self._agent.kill()
        else:
            self._steer(FAULT)

    async def _end_of_fault(self) -> None:
        if self.name == "host-down":
            await self._agent.start()
        else:
            self._steer(HEALTHY)

    def _steer(self, word: str) -> None:
        steering = self._agent.state / "drill"
        temporary = steering.with_suffix(".new")
        temporary.write_text(word)
        temporary.replace(steering)

    async def _wait(self, wanted: Callable[[Incident], bool], otherwise: str) -> Incident:
        """Return this drill's incident as soon as it is as wanted."""
        deadline = time.time() + DEADLINE_SECONDS
        while time.time() < deadline:
            found = await asyncio.to_thread(self._incident)
            if found is not None and wanted(found):
                return found
            await asyncio.sleep(POLL_SECONDS)
        raise DrillError(
            f"The drill failed: {otherwise} within {DEADLINE_SECONDS:.0f} s. Is the collector running? "
            f"The agent's log: {self._agent.state / 'agent.log'}."
        )

    def _incident(self) -> Incident | None:
        wanted = Filter(states=frozenset(State), device=self.device)
        page = self._store.incidents(EVERYTHING, wanted, order=Order.NEWEST, limit=20)
        mine = [found for found in page.incidents if found.alertname == self._scenario.alertname]
        return next((found for found in mine if found.updated_at >= self._began), None)

    def _story(self, incident: Incident) -> None:
        for entry in self._store.timeline(EVERYTHING, incident.id) or []:
            if not entry.quiet:
                self._say(f"    {time.strftime('%H:%M:%S', time.localtime(entry.at))}  {entry.action} ({entry.reason})")

    def _tell(self, text: str) -> None:
        self._say(f"{time.time() - self._began:6.1f} s  {text}")

    async def _clean_up(self) -> None:
        await self._agent.stop()
        self._retire()

    def _retire(self) -> None:
        device = self._register.device_by_instance(f"{self.device}.{SITE}.{CUSTOMER}")
        if device is not None:
            self._register.retire(device.id, time.time())
