"""One poll of one device, within its budget: single objects first, then the spans of its plan, in their order.

The OIDs of a walk increase or it ends, whatever the device says; so it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from collector.snmp import pdu
from collector.snmp.channel import Address, Channel, Request, Speaker
from collector.snmp.community import V1
from collector.snmp.errors import Lying, Refused, Silent, SnmpError
from collector.snmp.oid import decode, increases
from collector.snmp.pdu import END, GET, GETBULK, GETNEXT, Missing, Pdu, Value
from collector.snmp.plan import SCALARS_AT_ONCE, Plan, Span

FIRST_REPETITIONS: Final = 25
MOST_REPETITIONS: Final = 60
GOOD_SIZE: Final = 1_350  # bytes of an answer that fits one Ethernet frame


@dataclass(frozen=True, slots=True)
class Budget:
    """What one poll of a device may cost."""

    seconds: float = 10.0
    rows: int = 10_000  # of a table
    size: int = 4 << 20  # bytes


@dataclass(slots=True)
class Manners:
    """How a device likes to be asked; kept from poll to poll."""

    repetitions: int = FIRST_REPETITIONS
    most: int = MOST_REPETITIONS
    adaptive: bool = True

    def good(self, variables: int, size: int) -> None:
        """Note a full answer: ask for as much as fits one frame, step by step."""
        if self.adaptive and variables >= self.repetitions:
            fits = max(1, GOOD_SIZE * variables // max(size, 1))
            if fits > self.repetitions:
                self.repetitions = min(fits, self.repetitions + 10, self.most)
            elif fits < self.repetitions - 5:
                self.repetitions = fits

    def bad(self) -> None:
        """Note that the device did not answer, or could not: ask for half of it from now on."""
        self.repetitions = max(1, self.repetitions // 2)
        self.most = max(5, self.most * 3 // 4)


@dataclass(slots=True)
class Result:
    """What a poll gave.

    Attributes:
        scalars: the single objects that the device has.
        oids, values: the variables of the spans, in the order of the walk.
        error: why it ended early; what was read until then is there.
        missing: the first columns of spans in which the device has nothing.
    """

    scalars: dict[bytes, Value] = field(default_factory=dict)
    oids: list[bytes] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    error: SnmpError | None = None
    seconds: float = 0.0
    size: int = 0  # bytes
    requests: int = 0
    retries: int = 0
    missing: set[bytes] = field(default_factory=set)


class Walk:
    """A poll on its way; `done(result)` is called at its end, on the event loop."""

    def __init__(
        self,
        channel: Channel,
        address: Address,
        speaker: Speaker,
        plan: Plan,
        *,
        manners: Manners,
        budget: Budget,
        done: Callable[[Result], None],
    ) -> None:
        self.result = Result()
        self._channel = channel
        self._address = address
        self._speaker = speaker
        self._plan = plan
        self._manners = manners
        self._budget = budget
        self._done = done
        self._scalars = list(plan.scalars)
        self._at_once = SCALARS_AT_ONCE
        self._next = 0  # the span that is walked
        self._span: Span | None = None
        self._cursor = b""
        self._rows = 0  # variables of this span
        self._request: Request | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._started = 0.0
        self._over = False

    def start(self) -> None:
        """Send the first request."""
        loop = asyncio.get_running_loop()
        self._started = loop.time()
        self._timer = loop.call_later(self._budget.seconds, self._late)
        self._continue()

    def cancel(self) -> None:
        """End without a result."""
        self._over = True
        self._stop()

    # What is asked next

    def _continue(self) -> None:
        if self._scalars:
            self._send(GET, 0, self._scalars[: self._at_once])
            return
        if self._span is None:
            if self._next >= len(self._plan.spans):
                self._end(None)
                return
            self._span = self._plan.spans[self._next]
            self._cursor = self._span.start
            self._rows = 0
        if self._speaker.version == V1:
            self._send(GETNEXT, 0, [self._cursor])
        else:
            self._send(GETBULK, self._manners.repetitions, [self._cursor])

    def _send(self, kind: int, repetitions: int, oids: list[bytes]) -> None:
        request = Request(self._address, self._speaker, kind, 0, repetitions, pdu.binds(oids), self)
        self._request = request
        self.result.requests += 1
        self._channel.ask(request)

    # What comes back

    def answered(self, answer: Pdu, size: int) -> None:
        """Take an answer, and go on or end."""
        result = self.result
        result.size += size
        request = self._request
        if self._over or request is None:
            return
        if request.tries:
            result.retries += request.tries
            self._manners.bad()
        if result.size > self._budget.size:
            self._end(Lying(f"more than {self._budget.size} bytes"))
        elif answer.kind != pdu.RESPONSE:
            self._end(Refused(f"a PDU of kind {answer.kind:#04x} instead of an answer"))
        elif answer.status:
            self._refused(answer)
        elif self._scalars:
            self._take_scalars(answer)
        else:
            self._take_rows(answer, size)

    def _take_scalars(self, answer: Pdu) -> None:
        asked = self._scalars[: self._at_once]
        if answer.oids != asked:
            self._end(Lying("other objects than were asked for"))
            return
        self.result.scalars.update(
            (name, value)
            for name, value in zip(asked, answer.values, strict=True)
            if value is not None and not isinstance(value, Missing)
        )
        del self._scalars[: len(asked)]
        self._continue()

    def _take_rows(self, answer: Pdu, size: int) -> None:
        oids, values, span = answer.oids, answer.values, self._span
        if span is None or not oids:
            self._end(Lying("an answer without variables"))
            return
        last = oids[-1]
        common = len(span.entry)
        if values[-1] is END or not (span.holds(last) or self._crosses(span, oids)):
            self._pass_span(oids, values)
            return
        if not increases(self._cursor, last, common) or not _ascending(oids):
            self._end(Lying(f"OIDs that do not increase, at {_shown(last)}"))
            return
        self.result.oids += oids
        self.result.values += values
        self._rows += len(oids)
        span = self._plan.spans[self._next]
        if self._rows > self._budget.rows * (1 if span.last == 255 else span.last - span.first + 1):
            self._end(Lying(f"more than {self._budget.rows} rows in {_shown(span.start)}"))
            return
        self._manners.good(len(oids), size)
        self._cursor = last
        self._continue()

    def _crosses(self, span: Span, oids: list[bytes]) -> bool:
        """Whether an answer goes on into the next spans of the same table with wanted columns alone; goes there too."""
        length = len(span.entry) + 1
        columns = {name[:length] for name in oids}
        if not columns <= self._plan.columns:
            return False
        spans = self._plan.spans
        following = self._next
        found = self._rows
        while following < len(spans) and not spans[following].holds(oids[-1]):
            passed = spans[following]
            if passed.entry != span.entry:
                return False
            if not found and not any(passed.holds(column + b"\x01") for column in columns):
                return False
            following, found = following + 1, 0
        if following == len(spans):
            return False
        self._next, self._span, self._rows = following, spans[following], 0
        return True

    def _pass_span(self, oids: list[bytes], values: list[Value]) -> None:
        """Take an answer that goes beyond the current span: it may reach into those behind it, or end them all."""
        result = self.result
        before = self._cursor
        spans = self._plan.spans
        found = self._rows
        for name, value in zip(oids, values, strict=True):
            if value is END:
                self._finish(found)
                result.missing.update(span.start for span in spans[self._next + 1 :])
                self._end(None)
                return
            if not increases(before, name):
                self._end(Lying(f"OIDs that do not increase, at {_shown(name)}"))
                return
            before = name
            while (
                self._next < len(spans)
                and not spans[self._next].holds(name)
                and increases(spans[self._next].start, name)
            ):
                self._finish(found)
                found = 0
                self._next += 1
            if self._next >= len(spans):
                self._end(None)
                return
            if spans[self._next].holds(name):
                result.oids.append(name)
                result.values.append(value)
                found += 1
        span = spans[self._next]
        self._span, self._rows = span, found
        self._cursor = before if span.holds(before) else span.start
        self._continue()

    def _finish(self, found: int) -> None:
        """Note the end of the current span."""
        if not found:
            self.result.missing.add(self._plan.spans[self._next].start)

    def _refused(self, answer: Pdu) -> None:
        """Get along with an error status."""
        status = answer.status
        if status == pdu.TOO_BIG:
            self._smaller()
        elif self._scalars:
            asked = self._scalars[: self._at_once]
            if status == pdu.NO_SUCH_NAME and not 0 < answer.at <= len(asked):
                self._end(Refused("noSuchName without saying which"))
                return
            del self._scalars[answer.at - 1 if 0 < answer.at <= len(asked) else 0]
            self._continue()
        elif status == pdu.NO_SUCH_NAME and self._speaker.version == V1:
            self._finish(self._rows)
            self.result.missing.update(span.start for span in self._plan.spans[self._next + 1 :])
            self._end(None)
        elif status == pdu.GEN_ERR:  # one bad row in a table: what is behind it is out of reach
            self._skip()
        else:
            name = pdu.STATUS[status] if 0 < status < len(pdu.STATUS) else str(status)
            self._end(Refused(f"the device answers {name}"))

    def _smaller(self) -> None:
        if self._scalars and self._at_once > 1:
            self._at_once //= 2
        elif self._scalars:
            del self._scalars[0]
        elif self._manners.repetitions > 1:
            self._manners.bad()
        else:
            self._skip()
            return
        self._continue()

    def _skip(self) -> None:
        """Leave the rest of the current span."""
        self._span = None
        self._next += 1
        self._continue()

    def failed(self, error: SnmpError) -> None:
        """Take that a request was not answered."""
        if isinstance(error, Silent):
            self._manners.bad()
        self._end(error)

    def _late(self) -> None:
        if not self.result.requests or not self.result.size:
            self._end(Silent(f"no answer within {self._budget.seconds:g} s"))
        else:
            self._end(Lying(f"not done within {self._budget.seconds:g} s"))

    # The end

    def _end(self, error: SnmpError | None) -> None:
        if self._over:
            return
        self._over = True
        self._stop()
        self.result.error = error
        self.result.seconds = asyncio.get_running_loop().time() - self._started
        self._done(self.result)

    def _stop(self) -> None:
        if self._timer:
            self._timer.cancel()
        if self._request:
            self._channel.drop(self._request)
            self._request = None


def _ascending(oids: list[bytes]) -> bool:
    """Whether each OID comes behind the one before; in the order of bytes, which is that of OIDs but for rare cases."""
    if oids == sorted(oids):
        return True
    return all(increases(one, other) for one, other in pairwise(oids))


def _shown(name: bytes) -> str:
    try:
        return decode(name)
    except SnmpError:
        return name[:16].hex()


async def walk(
    channel: Channel,
    address: Address,
    speaker: Speaker,
    plan: Plan,
    *,
    manners: Manners | None = None,
    budget: Budget | None = None,
) -> Result:
    """Poll a device once, and return what it gave; failures are in `Result.error`."""
    future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

    def done(result: Result) -> None:
        if not future.done():
            future.set_result(result)

    started = Walk(channel, address, speaker, plan, manners=manners or Manners(), budget=budget or Budget(), done=done)
    started.start()
    try:
        return await future
    finally:
        started.cancel()
