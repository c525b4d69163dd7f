"""What changed, told to the open pages: one watcher of the store for all streams, each stream within its own scope.

The timeline is the source: its ids grow in the order of the commits, so a stream that says up to where it has heard
(`Last-Event-ID`) misses nothing, whichever process wrote. The watcher runs only while a stream is open.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from starlette.concurrency import run_in_threadpool

from ticketing.errors import TicketingError
from ticketing.store import Scope, Store
from ticketing.web.errors import Busy
from ticketing.web.sources import Sources

_MANY = 100  # more changed incidents than this are told as "many": an empty list
_FLEET_EVERY = 4  # polls between two looks at the fleet


@dataclass(eq=False, slots=True)
class Listener:
    """An open stream: what it still has to be told."""

    scope: Scope
    position: int  # the newest change it was told of
    changed: set[int] = field(default_factory=set)
    many: bool = False
    fleet: bool = False
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, position: int, incidents: set[int], *, many: bool) -> None:
        """Note changes up to `position`; what is too much to list becomes "many", so that memory stays bounded."""
        if position <= self.position:
            return
        self.position = position
        self.changed |= incidents
        if many or len(self.changed) > _MANY:
            self.many = True
            self.changed.clear()
        self.wake.set()

    def look(self, incidents: set[int]) -> None:
        """Note that something about these incidents moves that is not in their timelines yet; 0: about a device."""
        self.changed |= incidents
        self.wake.set()

    def take(self) -> list[str]:
        """Return the messages that are due, and forget them."""
        messages = []
        if self.changed or self.many:
            messages.append(message("change", self.position, sorted(self.changed)))
        if self.fleet:
            messages.append(message("fleet", self.position))
        self.changed.clear()
        self.many = self.fleet = False
        self.wake.clear()
        return messages


def message(kind: str, position: int, incidents: list[int] | None = None) -> str:
    """Return one server-sent event; `incidents` empty means too many to name."""
    data = {"position": position} if incidents is None else {"position": position, "incidents": incidents}
    return f"event: {kind}\nid: {position}\ndata: {json.dumps(data)}\n\n"


class Live:
    """The streams of one process. `close()` ends them all at once, so that the server can stop."""

    def __init__(
        self, store: Store, sources: Sources, *, poll: float = 0.2, beat: float = 5.0, most: int = 256, each: int = 12
    ) -> None:
        self._store = store
        self._sources = sources
        self._poll = poll
        self._beat = beat
        self._most = most
        self._each = each
        self._listeners: dict[Listener, str] = {}
        self._watcher: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._closed = False

    @property
    def open(self) -> int:
        """The number of open streams."""
        return len(self._listeners)

    def close(self) -> None:
        """End all streams and take no more; may be called from any thread, more than once, before the server stops."""
        with self._lock:
            self._closed = True
            loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._wake_all)

    def _wake_all(self) -> None:
        for listener in self._listeners:
            listener.wake.set()

    def join(self, scope: Scope, viewer: str, position: int) -> Listener:
        """Open a stream for a viewer, who has heard of all changes up to `position`. Raises Busy if there are too many.

        To be called on the event loop; `leave` must follow, whatever happens.
        """
        with self._lock:
            if self._closed or len(self._listeners) >= self._most:
                raise Busy
            self._loop = asyncio.get_running_loop()
        if sum(1 for name in self._listeners.values() if name == viewer) >= self._each:
            raise Busy
        listener = Listener(scope, position)
        self._listeners[listener] = viewer
        if self._watcher is None or self._watcher.done():
            self._watcher = asyncio.create_task(self._watch())
        return listener

    def leave(self, listener: Listener) -> None:
        """Close a stream; the last one stops the watcher."""
        self._listeners.pop(listener, None)
        if not self._listeners and self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None

    async def listen(self, listener: Listener, still_valid: Callable[[], Awaitable[bool]]) -> AsyncIterator[str]:
        """Yield a stream's events, and a heartbeat every few seconds.

        Ends on close(), and when `still_valid`, asked at every heartbeat, says no.
        """
        loop = asyncio.get_running_loop()
        yield "retry: 2000\n\n"
        await self._catch_up(listener)
        due = loop.time()
        while not self._closed:
            for text in listener.take():
                yield text
            if loop.time() >= due:
                if self._watcher is None or self._watcher.done() or not await still_valid():
                    return
                yield message("beat", listener.position)
                due = loop.time() + self._beat
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(listener.wake.wait(), due - loop.time())

    async def _catch_up(self, listener: Listener) -> None:
        """Tell a listener what came after its position, before the watcher's own began."""
        newest, incidents, many = await run_in_threadpool(self._changes, listener.scope, listener.position)
        listener.add(newest, incidents, many=many)

    async def _watch(self) -> None:
        """Look for changes while there are listeners; a database that is away is asked again."""
        position: int | None = None
        audited: int | None = None
        fleets: dict[Scope, object] = {}
        turn = 0
        while True:
            try:
                if position is None:
                    position = min((one.position for one in self._listeners), default=0)
                newest, _, _ = await run_in_threadpool(self._changes, Scope(None), position)
                if newest > position:
                    await self._tell(position)
                    position = newest
                audited = await self._look_at_diagnoses(audited)
                if turn % _FLEET_EVERY == 0:
                    fleets = await self._look_at_fleets(fleets)
            except TicketingError:
                pass
            turn += 1
            await asyncio.sleep(self._poll)

    async def _tell(self, position: int) -> None:
        """Tell each listener of the changes after `position` in its scope; one query for each scope."""
        for scope in {listener.scope for listener in self._listeners}:
            newest, incidents, many = await run_in_threadpool(self._changes, scope, position)
            for listener in [one for one in self._listeners if one.scope == scope]:
                listener.add(newest, incidents, many=many)

    async def _look_at_diagnoses(self, since: int | None) -> int:
        """Tell the listeners of diagnoses that got on; return the newest entry of the audit."""
        if since is None:
            return await run_in_threadpool(self._store.diagnoses.newest_change)
        newest, changed = await run_in_threadpool(self._store.diagnoses.changes, since)
        for listener in list(self._listeners):
            customer = listener.scope.customer
            mine = changed if customer is None else {customer: changed.get(customer, set())}
            incidents = set().union(*mine.values()) if mine else set()
            if incidents:
                listener.look(incidents)
        return newest

    async def _look_at_fleets(self, before: dict[Scope, object]) -> dict[Scope, object]:
        """Tell the listeners whose fleet has other numbers than before."""
        now: dict[Scope, object] = {}
        for scope in {listener.scope for listener in self._listeners}:
            summary = await run_in_threadpool(self._sources.summary, scope)
            now[scope] = (summary.devices, summary.alive, summary.excused, summary.problem)
        for listener in list(self._listeners):
            if listener.scope in before and before[listener.scope] != now.get(listener.scope):
                listener.fleet = True
                listener.wake.set()
        return now

    def _changes(self, scope: Scope, since: int) -> tuple[int, set[int], bool]:
        """Return the newest change after `since`, the changed incidents, and whether they are too many to list."""
        entries = self._store.changes(scope, since, limit=_MANY + 1)
        if len(entries) <= _MANY:
            newest = max((entry.id for entry in entries), default=since)
            return newest, {entry.incident for entry in entries}, False
        return self._store.last_change(scope), set(), True
