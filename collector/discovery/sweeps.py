"""Keeps the discovery helper running, and takes what it says."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, cast

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from collector.config import Discovery
from collector.discovery.candidates import Place
from collector.discovery.finds import Finds
from collector.discovery.said import DECODER, LONGEST_LINE, Looked, Problem, Said, Seen, Swept
from collector.discovery.task import Area, Look, Task
from collector.register import Register

HELPER: Final = "collector.discovery.helper"
AGAIN_SECONDS: Final = 60.0  # after which a helper that ended is started again
LOOK_SECONDS: Final = 60.0
REFRESH_SECONDS: Final = 10.0
_LOG = logging.getLogger(__name__)


def areas(register: Register, sites: list[str]) -> list[Area]:
    """Return the networks of these sites (site.customer), as the register names them now."""
    wanted = set(sites)
    return [
        Area(f"{site}.{customer}", network)
        for (customer, site), networks in sorted(register.networks().items())
        if f"{site}.{customer}" in wanted
        for network in networks
    ]


@asynccontextmanager
async def helper(task: Task) -> AsyncIterator[tuple[AsyncIterator[Said], Callable[[str], None]]]:
    """Run the helper on a task; yields what it says, and what asks it to look at an address. It ends with the block.

    Raises:
        OSError: it cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", HELPER),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=LONGEST_LINE,
    )
    given, said = cast("asyncio.StreamWriter", process.stdin), cast("asyncio.StreamReader", process.stdout)
    try:
        given.write(msgspec.json.encode(task) + b"\n")
        yield _lines(said), lambda address: given.write(msgspec.json.encode(Look(address)) + b"\n")
    finally:
        given.close()
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _lines(output: asyncio.StreamReader) -> AsyncIterator[Said]:
    while True:
        try:
            line = await output.readline()
        except ValueError:  # longer than it may be: what follows is read
            continue
        if not line:
            return
        try:
            yield DECODER.decode(line)
        except msgspec.DecodeError as error:
            _LOG.warning("the discovery helper said something strange: %s", error)


class Sweeps:
    """Works from `start` to `stop`.

    Attributes:
        last: how the last sweep went, None before the first.
        problem: what the helper complains of; empty if nothing.
    """

    def __init__(self, settings: Discovery, register: Register, finds: Finds, *, clock: Callable[[], float]) -> None:
        self.last: tuple[float, Swept] | None = None
        self.problem = ""
        self._settings = settings
        self._register = register
        self._finds = finds
        self._clock = clock
        self._ask: Callable[[str], None] | None = None
        self._looks: dict[str, list[asyncio.Future[Looked]]] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, if there are sites whose networks this machine is connected to."""
        if self._settings.sites:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Cease."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self, place: Place, address: str) -> Looked | None:
        """Look closer at a machine; None where this machine is not connected to its site, or nothing comes back."""
        if self._ask is None or f"{place[1]}.{place[0]}" not in self._settings.sites:
            return None
        waiting: asyncio.Future[Looked] = asyncio.get_running_loop().create_future()
        self._looks.setdefault(address, []).append(waiting)
        self._ask(address)
        try:
            return await asyncio.wait_for(waiting, LOOK_SECONDS)
        except TimeoutError:
            self._looks.pop(address, None)
            return None

    async def _run(self) -> None:
        while True:
            try:
                named = await asyncio.to_thread(areas, self._register, self._settings.sites)
                if named:
                    await self._work(named)
            except (OSError, SQLAlchemyError) as error:
                _LOG.warning("no discovery for now: %s", error)
            await asyncio.sleep(AGAIN_SECONDS if self.problem else REFRESH_SECONDS)

    async def _work(self, named: list[Area]) -> None:
        """Let a helper work on these networks until the register names others, or it ends."""
        settings = self._settings
        ports = list(settings.ports)
        task = Task(named, settings.rate, settings.interval, settings.listen, ports, settings.scapy)
        self.problem = ""
        async with helper(task) as (said, self._ask):
            taking = asyncio.ensure_future(self._take(said))
            try:
                while not taking.done():
                    await asyncio.wait([taking], timeout=REFRESH_SECONDS)
                    if await asyncio.to_thread(areas, self._register, self._settings.sites) != named:
                        return
            finally:
                self._ask = None
                taking.cancel()
        self.problem = self.problem or "the discovery helper has ended"

    async def _take(self, said: AsyncIterator[Said]) -> None:
        async for what in said:
            if isinstance(what, Seen):
                site, _, customer = what.site.partition(".")
                self._finds.saw((customer, site), what.mac, what.address, names=what.names)
            elif isinstance(what, Looked):
                for waiting in self._looks.pop(what.address, ()):
                    if not waiting.done():
                        waiting.set_result(what)
            elif isinstance(what, Swept):
                self.last = self._clock(), what
            elif isinstance(what, Problem):
                self.problem = what.text
                _LOG.warning("discovery: %s", what.text)
