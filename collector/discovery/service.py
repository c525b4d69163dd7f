"""Keeps the map true: reads the tables of network gear now and then, and writes parents into the register."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from typing import Final

import numpy as np
from sqlalchemy.exc import SQLAlchemyError

from agent import wire
from collector.discovery import tables
from collector.discovery.candidates import Candidates, inside
from collector.discovery.tables import Tables
from collector.discovery.tree import Link, Node, kinds, parents
from collector.errors import RegisterError
from collector.observed import PORTS, Observer, schema
from collector.register import Register
from collector.snmp.channel import Channel
from collector.snmp.device import SnmpDevice
from collector.snmp.poller import Poller
from collector.snmp.walk import walk

FIRST_SECONDS: Final = 20.0  # after the start
AT_ONCE: Final = 20  # devices that are read at the same time
_LOG = logging.getLogger(__name__)


class MapService:
    """Works from `start` to `stop`."""

    def __init__(
        self,
        interval: float,
        poller: Poller,
        channel: Channel,
        register: Register,
        candidates: Candidates,
        observer: Observer,
        *,
        clock: Callable[[], float],
    ) -> None:
        """The tables are read every `interval` seconds; 0 for never."""
        self.known: dict[int, Link] = {}
        self._interval = interval
        self._poller = poller
        self._channel = channel
        self._register = register
        self._candidates = candidates
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
        sites: dict[tuple[str, str], dict[int, Node]] = defaultdict(dict)
        addresses = {one.device.id: one.address for one in await asyncio.to_thread(self._register.polled)}
        for device in await asyncio.to_thread(self._register.devices):
            node = Node(
                device.id, device.name, addresses.get(device.id, ""), device.kind, device.role, read.get(device.id)
            )
            sites[device.customer, device.site][device.id] = node
        for nodes in sites.values():
            links = parents(nodes)
            for number, before in (await asyncio.to_thread(self._store, links)).items():
                self._moved(nodes, number, before, links[number])
            self._tell(nodes, links)
        await self._strangers(sites)

    async def _strangers(self, sites: dict[tuple[str, str], dict[int, Node]]) -> None:
        """Report machines of ARP tables that are on a network of their site and not in the register, each once."""
        networks = await asyncio.to_thread(self._register.networks)
        for (customer, site), allowed in networks.items():
            nodes = sites.get((customer, site), {})
            listed = {node.address for node in nodes.values()}
            own = {hardware for node in nodes.values() if node.tables for hardware in node.tables.macs}
            for number, node in nodes.items():
                for address, hardware in node.tables.arp.items() if node.tables else ():
                    if address in listed or hardware in own or not inside(address, allowed):
                        continue
                    port = next((port for one in nodes.values() if (port := _port(one, hardware))), node.name)
                    now = self._clock()
                    if await asyncio.to_thread(self._candidates.seen, customer, site, hardware, address, port, now):
                        words = f"{address} ({hardware}) on {port} is not in the register"
                        self._observer.event(number, "security", "map", "warning", words, {"address": address})

    async def _read(self, device: SnmpDevice) -> Tables | None:
        speaker = device.speaker
        if speaker is None:
            return None
        result = await walk(self._channel, device.address, speaker, tables.PLAN, manners=device.manners)
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


def _port(node: Node, hardware: str) -> str:
    port = node.tables.learned.get(hardware, "") if node.tables else ""
    return f"{node.name} {port}" if port else ""
