"""Where agents fetch requests: calls that are held until there is something, and what push answers say about it.

Everything here happens on the event loop; the database is asked in threads.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from collector.diagnosis.keys import SigningKey
from collector.diagnosis.messages import MAX_RESULT, read, signed
from collector.errors import Refusal
from collector.ingest.connection import Reply
from collector.ingest.http import Request, answer, refusal
from collector.ingest.intake import Sender
from ticketing.diagnosis.book import Diagnoses, Gone, Over
from ticketing.errors import Unavailable

LONGEST_HOLD: Final = 55.0
HOLD_HEADER: Final = "Watchdesk-Hold"
REQUESTS_HEADER: Final = "Watchdesk-Requests"
_HOLD: Final = re.compile(rb"(?:^|&)hold=(\d{1,3})(?:&|$)")
_LOG = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Held:
    """A call that waits for a request."""

    request: Request
    reply: Reply
    timer: asyncio.TimerHandle
    busy: bool = False  # the database is being asked for it


class RequestDesk:
    """Hands requests out.

    Attributes:
        lines: header lines for the answers to a device's pushes, for those few that get any.
        told: called with the lines that have changed; empty ones are no more.
        valid: tells whether a token still is; who bears one that is not is not held any longer.
    """

    def __init__(
        self, book: Diagnoses, key: SigningKey, *, most: int, clock: Callable[[], float], nonce: Callable[[], str]
    ) -> None:
        """At most so many calls are held; `nonce()` gives 32 fresh hex digits."""
        self.key = key
        self.lines: dict[int, bytes] = {}
        self.told: Callable[[dict[int, bytes]], None] = lambda _: None
        self.valid: Callable[[bytes], bool] = lambda _: True
        self.answered = 0
        self._book = book
        self._most = most
        self._clock = clock
        self._nonce = nonce
        self._held: dict[int, Held] = {}
        self._waiting: set[int] = set()
        self._advised: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def holding(self) -> int:
        """How many calls are held."""
        return len(self._held)

    # What agents call

    def requests(self, sender: Sender, request: Request, reply: Reply) -> None:
        """Answer `GET /v1/requests`: at once if there is something, or when there is, or when the time is over."""
        device = sender.device.id
        before = self._held.get(device)
        if before is not None:
            self._release(device, before)
        found = _HOLD.search(request.path.partition(b"?")[2])
        seconds = min(float(found[1]), LONGEST_HOLD) if found else 0.0
        if self._closed or len(self._held) >= self._most or not (seconds or device in self._waiting):
            reply(self._nothing(device))
            return
        loop = asyncio.get_running_loop()
        held = Held(request, reply, loop.call_later(seconds, self._time_over, device, request))
        self._held[device] = held
        if device in self._waiting:
            self._hand_out(device, held)
        self._tell([device])

    async def results(self, sender: Sender, request: Request) -> bytes:
        """Take `POST /v1/results`.

        Raises:
            Refusal: 400 malformed, 413 too long, 404 no request of this device, 409 over already, 503 later.
        """
        uid, result = read(request.content(MAX_RESULT))
        try:
            await asyncio.to_thread(self._book.answer, sender.device.id, uid, result, self._clock())
        except Gone as error:
            raise Refusal(404, "this device has no such request") from error
        except Over as error:
            raise Refusal(409, "this request is over") from error
        except Unavailable as error:
            raise Refusal(503, "the database does not answer", retry_after=5) from error
        self.answered += 1
        return answer(204, self._clock())

    # What the collector says

    def wake(self, devices: Iterable[int]) -> None:
        """Take it that there is something for these devices."""
        new = set(devices) - self._waiting
        self._waiting |= new
        for device in new:
            held = self._held.get(device)
            if held is not None:
                self._hand_out(device, held)
        self._tell(new)

    def waiting(self, devices: set[int]) -> None:
        """Take it that there is something for these devices, and for no others."""
        gone = self._waiting - devices
        self._waiting -= gone
        self._tell(gone)
        self.wake(devices)

    def advise(self, devices: Iterable[int]) -> None:
        """Let these devices hold a call, and no others."""
        advised = set(list(devices)[: self._most])
        changed = advised ^ self._advised
        self._advised = advised
        self._tell(changed)

    def turn_away(self) -> None:
        """End the calls of those whose tokens were revoked meanwhile."""
        for device, held in list(self._held.items()):
            if not held.busy and not self.valid(held.request.token()):
                self._forget(device, held)
                held.reply(refusal(Refusal(401, "this token is no longer known"), self._clock()))

    def close(self) -> None:
        """Answer all calls, and hold no more."""
        self._closed = True
        for device, held in list(self._held.items()):
            self._release(device, held)

    # Between

    def _hand_out(self, device: int, held: Held) -> None:
        if held.busy:
            return
        held.busy = True
        task = asyncio.get_running_loop().create_task(self._fetch(device, held))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fetch(self, device: int, held: Held) -> None:
        try:
            taken = await asyncio.to_thread(self._book.take, device, self._clock())
        except Unavailable as error:
            _LOG.warning("requests wait for the database: %s", error)
            taken = []
        held.busy = False
        self._waiting.discard(device)
        if not taken:
            if held.timer.when() <= asyncio.get_running_loop().time():
                self._time_over(device, held.request)
            self._tell([device])
            return
        if self._held.get(device) is not held or held.request.lost or not self.valid(held.request.token()):
            await asyncio.to_thread(self._book.put_back, taken)
            self.wake([device])
            return
        now = self._clock()
        content = {"requests": [signed(one, self.key, self._nonce(), now) for one in taken]}
        self._forget(device, held)
        held.reply(answer(200, now, msgspec.json.encode(content), more=self._hold_line(device)))
        self._tell([device])

    def _time_over(self, device: int, request: Request) -> None:
        held = self._held.get(device)
        if held is not None and held.request is request and not held.busy:
            self._release(device, held)

    def _release(self, device: int, held: Held) -> None:
        self._forget(device, held)
        held.reply(self._nothing(device))
        self._tell([device])

    def _forget(self, device: int, held: Held) -> None:
        held.timer.cancel()
        if self._held.get(device) is held:
            del self._held[device]

    def _nothing(self, device: int) -> bytes:
        return answer(204, self._clock(), more=self._hold_line(device))

    def _hold_line(self, device: int) -> str:
        hold = LONGEST_HOLD if device in self._advised and not self._closed else 0
        return f"{HOLD_HEADER}: {hold:.0f}\r\n"

    def _tell(self, devices: Iterable[int]) -> None:
        """Bring the header lines of these devices up to date."""
        changed: dict[int, bytes] = {}
        for device in devices:
            line = b""
            if device in self._advised:
                line += self._hold_line(device).encode()
            if device in self._waiting and device not in self._held:
                line += f"{REQUESTS_HEADER}: 1\r\n".encode()
            if self.lines.get(device, b"") != line:
                changed[device] = line
        apply(self.lines, changed)
        if changed:
            self.told(changed)


def apply(lines: dict[int, bytes], changed: dict[int, bytes]) -> None:
    """Bring header lines up to date; empty ones are no more."""
    for device, line in changed.items():
        if line:
            lines[device] = line
        else:
            lines.pop(device, None)
