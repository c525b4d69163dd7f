"""Judges what was seen on networks: what is not in the register is reported once; what moved is an event."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from collector.discovery.candidates import LISTED, MOST_ADDRESSES, Candidates, Noted, Place, Sight
from collector.discovery.listed import Here, Listed
from collector.discovery.makers import maker
from collector.discovery.said import Looked
from collector.observed import Observer

FRESH_SECONDS: Final = 60.0  # a machine that is where it was is noted again after it
AWAY_SECONDS: Final = 3_600.0  # after which a denied machine is reported again
BEAT: Final = 1.0
MOST_WAITING: Final = 20_000
LOOKS_AT_ONCE: Final = 16
_LOG = logging.getLogger(__name__)


class Reporter(NamedTuple):
    """The device whose event a find is, and the port where it was seen, in words."""

    device: int
    where: str


class Finds:
    """Takes sightings from `start` to `stop`.

    `reporter(place, mac, where)` names the device whose event a find is; `look(place, address)` learns more of a
    machine that is not in the register, where that may be done.
    """

    def __init__(
        self,
        candidates: Candidates,
        listed: Listed,
        observer: Observer,
        *,
        reporter: Callable[[Place, str, str], Reporter],
        look: Callable[[Place, str], Awaitable[Looked | None]],
        clock: Callable[[], float],
    ) -> None:
        self.candidates = candidates
        self.listed = listed
        self.lost = 0  # sightings that found no room in the queue
        self._observer = observer
        self._reporter = reporter
        self._look = look
        self._clock = clock
        self._waiting: dict[tuple[Place, str, str], Sight] = {}
        self._fresh: dict[tuple[Place, str, str], float] = {}
        self._machines: dict[int, dict[str, list[str]]] | None = None  # device → MAC → its addresses
        self._task: asyncio.Task[None] | None = None
        self._looks: set[asyncio.Task[None]] = set()
        self._looking = asyncio.Semaphore(LOOKS_AT_ONCE)

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Cease; what waits is seen again the next time."""
        tasks = [*self._looks, *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def saw(self, place: Place, mac: str, address: str, where: str = "", names: Sequence[str] = ()) -> None:
        """Take a sighting; it is judged within a moment."""
        key = place, mac, address
        if not names and self._clock() - self._fresh.get(key, 0.0) < FRESH_SECONDS:
            return
        if len(self._waiting) >= MOST_WAITING:
            self.lost += 1
            return
        known = self._waiting.get(key)
        called = tuple(dict.fromkeys((*(known.names if known else ()), *names)))
        self._waiting[key] = Sight(place, mac, address, where or (known.where if known else ""), called)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            if self._waiting:
                await self.judge()

    async def judge(self) -> None:
        """Judge what waits."""
        sights, self._waiting = list(self._waiting.values()), {}
        now = self._clock()
        try:
            sights, noted = await asyncio.to_thread(self._note, sights, now)
        except SQLAlchemyError as error:  # or another process was first: they are seen again
            _LOG.warning("what was seen on networks was not noted: %s", error)
            return
        if len(self._fresh) > MOST_WAITING:
            self._fresh.clear()
        for sight, known in zip(sights, noted, strict=True):
            self._fresh[sight.place, sight.mac, sight.address] = now
            if known is None:
                continue
            if sight.device is None:
                self._stranger(sight, known, now)
            else:
                self._moved(sight, known, sight.device)

    def _note(self, sights: list[Sight], now: float) -> tuple[list[Sight], list[Noted | None]]:
        """Say of each whether it is in the register, and store it."""
        if self._machines is None:
            self._machines = self.candidates.listed()
        seen = {mac: device for device, macs in self._machines.items() for mac in macs}
        places = self.listed.read()
        found = [sight._replace(device=_device(sight, places.get(sight.place, Here()), seen)) for sight in sights]
        return found, self.candidates.note(found, now)

    # What is not in the register

    def _stranger(self, sight: Sight, known: Noted, now: float) -> None:
        back = known.state == "denied" and known.last_seen is not None and now - known.last_seen > AWAY_SECONDS
        if (known.state == "new" and not known.reported) or back:
            task = asyncio.get_running_loop().create_task(self._report(sight, known))
            self._looks.add(task)
            task.add_done_callback(self._looks.discard)

    async def _report(self, sight: Sight, known: Noted) -> None:
        """Look closer at a machine, and tell of it."""
        async with self._looking:
            looked = await self._look(sight.place, sight.address)
        names = [*dict.fromkeys((*sight.names, *(looked.names if looked else ())))][:MOST_ADDRESSES]
        device, where = self._reporter(sight.place, sight.mac, sight.where)
        facts: dict[str, Any] = {"maker": maker(sight.mac), "where": where, "ports": looked.ports if looked else []}
        facts |= {"names": names} if names else {}
        try:
            await asyncio.to_thread(self.candidates.learn, known.id, facts, self._clock())
        except SQLAlchemyError as error:
            _LOG.warning("a find was not noted: %s", error)
            return
        who = ", ".join(word for word in (sight.mac, facts["maker"], *names) if word)
        words = f"{sight.address} ({who}){f' on {where}' if where else ''}" if who else sight.address
        verdict = "was denied, and is there again" if known.state == "denied" else "is not in the register"
        attributes = {"address": sight.address, "mac": sight.mac, "site": ".".join(reversed(sight.place))}
        self._observer.event(device, "security", "map", "warning", f"{words} {verdict}", attributes)

    # What is in the register

    def _moved(self, sight: Sight, known: Noted, device: int) -> None:
        """Tell that a machine of the register has another address, or its address another machine: each once."""
        machines = self._machines if self._machines is not None else {}
        mine = machines.setdefault(device, {})
        had = [one for one in mine.get(sight.key, ()) if ":" not in one]
        others = [mac for mac, addresses in mine.items() if sight.address in addresses and mac != sight.key]
        known_here = mine.setdefault(sight.key, [])
        if sight.address in known_here:
            known_here.remove(sight.address)
        mine[sight.key] = [*known_here, sight.address][-MOST_ADDRESSES:]
        if not sight.mac or ":" in sight.address or known.state != LISTED:
            return
        if others and known.device != device:
            made = f" ({maker(sight.mac)})" if maker(sight.mac) else ""
            words = f"{sight.address} is another machine now: {sight.mac}{made}, which was {others[0]}"
            self._observer.event(device, "security", "map", "warning", words, {"mac": sight.mac})
            return
        many = len(had) >= MOST_ADDRESSES // 2  # a machine that answers for others
        if had and sight.address not in had and not many:
            words = f"has the address {sight.address} now, and had {had[-1]}"
            self._observer.event(device, "config", "map", "info", words, {"mac": sight.mac})


def _device(sight: Sight, here: Here, seen: dict[str, int]) -> int | None:
    """Return which device of the register a machine is: by its address there, else by its MAC address."""
    found = here.addresses.get(sight.address)
    if found is None and sight.mac:
        found = here.macs.get(sight.mac)
        known = seen.get(sight.mac)
        if found is None and known is not None and known in {*here.addresses.values(), *here.macs.values()}:
            found = known
    return found
