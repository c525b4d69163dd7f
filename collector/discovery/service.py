"""Keeps the map true: reads the tables of network gear now and then, and writes parents into the register."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Final

import numpy as np
from sqlalchemy.exc import SQLAlchemyError

from agent import wire
from collector.discovery import tables
from collector.discovery.candidates import Place
from collector.discovery.finds import Finds, Reporter
from collector.discovery.listed import Own
from collector.discovery.ports import ports as own_ports
from collector.discovery.tables import Tables
from collector.discovery.tree import Link, Node, kinds, parents
from collector.errors import RegisterError
from collector.observed import PORTS, Observer, schema
from collector.register import Register
from collector.snmp.channel import Channel
from collector.snmp.device import SnmpDevice
from collector.snmp.poller import Poller
from collector.snmp.walk import Budget, walk

FIRST_SECONDS: Final = 20.0  # after the start
AT_ONCE: Final = 20  # devices that are read at the same time
PATIENT: Final = Budget(seconds=60.0, rows=65_536, size=16 << 20)  # a core switch knows tens of thousands of addresses
_LOG = logging.getLogger(__name__)


class MapService:
    """Works from `start` to `stop`."""

    def __init__(
        self,
        interval: float,
        poller: Poller,
        channel: Channel,
        register: Register,
        finds: Finds,
        observer: Observer,
        *,
        own: int,
        clock: Callable[[], float],
    ) -> None:
        """The tables are read every `interval` seconds, 0 for never; `own` is the device that stands for Watchdesk."""
        self.known: dict[int, Link] = {}
        self.gear: dict[int, Own] = {}
        self._interval = interval
        self._poller = poller
        self._channel = channel
        self._register = register
        self._finds = finds
        self._own = own
        self._ports: dict[Place, tuple[dict[str, tuple[int, str]], int]] = {}
        self._observer = observer
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, if there is an interval."""
        if self._interval:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Cease."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        await asyncio.sleep(min(FIRST_SECONDS, self._interval))
        while True:
            try:
                await self.refresh()
            except SQLAlchemyError as error:
                _LOG.warning("the map waits for the database: %s", error)
            await asyncio.sleep(self._interval)

    async def refresh(self) -> None:
        """Read all tables, derive the parents, and store what has changed.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database does not answer.
        """
        limit = asyncio.Semaphore(AT_ONCE)

        async def one(device: SnmpDevice) -> tuple[int, Tables | None]:
            async with limit:
                return device.id, await self._read(device)

        gear = [one for one in self._poller.devices.values() if one.speaker and one.polled.device.kind == "network"]
        read = dict(await asyncio.gather(*[one(device) for device in gear]))
        self.gear = {number: Own(found.addresses, found.macs) for number, found in read.items() if found}
        sites: dict[Place, dict[int, Node]] = defaultdict(dict)
        told = await asyncio.to_thread(self._finds.listed.agents)
        for device in await asyncio.to_thread(self._register.devices):
            own = told.get(device.id, Own())
            sites[device.customer, device.site][device.id] = Node(
                *(device.id, device.name, device.address, device.kind, device.role, read.get(device.id)),
                addresses=own.addresses,
                macs=own.macs,
            )
        self._locate(sites)
        for nodes in sites.values():
            links = parents(nodes)
            for number, before in (await asyncio.to_thread(self._store, links)).items():
                self._moved(nodes, number, before, links[number])
            self._tell(nodes, links)
        self._strangers(sites, await asyncio.to_thread(self._register.networks))

    def _strangers(self, sites: dict[Place, dict[int, Node]], networks: dict[Place, list[str]]) -> None:
        """Hand over what is in tables of neighbours and on a network of its site; this machine itself is no find."""
        ours = {str(own.ip) for port in own_ports() for own in port.addresses}
        for place, allowed in networks.items():
            within = [ip_network(network) for network in allowed]
            for node in sites.get(place, {}).values():
                for address, hardware in node.tables.arp.items() if node.tables else ():
                    found = ip_address(address)
                    if address not in ours and any(found in network for network in within):
                        self._finds.saw(place, hardware, address, self.reporter(place, hardware, node.name).where)

    def reporter(self, place: Place, mac: str, where: str) -> Reporter:
        """Return whose event a find is: of the device that learned its MAC, else of the site's gear, or ours."""
        ports, first = self._ports.get(place, ({}, 0))
        number, port = ports.get(mac, (first or self._own, where))
        return Reporter(number, port)

    def _locate(self, sites: dict[Place, dict[int, Node]]) -> None:
        """Keep which port of which device is nearest to each MAC address."""
        for place, nodes in sites.items():
            found: dict[str, tuple[int, int, str]] = {}
            for number, node in nodes.items():
                learned = node.tables.learned if node.tables else {}
                behind = Counter(learned.values())
                for hardware, port in learned.items():
                    best = found.get(hardware)
                    if best is None or behind[port] < best[0]:
                        found[hardware] = behind[port], number, f"{node.name} {port}"
            gear = [number for number, node in nodes.items() if node.tables is not None]
            self._ports[place] = {mac: one[1:] for mac, one in found.items()}, min(gear, default=0)

    async def _read(self, device: SnmpDevice) -> Tables | None:
        speaker = device.speaker
        if speaker is None:
            return None
        result = await walk(self._channel, device.address, speaker, tables.PLAN, manners=device.manners, budget=PATIENT)
        if result.error is not None:
            _LOG.info("the tables of %s were not read: %s", device.instance, result.error)
            return None
        return tables.read(result.scalars, result.oids, result.values)

    def _store(self, links: dict[int, Link]) -> dict[int, Link]:
        """Store what has changed, and return what moved and where it was."""
        moved: dict[int, Link] = {}
        for number, link in links.items():
            before = self.known.get(number)
            if before == link:
                continue
            if before is not None and (before.parent, before.port) != (link.parent, link.port):
                moved[number] = before
            try:
                self._register.set_parent(
                    number,
                    link.parent,
                    port=link.port,
                    how=link.how,  # type: ignore[arg-type]
                    evidence=link.evidence,
                    now=self._clock(),
                )
            except RegisterError as error:
                _LOG.info("the map does not fit the register: %s", error)
            self.known[number] = link
        return moved

    def _moved(self, nodes: dict[int, Node], number: int, before: Link, after: Link) -> None:
        was = nodes[before.parent].name if before.parent in nodes else "another site"
        words = f"moved from {was} {before.port} to {nodes[after.parent].name} {after.port}"
        self._observer.event(number, "hotplug", "map", "info", words, {"how": after.how})

    def _tell(self, nodes: dict[int, Node], links: dict[int, Link]) -> None:
        """Let rules know what hangs on the ports."""
        for number, ports in kinds(nodes, links).items():
            device = self._poller.devices.get(number)
            if device is None:
                continue
            series = []
            for port, kind in sorted(ports.items()):
                label = device.memory.ports.get(port)
                if label:
                    labels = {"ifIndex": label, "ifName": port, "kind": kind}
                    series.append(wire.format_series("watchdesk_port_info", labels))
            if series:
                self._observer.rows(
                    number, PORTS, [(*schema(*series), np.ones(len(series)))], at=self._clock(), heard=False
                )
