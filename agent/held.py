"""Requests for diagnoses: fetched by a call that the collector holds until there is one, and carried to a process of
their own (agent/diagnosis/main.py). Here no request is looked into; only counts and events come back.

The collector advises how long to hold with each answer; without its advice nothing is ever asked.
"""

from __future__ import annotations

import os
import sys

from agent.connection import Want
from agent.errors import TransportError
from agent.events import read_event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from agent.child import Child
    from agent.connection import Connection
    from agent.events import Events
    from agent.log import Log

HOLD_HEADER, CALL_HEADER = "watchdesk-hold", "watchdesk-requests"
MAX_HOLD = 300
SLOTS = 2  # processes at a time; each takes some 20 MB
BURST = 60.0  # answers with requests at once; then one in REFILL seconds
REFILL = 6.0
PATIENCE = 15.0  # seconds on top of the time that a call is held
FIRST_RETRY, LAST_RETRY = 2.0, 300.0
MAX_PIPE = 64 << 10
MAX_COUNTS = 64
FOREVER = float("inf")


class Held:
    """Driven by the agent's loop: `step` whenever one of `files` is ready, or `until` has come."""

    __slots__ = ("_called", "_children", "_connection", "_counts", "_credit", "_credit_at", "_events", "_failures",
                 "_hold", "_log", "_monotonic", "_prepared", "_random", "_start", "_steps", "_token", "_want",
                 "_words")  # fmt: skip

    def __init__(
        self,
        connection: Connection,
        token: str,
        words: list[str],
        start: Callable[[list[str], bytes], Child],
        events: Events,
        log: Log,
        *,
        prepared: bool,
        monotonic: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        """`prepared` says whether the key of the collector is known already."""
        self._connection = connection
        self._token = token
        self._words = words
        self._start = start
        self._events = events
        self._log = log
        self._prepared = prepared
        self._monotonic = monotonic
        self._random = random
        self._hold = 0
        self._called = False
        self._failures = 0
        self._credit = BURST
        self._credit_at = 0.0
        self._children: list[Child] = []
        self._counts: dict[str, float] = {}
        self._steps = self._run()
        self._want = next(self._steps)

    def advise(self, headers: Mapping[str, str]) -> None:
        """Take the advice in the head of an answer to a push."""
        self._advise(headers)
        if headers.get(CALL_HEADER, "0") not in ("", "0"):
            self._called = True
        if self._want.file < 0 and self._want.until == FOREVER and (self._called or self._hold):
            self._want = Want(-1, 0, 0.0)

    def _advise(self, headers: Mapping[str, str]) -> None:
        said = headers.get(HOLD_HEADER, "0")
        self._hold = min(int(said), MAX_HOLD) if said.isdigit() and said.isascii() and len(said) < 6 else 0

    @property
    def until(self) -> float:
        """When there is something to do at the latest."""
        if any(child.file < 0 for child in self._children):  # it cannot be waited for
            return min(self._want.until, self._monotonic() + 0.5)
        return self._want.until

    def files(self) -> list[tuple[int, int]]:
        """Return (file, events of poll) of what to wait for."""
        found = [(child.file, 1) for child in self._children if child.file >= 0]
        if self._want.file >= 0:
            found.append((self._want.file, self._want.events))
        return found

    def step(self, now: float, ready: set[int]) -> None:
        """Go on with what was waited for."""
        for child in self._children[:]:
            if child.ended():
                self._take(child)
                self._children.remove(child)
                child.close()
                if self._want.file < 0 and self._want.until == FOREVER:
                    self._want = Want(-1, 0, now)
            elif child.file in ready:
                self._take(child)
        if self._want.file in ready or now >= self._want.until or (self._want.file >= 0 and _can_go_on(self._want)):
            self._want = next(self._steps)

    def readings(self) -> dict[str, float]:
        """Return the counts: of refusals by reason, of diagnoses by outcome, and the CPU that they took."""
        return self._counts

    def close(self) -> None:
        """End what runs, and hang up."""
        for child in self._children:
            child.close()
        self._children = []
        self._steps.close()
        self._connection.close()

    def _run(self) -> Generator[Want, None, None]:
        while True:
            wait = self._wait()
            if wait:
                yield Want(-1, 0, self._monotonic() + wait)
                continue
            if not self._prepared:
                self._prepared = True
                self._carry(b"")
                continue
            self._called = False
            yield from self._ask()

    def _wait(self) -> float:
        """Return how long nothing may be asked."""
        if not (self._hold or self._called) or len(self._children) >= SLOTS:
            return FOREVER
        now = self._monotonic()
        self._credit = min(BURST, self._credit + (now - self._credit_at) / REFILL)
        self._credit_at = now
        return 0.0 if self._credit >= 1 else (1 - self._credit) * REFILL

    def _ask(self) -> Generator[Want, None, None]:
        head = f"GET /v1/requests?hold={self._hold} HTTP/1.1\r\nAuthorization: Bearer {self._token}\r\n"
        began = self._monotonic()
        try:
            answer = yield from self._connection.request(head, b"", self._hold + PATIENCE)
        except TransportError as error:
            yield from self._fail(str(error))
            return
        self._advise(answer.headers)
        if answer.status == 200:
            self._failures = 0
            self._credit -= 1
            self._carry(answer.body)
        elif answer.status == 204:
            self._failures = 0
            if self._monotonic() - began < self._hold / 2:  # it does not hold what it said it would
                self._credit -= 1
        else:
            self._hold = 0
            yield from self._fail(f"the collector answered {answer.status} when asked for requests")

    def _fail(self, reason: str) -> Generator[Want, None, None]:
        if not self._failures:
            self._log.warning("requests not fetched", error=reason)
        self._connection.fail_over()
        wait = min(LAST_RETRY, FIRST_RETRY * 2.0 ** min(self._failures, 10))
        self._failures += 1
        yield Want(-1, 0, self._monotonic() + wait / 2 + self._random() * wait / 2)

    def _carry(self, body: bytes) -> None:
        """Hand an answer to a process of its own; of one that is too long only so much that it can be refused."""
        try:
            self._children.append(self._start([*self._words, "diagnosis-requests", str(len(body))], body[:MAX_PIPE]))
        except OSError as error:
            self._log.error("requests not handled", error=str(error))

    def _take(self, child: Child) -> None:
        """Take the whole lines that it has written."""
        for line in child.output().decode("utf-8", "replace").split("\n"):
            if line.startswith("! "):
                try:
                    self._events.add(read_event(line[2:]))
                except ValueError:
                    continue
            elif line.startswith("C "):
                self._count(line[2:])
            elif line.startswith("? "):
                self._log.error("requests not handled", error=line[2:300])

    def _count(self, text: str) -> None:
        series, _, value = text.rpartition(" ")
        if series.startswith("watchdesk_agent_diagnos") and (series in self._counts or len(self._counts) < MAX_COUNTS):
            self._counts[series] = self._counts.get(series, 0.0) + float(value)


def starter(start: Callable[..., Child]) -> Callable[[list[str], bytes], Child]:
    """Return what starts a process with some bytes as its input."""

    def started(words: list[str], body: bytes) -> Child:
        if sys.platform == "win32":
            return start(words, data=body)
        read_end, write_end = os.pipe()
        try:
            os.set_blocking(write_end, False)
            if body and os.write(write_end, body) < len(body):
                raise OSError("a pipe takes too little")
            os.close(write_end)
            write_end = -1
            return start(words, stdin=read_end)
        finally:
            os.close(read_end)
            if write_end >= 0:
                os.close(write_end)

    return started


def _can_go_on(want: Want) -> bool:
    """Whether a file is ready, where the loop does not wait for it."""
    if sys.platform == "win32":
        import select

        reads = [want.file] if want.events == 1 else []
        writes = [want.file] if want.events != 1 else []
        return any(select.select(reads, writes, writes, 0))
    return False
