"""Brings batches to the collector: each at once while it answers, from the spool when it was away.

A batch is in memory until the collector has it. When that takes long or fails, it goes to the spool, synced, before
the next one is taken; so a kill loses at most one, and a collector's outage none. While the spool holds anything, new
batches go there too, and it is sent oldest first, a segment a request, at a bounded pace. Only what is new overtakes a
long backlog, see spool.py.
"""

from __future__ import annotations

import time
import zlib

from agent import plainjson, wire
from agent.answer import Answer
from agent.connection import Want
from agent.errors import CertificateError, TransportError
from agent.segment import Item, Segment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from agent.connection import Connection
    from agent.log import Log
    from agent.spool import Spool

    Waiting = Generator[Want, None, None]

FOREVER = float("inf")
MAX_IN_MEMORY = 400_000  # bytes of batches, while the disk takes none
DEFLATE_FROM = 256  # bytes; below, the head costs more than deflate saves
TAKEN, REFUSED, LATER = "taken", "refused", "later"


class Timing:
    """How long to wait for what, in seconds."""

    __slots__ = ("bandwidth", "first_retry", "last_retry", "pace", "timeout", "unauthorized")

    def __init__(
        self,
        *,
        timeout: float = 15.0,
        first_retry: float = 1.0,
        last_retry: float = 60.0,
        unauthorized: float = 300.0,
        pace: float = 0.1,
        bandwidth: int = 0,
    ) -> None:
        """`bandwidth` is what a backlog may take, in bytes a second; 0 for no limit."""
        self.timeout = timeout
        self.first_retry = first_retry
        self.last_retry = last_retry
        self.unauthorized = unauthorized
        self.pace = pace
        self.bandwidth = bandwidth


class Sender:
    """What is not yet the collector's, and how it gets there. `steps()` is driven by the loop."""

    __slots__ = (
        "_connection",
        "_failures",
        "_known",
        "_log",
        "_random",
        "_retry_after",
        "_schemas",
        "_sent",
        "_token",
        "clock",
        "clock_offset",
        "dropped",
        "fresh",
        "heed",
        "interval",
        "last_contact",
        "last_error",
        "monotonic",
        "pace",
        "pushes",
        "refused",
        "spool",
        "timing",
    )

    def __init__(
        self,
        connection: Connection,
        token: str,
        spool: Spool,
        log: Log,
        *,
        timing: Timing,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        random: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._token = token
        self.spool = spool
        self._log = log
        self.timing = timing
        self.clock = clock
        self.monotonic = monotonic
        self._random = random
        self.fresh: list[Item] = []  # not on disk
        self._schemas: dict[int, bytes] = {}  # payloads by id, of what is in memory
        self._known: set[int] = set()  # schemas that this collector has had from us
        self._failures = 0
        self._retry_after = 0.0
        self._sent = 0  # bytes of the last body
        self.clock_offset: float | None = None
        self.interval: float | None = None
        self.pace = timing.pace  # the collector's wish, if it has one
        self.last_contact: float | None = None
        self.last_error = ""
        self.pushes = 0
        self.heed: Callable[[dict[str, str]], None] = lambda _headers: None  # takes what the heads of answers advise
        self.refused = 0
        self.dropped = 0

    def offer(self, kind: int, payload: bytes, schema: int = 0, schema_payload: bytes = b"") -> None:
        """Take a batch; whatever the collector does not have yet is on disk before, if the disk lets us."""
        if any(item.schema for item in self.fresh):
            self.keep()
        if schema:
            self._schemas[schema] = schema_payload
        self.hold(kind, payload, schema)
        if self.spool and not self.spool.behind:
            self.keep()

    def hold(self, kind: int, payload: bytes, schema: int = 0) -> None:
        """Take a frame that may wait in memory for the next batch."""
        seq = self.spool.number()
        self.fresh.append(Item(seq, wire.encode(kind, self.spool.epoch, seq, payload), schema))
        while len(self.fresh) > 1 and sum(len(item.frame) for item in self.fresh) > MAX_IN_MEMORY:
            del self.fresh[0]
            self.dropped += 1

    def keep(self) -> None:
        """Bring what is in memory to the disk."""
        if self.fresh and self.spool.append(self.fresh, self._schemas):
            self.fresh = []
        needed = {item.schema for item in self.fresh}
        self._schemas = {schema: payload for schema, payload in self._schemas.items() if schema in needed}

    @property
    def idle(self) -> bool:
        """Whether the collector has everything."""
        return not self.fresh and not self.spool

    def steps(self) -> Waiting:
        """Send for ever; yields whenever there is something to wait for. Resume it early when a batch was offered."""
        while True:
            if self.idle:
                yield Want(-1, 0, FOREVER)
                continue
            wait = yield from self.send_next()
            until = self.monotonic() + wait
            while self.monotonic() < until and not self._overtakes:
                yield Want(-1, 0, until)

    def send_next(self) -> Generator[Want, None, float]:
        """Send one body; return how long to wait before the next."""
        segment = self._first()
        if segment is None:
            return 0.0
        outcome = yield from self._send(segment)
        if outcome is LATER:
            return self._failed()
        self._failures = 0
        if not self.fresh:
            self.spool.turn()
        if not self.spool:
            return 0.0
        limit = self.timing.bandwidth
        return max(self.pace, self._sent / limit) if limit else self.pace

    def _first(self) -> Segment | None:
        news = Segment("", self.spool.epoch, self.fresh[:], self._schemas) if self.fresh else None
        if self.spool.behind:
            return self.spool.oldest(self.spool.epoch) or news or self.spool.oldest()
        return self.spool.oldest() or news

    @property
    def _overtakes(self) -> bool:
        """Whether there is something new that need not wait until it is the backlog's turn."""
        return bool(self.fresh) and not self._failures and self.spool.behind

    def _send(self, segment: Segment) -> Generator[Want, None, str]:
        """Send a segment whole; if it is refused, frame by frame, so that only what is bad is lost."""
        outcome = yield from self._push(segment, segment.items)
        if outcome is REFUSED and len(segment.items) > 1:
            for item in segment.items:
                outcome = yield from self._push(segment, [item])
                if outcome is LATER:
                    return LATER
                self._settle(segment, [item], outcome)
        elif outcome is not LATER:
            self._settle(segment, segment.items, outcome)
        if outcome is not LATER and segment.name:
            self.spool.done(segment)
        return outcome

    def _settle(self, segment: Segment, items: list[Item], outcome: str) -> None:
        if outcome is REFUSED:
            self.refused += len(items)
            self._log.warning("batch refused", batches=len(items), error=self.last_error)
        if segment.epoch == self.spool.epoch:
            self.spool.acknowledge(items[-1].seq)
            self.fresh = [item for item in self.fresh if item.seq > items[-1].seq]

    def _push(self, segment: Segment, items: list[Item]) -> Generator[Want, None, str]:
        """Send frames in one body; return what became of them."""
        needed = dict.fromkeys(item.schema for item in items if item.schema)
        told = [schema for schema in needed if schema not in self._known or segment.name]
        for _ in range(2):
            texts = [segment.schemas[schema] for schema in told if schema in segment.schemas]
            schemas = [wire.encode(wire.Kind.SCHEMA, segment.epoch, 0, text) for text in texts]
            body = b"".join(schemas + [item.frame for item in items])
            try:
                answer = yield from self._post(body)
            except TransportError as error:
                return self._later(str(error), error)
            if answer.status != 409:
                break
            self._known.clear()
            told = list(needed)
        outcome = self._judge(answer)
        if outcome is TAKEN:
            self._known.update(told)
        return outcome

    def _post(self, body: bytes) -> Generator[Want, None, Answer]:
        encoding = ""
        if len(body) >= DEFLATE_FROM:
            packed = deflate(body)
            if len(packed) < len(body):
                body = packed
                encoding = "Content-Encoding: deflate\r\n"
        self._sent = len(body)
        sent = self.clock()
        head = (
            f"POST /v1/push HTTP/1.1\r\nAuthorization: Bearer {self._token}\r\nContent-Type: {wire.CONTENT_TYPE}\r\n"
            f"{wire.TIME_HEADER}: {sent:.3f}\r\n{encoding}"
        )
        started = self.monotonic()
        answer = yield from self._connection.request(head, body, self.timing.timeout)
        self.pushes += 1
        self._measure_clock(answer, sent, self.monotonic() - started)
        return answer

    def _measure_clock(self, answer: Answer, sent: float, seconds: float) -> None:
        """The collector read its clock some time between: at half time, give or take half the time it took."""
        try:
            theirs = float(answer.headers.get(wire.TIME_HEADER.lower(), ""))
        except ValueError:
            return
        if abs(theirs) < 1e11:
            self.clock_offset = round(sent + seconds / 2 - theirs, 3)

    def _judge(self, answer: Answer) -> str:
        """Return what an answer means for the frames that were sent."""
        if answer.status in (200, 204):
            if answer.status == 200 and not self._take_advice(answer.body):
                return self._later("the collector's answer is not JSON")
            self.last_contact = self.clock()
            self.last_error = ""
            self.heed(answer.headers)
            return TAKEN
        said = f"the collector answered {answer.status}"
        if answer.status in (400, 409, 413):
            self.last_error = f"{said} {_error(answer.body)}".strip()
            return REFUSED
        if answer.status == 401:
            self._retry_after = self.timing.unauthorized
            return self._later(f"{said}: the device's token is not known there (any more); enrol again")
        if answer.status in (429, 503):
            said_seconds = answer.headers.get("retry-after", "")
            self._retry_after = min(float(said_seconds), 3_600.0) if said_seconds.isdigit() else 0.0
        return self._later(said)

    def _take_advice(self, body: bytes) -> bool:
        try:
            advice = plainjson.loads(body.decode())
        except ValueError:
            return False
        if not isinstance(advice, dict):
            return False
        interval = advice.get("interval")
        if isinstance(interval, int | float) and not isinstance(interval, bool) and 1 <= interval <= 3_600:
            self.interval = float(interval)
        pace = advice.get("pace")
        if isinstance(pace, int | float) and not isinstance(pace, bool) and 0 <= pace <= 60:
            self.pace = float(pace)
        return True

    def _later(self, reason: str, error: TransportError | None = None) -> str:
        if self.last_error != reason:
            log = self._log.error if isinstance(error, CertificateError) else self._log.warning
            log("collector not reached", error=reason)
        self.last_error = reason
        return LATER

    def _failed(self) -> float:
        """Return how long to wait after a failure: longer each time, never two agents the same."""
        self.keep()
        self.spool.release()
        if self._connection.fail_over() and not self._retry_after:
            return self._random() * self.timing.first_retry
        wait = min(self.timing.last_retry, self.timing.first_retry * 2.0 ** min(self._failures, 16))
        self._failures += 1
        asked, self._retry_after = self._retry_after, 0.0
        return max(asked, wait / 2) + self._random() * max(wait, asked / 2)

    def goodbye(self, payload: bytes, timeout: float) -> Waiting:
        """Say it as the last thing, with all that waits, if that can be done in time; what cannot is left on disk."""
        until = self.monotonic() + timeout
        self._connection.close()
        self.hold(wire.Kind.GOODBYE, payload)
        if self.spool:
            self.keep()
        while not self.idle and self.monotonic() < until:
            self.timing = Timing(timeout=until - self.monotonic())
            self.pace = 0.0
            yield from self.send_next()
            if self._failures:
                break
        self.keep()
        self._connection.close()


def deflate(body: bytes) -> bytes:
    """Return the body in zlib's format; with a small window, for a large one would cost its memory for ever."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 13, 6)
    return packer.compress(body) + packer.flush()


def _error(body: bytes) -> str:
    try:
        said = plainjson.loads(body.decode())
    except ValueError:
        return ""
    if not isinstance(said, dict):
        return ""
    return ": ".join(str(said[key])[:200] for key in ("path", "error") if key in said)


def jitter(read: Callable[[int], bytes]) -> Callable[[], float]:
    """Return a source of numbers from 0 to 1; the random module would cost 1 MB."""
    return lambda: int.from_bytes(read(2), "big") / 65_536
