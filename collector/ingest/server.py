"""The agents' port: routes, answers, and the ticks that go into the log beside what arrives."""

import asyncio
import itertools
import ssl
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from agent import wire
from collector.errors import LogError, Refusal, RegisterError
from collector.ingest.commit import Committer, Done
from collector.ingest.http import Connection, Reply, Request, answer, refusal
from collector.ingest.intake import Intake, Sender, Taken
from collector.ingest.messages import Enrolment, JsonPush, decode, frames_of
from collector.ingest.senders import Senders
from collector.log import Log, RecordKind
from collector.log.record import encode
from collector.register import Device, Register

TICK_AT_MOST = 0.1  # seconds between ticks when data waits
TICK_AT_LEAST = 1.0
REFRESH_SECONDS = 2.0  # how often the register is read again: a revoked token is refused after that
MAX_WRONG_TOKENS = 100  # a minute and address
JSON_TYPE = b"application/json"


@dataclass(slots=True)
class Counters:
    """What the port did since its start."""

    requests: dict[int, int] = field(default_factory=dict)  # by HTTP status
    values: int = 0
    bytes: int = 0
    connections: int = 0


@dataclass(frozen=True, slots=True)
class Settings:
    """What the port is told by the configuration."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    ca: Path
    interval: float
    linger: float
    max_connections: int


class IngestServer:
    """Listens for agents. `committed(head)` is called after each group that is durable."""

    def __init__(
        self,
        settings: Settings,
        log: Log,
        register: Register,
        senders: Senders,
        intake: Intake,
        *,
        announced: dict[int, dict[str, str]],
        committed: Callable[[int], None],
        clock: Callable[[], float],
    ) -> None:
        """`announced` are the target labels of the devices that the log knows of."""
        self.counters = Counters()
        self.log = log
        self.committer = Committer(log, linger=settings.linger, committed=self._after_commit)
        self.connections: set[Connection] = set()
        self._settings = settings
        self._register = register
        self._senders = senders
        self._intake = intake
        self._announced = announced
        self._committed = committed
        self._clock = clock
        self._wrong: dict[str, int] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._others: set[asyncio.Task[None]] = set()
        self._reloading = asyncio.Lock()
        self._server: asyncio.Server | None = None
        self._last_tick = 0.0
        self._data_waits = False
        self._tick_timer: asyncio.TimerHandle | None = None

    async def start(self, rules: dict[str, str] | None) -> None:
        """Begin to listen; `rules`, if given, hold from here on.

        Raises:
            OSError: the address cannot be used.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._handle, self._clock, self.connections, self._settings.max_connections),
            self._settings.host,
            self._settings.port,
            ssl=self._settings.tls,
            backlog=4096,
        )
        self._tasks = [asyncio.create_task(self.committer.run())]
        self._write(RecordKind.START)
        if rules is not None:
            self.rules(rules)
        await self._reload()
        self._tasks += [asyncio.create_task(self._ticks()), asyncio.create_task(self._housekeeping())]

    @property
    def port(self) -> int:
        """The port it listens on: the one of the settings, or the one that the system chose for 0."""
        sockets = self._server.sockets if self._server else ()
        return int(sockets[0].getsockname()[1]) if sockets else self._settings.port

    async def stop(self) -> None:
        """Cease to listen, write what was accepted, close the connections."""
        if self._server:
            self._server.close()
        for task in self._tasks[1:]:
            task.cancel()
        if self._tick_timer:
            self._tick_timer.cancel()
        self.committer.stop()
        await asyncio.gather(*self._tasks, *self._others, return_exceptions=True)
        for connection in list(self.connections):
            connection.close()
        if self._server:
            await self._server.wait_closed()

    def rules(self, files: dict[str, str]) -> None:
        """Let these rule files hold from here on."""
        self._write(RecordKind.RULES, msgspec.json.encode(files))

    # Requests

    def _handle(self, request: Request, reply: Reply) -> None:
        def counted(response: bytes) -> None:
            status = int(response[9:12])
            self.counters.requests[status] = self.counters.requests.get(status, 0) + 1
            reply(response)

        try:
            if request.path == b"/v1/push" and request.method == b"POST":
                self._push(request, counted)
            else:
                self._other(request, counted)
        except Refusal as error:
            counted(refusal(error, self._clock()))

    def _push(self, request: Request, reply: Reply) -> None:
        sender = self._sender(request)
        if self.committer.busy:
            raise Refusal(429, "the collector is busy", retry_after=1)
        now = self._clock()
        body = request.content()
        if request.content_type.startswith(JSON_TYPE):
            push = decode(body, JsonPush, limit=wire.MAX_BODY)
            body = frames_of(push, push.epoch or int(now * 1000))
        taken = self._intake.take(sender, body, sent=request.sent, now=now)
        self.counters.bytes += len(request.body)
        self.committer.put(taken.records, lambda error: self._pushed(error, taken, reply))

    def _pushed(self, error: LogError | None, taken: Taken, reply: Reply) -> None:
        if error is not None:
            self._intake.take_back(taken)
            reply(refusal(Refusal(503, str(error), retry_after=5), self._clock()))
            return
        self.counters.values += taken.values
        self._data_waits = self._data_waits or bool(taken.records)
        reply(answer(204, self._clock()))

    def _other(self, request: Request, reply: Reply) -> None:
        match request.method, request.path:
            case b"POST", b"/v1/enrol":
                self._later(self._enrol(decode(request.content(), Enrolment), request.peer), reply)
            case b"POST", b"/v1/retire":
                self._later(self._retire(self._sender(request).device), reply)
            case b"GET", b"/v1/ca":
                pem = self._settings.ca.read_bytes()
                reply(answer(200, self._clock(), pem, content_type="application/x-pem-file"))
            case b"GET", b"/-/ready":
                reply(answer(200, self._clock(), b"ready\n", content_type="text/plain"))
            case _, (b"/v1/push" | b"/v1/enrol" | b"/v1/retire" | b"/v1/ca"):
                raise Refusal(405, "not with this method")
            case _:
                raise Refusal(404, "there is nothing here; the pages are on the other port")

    def _sender(self, request: Request) -> Sender:
        sender = self._senders.find(request.token())
        if sender is None:
            self._count_wrong(request.peer)
            raise Refusal(401, "this token is not known, or no longer")
        return sender

    def _count_wrong(self, peer: str) -> None:
        wrong = self._wrong[peer] = self._wrong.get(peer, 0) + 1
        if wrong > MAX_WRONG_TOKENS:
            raise Refusal(429, "too many wrong tokens from this address", retry_after=60)

    async def _enrol(self, wish: Enrolment, peer: str) -> bytes:
        try:
            new = await asyncio.to_thread(
                self._register.enrol, wish.token, wish.hostname, os=wish.os, kind=wish.kind, now=self._clock()
            )
        except PermissionError as error:
            self._count_wrong(peer)
            raise Refusal(403, str(error)) from error
        except RegisterError as error:
            raise Refusal(409, str(error)) from error
        await self._reload()
        content = {"device": new.device.instance, "token": new.token, "interval": self._settings.interval}
        return answer(201, self._clock(), msgspec.json.encode(content))

    async def _retire(self, device: Device) -> bytes:
        await asyncio.to_thread(self._register.retire, device.id, self._clock())
        await self._reload()
        return answer(204, self._clock())

    def _later(self, work: Coroutine[Any, Any, bytes], reply: Reply) -> None:
        """Answer a request when work that takes the database is done."""

        async def run() -> None:
            try:
                reply(await work)
            except Refusal as error:
                reply(refusal(error, self._clock()))
            except SQLAlchemyError:
                reply(refusal(Refusal(503, "the database does not answer", retry_after=5), self._clock()))

        task = asyncio.create_task(run())
        self._others.add(task)
        task.add_done_callback(self._others.discard)

    # The register and the log

    async def _reload(self) -> None:
        """Read the register again, and put what changed into the log."""
        async with self._reloading:  # or an older reading, come late, would announce a device that was just retired
            await asyncio.to_thread(self._senders.refresh)
            devices = await asyncio.to_thread(self._register.devices)
            wanted = {device.id: device.labels() for device in devices}
            for device, labels in wanted.items():
                if self._announced.get(device) != labels:
                    self._announce(device, labels)
            for device in set(self._announced) - set(wanted):
                self._announce(device, None)

    def _announce(self, device: int, labels: dict[str, str] | None) -> None:
        if labels is None:
            self._announced.pop(device)
        else:
            self._announced[device] = labels

        def done(error: LogError | None) -> None:
            if error is not None:  # told again at the next reading of the register
                self._announced[device] = {}

        self._write(RecordKind.DEVICE, msgspec.json.encode(labels), device, done)

    async def _housekeeping(self) -> None:
        """Keep true to the register, and forgive wrong tokens after a minute."""
        for beat in itertools.count(1):
            await asyncio.sleep(REFRESH_SECONDS)
            if beat % 30 == 0:
                self._wrong.clear()
            with suppress(SQLAlchemyError):  # the next beat tries again; what is known goes on
                await self._reload()

    async def _ticks(self) -> None:
        """See to it that the rules are evaluated when nothing arrives, too."""
        while True:
            await asyncio.sleep(TICK_AT_LEAST / 2)
            if self._clock() - self._last_tick >= TICK_AT_LEAST * 0.9:
                self._tick()

    def _write(self, kind: RecordKind, body: bytes = b"", device: int = 0, done: Done = lambda _: None) -> None:
        """Queue a record of the collector's own."""
        self.committer.put([encode(kind, device, self._clock(), 0.0, body)], done)

    def _after_commit(self, head: int) -> None:
        self._committed(head)
        if self._data_waits and self._tick_timer is None:
            delay = max(0.0, self._last_tick + TICK_AT_MOST - self._clock())
            self._tick_timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        self._tick_timer = None
        self._data_waits = False
        self._last_tick = self._clock()
        self._write(RecordKind.TICK)
