"""Sweeps networks at an even pace, listens, and tells each machine that it hears of; never twice within a minute."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from random import Random
from typing import Final

from collector.discovery.helper.frames import Sighting, all_nodes, arp_request, mac_bytes, read, solicitation
from collector.discovery.helper.link import Link, open_link
from collector.discovery.helper.look import look
from collector.discovery.said import Problem, Said, Seen, Swept
from collector.discovery.task import PASSES, Network, Port, Step, Task, addresses, plan
from collector.reach.icmp import Pinger

QUIET_SECONDS: Final = 60.0  # a machine is told again after it, if it is still heard
WAIT_SECONDS: Final = 1.0  # for the last answers of a pass
MOST_KNOWN: Final = 65_536
LOOKS_AT_ONCE: Final = 8
MOST_LOOKS: Final = 4_096
ICMP_TIMEOUT: Final = 2.0


class Sweeper:
    """Does one task. `ports()` gives this machine's interfaces, `say` takes what is found."""

    def __init__(self, task: Task, ports: Callable[[], Sequence[Port]], say: Callable[[Said], None]) -> None:
        self._task = task
        self._ports = ports
        self._say = say
        self._token = Random().getrandbits(16)
        self._links: dict[str, Link] = {}
        self._macs: dict[str, bytes] = {}
        self._areas: list[tuple[Network, str]] = []
        self._own: set[str] = set()  # MAC and IP addresses of this machine
        self._told: dict[tuple[str, str], tuple[float, frozenset[str]]] = {}
        self._names: dict[str, tuple[str, ...]] = {}  # of those whose address is not known yet, by MAC
        self._answered: set[str] = set()
        self._problems: set[str] = set()
        self._looks: set[asyncio.Task[None]] = set()
        self._looking = asyncio.Semaphore(LOOKS_AT_ONCE)
        self._packets = 0
        self._next = 0.0
        self._pinger = Pinger(Random(), ICMP_TIMEOUT)

    async def run(self) -> None:
        """Sweep at every interval, and listen meanwhile; once where there is no interval."""
        self._pinger.open()
        try:
            while True:
                started = time.monotonic()
                steps = self._look_around()
                await self._sweep(steps)
                seconds = time.monotonic() - started
                self._say(Swept(self._packets, len(self._answered), round(seconds, 3)))
                if not self._task.interval:
                    return
                await asyncio.sleep(max(WAIT_SECONDS, self._task.interval - seconds))
        finally:
            self._pinger.close()
            for name in list(self._links):
                self._unplug(name)

    def _look_around(self) -> list[Step]:
        """See which interfaces there are now, and return what is to be done."""
        ports = self._ports()
        steps = plan(self._task.areas, ports)
        clashes = {one.network for one in steps if one.how == "skip" and one.why.endswith("names it, too")}
        areas = [(ip_network(area.network), area.site) for area in self._task.areas]
        self._areas = [(network, site) for network, site in areas if network not in clashes]
        self._own = {str(own.ip) for port in ports for own in port.addresses} | {port.mac for port in ports}
        self._macs = {port.name: mac_bytes(port.mac) for port in ports if port.mac}
        near = {step.port for step in steps if step.port}
        if self._task.listen:
            near |= {port.name for port in ports if any(self._site(str(own.ip)) for own in port.addresses)}
        for name in set(self._links) - near:
            self._unplug(name)
        for name in sorted(near & set(self._macs)):
            self._plug(name)
        return steps

    def _plug(self, name: str) -> None:
        if name in self._links:
            return
        try:
            link = open_link(name, scapy=self._task.scapy)
        except OSError as error:
            what = "it takes CAP_NET_RAW" if isinstance(error, PermissionError) else str(error)
            self._problem(f"nothing can be sent or heard on {name}: {what}")
            return
        self._links[name] = link
        asyncio.get_running_loop().add_reader(link.fileno(), self._hear, link)

    def _unplug(self, name: str) -> None:
        link = self._links.pop(name)
        asyncio.get_running_loop().remove_reader(link.fileno())
        link.close()

    def _problem(self, text: str) -> None:
        if text not in self._problems:
            self._problems.add(text)
            self._say(Problem(text[:1000]))

    # Sending

    async def _sweep(self, steps: Sequence[Step]) -> None:
        self._packets = 0
        self._answered.clear()
        for _ in range(PASSES):
            for step in steps:
                await self._ask(step)
            await asyncio.sleep(WAIT_SECONDS)

    async def _ask(self, step: Step) -> None:
        """Send the questions of a step to those that have not answered."""
        link, mac = self._links.get(step.port), self._macs.get(step.port, b"")
        if step.how == "multicast" and link is not None:
            for frame in all_nodes(mac, IPv6Address(step.own), self._token):
                await self._send(link, frame)
        if step.how not in ("arp", "ndp", "icmp") or (step.how != "icmp" and link is None):
            return
        for target in addresses(step.network):
            if str(target) in self._answered or str(target) in self._own:
                continue
            if link is None:
                await self._ping(str(target))
            elif isinstance(target, IPv4Address):
                await self._send(link, arp_request(mac, IPv4Address(step.own), target))
            else:
                await self._send(link, solicitation(mac, IPv6Address(step.own), target))

    def look(self, address: str) -> None:
        """Look closer at a machine, if it lies in a network of the task; what is found is said."""
        if self._site(address) and len(self._looks) < MOST_LOOKS:
            task = asyncio.get_running_loop().create_task(self._look(address))
            self._looks.add(task)
            task.add_done_callback(self._looks.discard)

    async def _look(self, address: str) -> None:
        async with self._looking:
            self._say(await look(address, self._task.ports))

    async def _pace(self) -> None:
        """Wait for the turn of the next packet; what was late is not made up for by a burst."""
        now = time.monotonic()
        self._next = max(self._next + 1 / self._task.rate, now)
        await asyncio.sleep(self._next - now)
        self._packets += 1

    async def _send(self, link: Link, frame: bytes) -> None:
        await self._pace()
        try:
            link.send(frame)
        except OSError as error:
            self._problem(f"a packet was not sent: {error.strerror or error}")

    async def _ping(self, target: str) -> None:
        await self._pace()
        if self._pinger.problem:
            self._problem(self._pinger.problem)
        self._pinger.ping(target, lambda rtt: None if rtt is None else self._take(Sighting("", target, "icmp")))

    # Hearing

    def _hear(self, link: Link) -> None:
        for frame in link.received():
            sighting = read(frame, self._token)
            if sighting is not None and sighting.mac not in self._own:
                self._take(sighting)

    def _take(self, sighting: Sighting) -> None:
        mac, address, how, names = sighting
        if names and len(self._names) < MOST_KNOWN:
            self._names[mac] = tuple(dict.fromkeys((*self._names.get(mac, ()), *names)))[:16]
        site = self._site(address) if address and address not in self._own else ""
        if not site:
            return
        self._answered.add(address)
        called = frozenset(self._names.get(mac, ()) if mac else names)
        at, before = self._told.get((mac, address), (-QUIET_SECONDS, frozenset()))
        now = time.monotonic()
        if now - at < QUIET_SECONDS and called <= before:
            return
        if len(self._told) >= MOST_KNOWN:
            self._told.clear()
        self._told[mac, address] = now, called
        self._say(Seen(site, address, mac, how, [name[:200] for name in sorted(called)]))

    def _site(self, address: str) -> str:
        try:
            found = ip_address(address)
        except ValueError:
            return ""
        return next((site for network, site in self._areas if found in network), "")
