"""The agents' port: it listens, answers, and hands what is taken to the log."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from agent import wire
from collector.diagnosis.desk import RequestDesk
from collector.errors import LogError, Refusal
from collector.foreign import route as foreign
from collector.ingest.commit import Committer
from collector.ingest.connection import SWEEP_SECONDS, Connection, Reply, Slot
from collector.ingest.counters import Counters
from collector.ingest.downloads import Downloads
from collector.ingest.enrolling import enrol
from collector.ingest.http import Request, answer, closing, refusal, with_lines
from collector.ingest.intake import Intake, Sender, Taken, not_written
from collector.ingest.lane import Lane
from collector.ingest.messages import Enrolment, JsonPush, decode, frames_of
from collector.ingest.pace import Pace
from collector.ingest.repeated import RepeatedHead
from collector.ingest.requests import Refusals
from collector.ingest.senders import Senders
from collector.log import Log
from collector.logs import new_id, request_id
from collector.register import Device, Register
from collector.register.writers import Writers
from collector.remotewrite.parts import Parts
from collector.remotewrite.receiver import PATH as WRITE_PATH
from collector.remotewrite.receiver import Receiver
from collector.remotewrite.receiver import Sender as Writer
from collector.remotewrite.route import RemoteWrite

MAX_WRONG_TOKENS: Final = 100  # a minute and address
FORGIVE_SECONDS: Final = 60.0
KEY_PATH: Final = b"/v1/diagnosis-key"
REQUESTS_PATH: Final = b"/v1/requests"
RESULTS_PATH: Final = b"/v1/results"
FORWARDED: Final = (b"/v1/enrol", b"/v1/retire", WRITE_PATH, KEY_PATH, REQUESTS_PATH, RESULTS_PATH, foreign.PATH)
JSON_TYPE: Final = b"application/json"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the port is told by the configuration."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    ca: Path
    interval: float | None
    linger: float
    max_connections: int
    backlog_bytes: float = 0.0  # a second, of backlogs that come back; 0: as they come
    listening: socket.socket | None = None  # instead of host and port


class Port:
    """Takes requests of agents.

    Attributes:
        committer: takes records; a request of its own is settled by calling it with the error, or None.
        connections: those that are open.
        peers: the IP address from which each device has come last.
    """

    def __init__(
        self,
        settings: Settings,
        log: Log,
        register: Register,
        senders: Senders,
        intake: Intake,
        *,
        changed: Callable[[], Awaitable[None]],
        committed: Callable[[bool], None],
        clock: Callable[[], float],
        observe: Callable[[float], None] = lambda _: None,
        receiver: Receiver | None = None,
        forward: Callable[[Request], Coroutine[Any, Any, bytes]] | None = None,
        desk: RequestDesk | None = None,
        lines: dict[int, bytes] | None = None,
    ) -> None:
        """`changed()` is awaited when the register was changed here, before that is answered; `committed(other)` is
        called after each group that is durable, `other` says whether it held anything but pushes;
        `forward(request)` answers what is no push, where another process does that; `lines` are further header lines
        for the answers to pushes, by device.
        """
        self.counters = Counters()
        self.committer = Committer(log, linger=settings.linger, settled=self._settled, observe=observe)
        self._desk = desk
        self._lines = lines if lines is not None else desk.lines if desk else {}
        self._lane = Lane(senders, intake, self.committer, self.counters, clock=clock, lines=self._lines)
        self.arrived, self.wake = self._lane.arrived, self._lane.wake
        self.connections: set[Connection] = set()
        self._settings = settings
        self._register = register
        self._senders = senders
        self._intake = intake
        self._changed = changed
        self._forward = forward
        self._committed = committed
        self._clock = clock
        self.writes = RemoteWrite(
            receiver or Receiver(Writers(register.engine), Parts()),
            self.committer,
            clock=clock,
            later=self._later,
            changed=changed,
            wrote=self._wrote,
        )
        self._pace = Pace(settings.backlog_bytes)
        self._refusals = Refusals(clock)
        self._downloads = Downloads(settings.ca)
        self.peers: dict[int, str] = {}
        self._wrong: dict[str, int] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._others: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            OSError: the address cannot be used.
        """
        settings = self._settings
        where: dict[str, Any] = {"host": settings.host, "port": settings.port}
        if settings.listening is not None:
            where = {"sock": settings.listening}
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self, self._clock, self.connections, settings.max_connections),
            **where,
            ssl=settings.tls,
            backlog=4096,
        )
        run, sweep = self.committer.run(), self._sweep()
        await self.writes.refresh()
        self._tasks = [asyncio.create_task(work) for work in (run, sweep, self.writes.run())]

    @property
    def number(self) -> int:
        """The port it listens on: the one of the settings, or the one that the system chose for 0."""
        sockets = self._server.sockets if self._server else ()
        return int(sockets[0].getsockname()[1]) if sockets else self._settings.port

    def refuse_more(self) -> None:
        """Cease to listen; those who are connected go on."""
        if self._server:
            self._server.close()

    async def stop(self) -> None:
        """Cease to listen, write and answer what was accepted, close the connections."""
        self.refuse_more()
        self.release()
        for task in self._tasks[1:]:
            task.cancel()
        self.committer.stop()
        await asyncio.gather(*self._tasks, *self._others, return_exceptions=True)
        for connection in list(self.connections):
            connection.close()
        if self._server:
            await self._server.wait_closed()

    def release(self) -> None:
        """Answer the calls that are held, and hold no more."""
        if self._desk is not None:
            self._desk.close()

    async def _sweep(self) -> None:
        """Close connections whose time is over, and forgive wrong tokens after a minute."""
        since = 0.0
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            for connection in list(self.connections):
                connection.sweep(SWEEP_SECONDS)
            since += SWEEP_SECONDS
            if since >= FORGIVE_SECONDS:
                since = 0.0
                self._wrong.clear()

    # Pushes

    def push(self, connection: Connection, slot: Slot, head: RepeatedHead, sent: float | None, body: bytes) -> None:
        """Take a push whose head is known: nearly all are, and nearly all of them have a single row."""
        senders = self._senders
        if head.version != senders.version:
            head.sender, head.version = senders.find(head.request.token()), senders.version
        sender = head.sender
        now = self._clock()
        if sender is not None and not self.committer.busy:
            wait = sender.account.allowance.wait(now) or sender.customer.allowance.wait(now)
            row = None if wait else self._intake.take_row(sender, head.plain(body), sent=sent, now=now)
            if row is not None:
                sender.account.allowance.spend(row.columns)
                sender.customer.allowance.spend(row.columns)
                self._lane.put_one(
                    row.record, (connection, slot, sender, row.epoch, row.before, row.columns), len(body)
                )
                return
        self.handle(head.request.with_body(sent, body), partial(connection.answer, slot))

    def handle(self, request: Request, reply: Reply) -> None:
        """Take any request."""
        identity = new_id()
        context = request_id.set(identity)

        def counted(response: bytes) -> None:
            self.counters.count(int(response[9:12]))
            reply(self._refusals.answered(request, identity, response))

        try:
            if request.path == b"/v1/push" and request.method == b"POST":
                self._push(request, counted)
            elif self._forward is not None and request.path.partition(b"?")[0] in FORWARDED:
                self._later(self._forward(request), counted)
            elif request.path == WRITE_PATH and request.method == b"POST":
                self._write(request, counted)
            elif request.path == foreign.PATH and request.method == b"POST":
                self._alerts(request, counted)
            else:
                self._other(request, counted)
        except Refusal as error:
            reason = error.reason or str(error.status)
            self.counters.refused[reason] = self.counters.refused.get(reason, 0) + 1
            counted(refusal(error, self._clock()))
        finally:
            request_id.reset(context)

    def _push(self, request: Request, reply: Reply) -> None:
        sender = self._sender(request)
        if self.committer.busy:
            raise Refusal(429, "the collector is busy", retry_after=self._pace.retry_after(), reason="busy")
        now = self._clock()
        self._senders.accounts.check_rate(sender.account, sender.customer, now)
        body = request.content()
        if request.content_type.startswith(JSON_TYPE):
            push = decode(body, JsonPush, limit=wire.MAX_BODY)
            body = frames_of(push, push.epoch or int(now * 1000))
        taken = self._intake.take(sender, body, sent=request.sent, now=now)
        sender.account.allowance.spend(taken.values)
        sender.customer.allowance.spend(taken.values)
        self.counters.bytes += len(request.body)
        self.counters.duplicates += not taken.records
        self.committer.put(taken.records, partial(self._pushed, taken, len(body), reply))

    def _write(self, request: Request, reply: Reply) -> None:
        self.writes.handle(self._writer(request), request, reply)

    def _alerts(self, request: Request, reply: Reply) -> None:
        writer = self._writer(request).writer
        foreign.take(request, writer, self.committer.put, clock=self._clock, reply=reply, wrote=lambda: self._wrote(0))

    def _writer(self, request: Request) -> Writer:
        """Return who may write metrics and alerts with the request's token."""
        writer = self.writes.find(request.token())
        if writer is None:
            self._count_wrong(request.peer)
            raise Refusal(401, "this token is not known, or no longer")
        if self.committer.busy:
            raise Refusal(429, "the collector is busy", retry_after=self._pace.retry_after(), reason="busy")
        self.counters.bytes += len(request.body)
        return writer

    def _wrote(self, samples: int) -> None:
        self.counters.pushes += 1
        self.counters.values += samples

    def _pushed(self, taken: Taken, size: int, reply: Reply, error: LogError | None) -> None:
        if error is not None:
            self._intake.take_back(taken)
            reply(refusal(not_written(error), self._clock()))
            return
        self.counters.pushes += 1
        self.counters.values += taken.values
        pace = self._pace.advice(taken, size, self._clock())
        if pace is not None:
            reply(answer(200, self._clock(), msgspec.json.encode({"pace": round(pace, 3)})))
        else:
            lines = self._lines.get(taken.sender.device.id, b"")
            reply(with_lines(answer(204, self._clock()), lines))

    def _settled(self, error: LogError | None, other: bool) -> None:
        if error is None:
            self._committed(other)

    def failed(self) -> bytes:
        """Return the answer to a request that raised what nobody expected; it is being handled."""
        _LOG.exception("a request failed")
        self.counters.count(500)
        return closing(refusal(Refusal(500, "the collector made an error; its log tells more"), self._clock()))

    # Other requests

    def _other(self, request: Request, reply: Reply) -> None:
        path = request.path.partition(b"?")[0]
        if self._desk is not None and path in (KEY_PATH, REQUESTS_PATH, RESULTS_PATH):
            self._diagnosis(self._desk, path, request, reply)
            return
        match request.method, request.path:
            case b"POST", b"/v1/enrol":
                self._later(self._enrol(decode(request.content(), Enrolment), request.peer), reply)
            case b"POST", b"/v1/retire":
                self._later(self._retire(self._sender(request).device), reply)
            case b"GET", (b"/-/ready" | b"/-/healthy"):
                self._health(request.path, reply)
            case _, (b"/api/v1/write" | b"/api/v2/alerts" | b"/v1/push" | b"/v1/enrol" | b"/v1/retire"):
                raise Refusal(405, "not with this method")
            case method, name if name in self._downloads:
                if method != b"GET":
                    raise Refusal(405, "not with this method")
                self._later(self._download(name), reply)
            case _:
                raise Refusal(404, "there is nothing here; the pages are on the other port")

    def _diagnosis(self, desk: RequestDesk, path: bytes, request: Request, reply: Reply) -> None:
        sender = self._sender(request)
        match request.method, path:
            case b"GET", b"/v1/diagnosis-key":
                content = msgspec.json.encode({"diagnosis_key": desk.key.public})
                reply(answer(200, self._clock(), content))
            case b"GET", b"/v1/requests":
                desk.requests(sender, request, reply)
            case b"POST", b"/v1/results":
                self._later(desk.results(sender, request), reply)
            case _:
                raise Refusal(405, "not with this method")

    def _health(self, path: bytes, reply: Reply) -> None:
        """Ready is who can take a push; healthy, who can answer at all."""
        if path == b"/-/ready" and self.committer.failing:
            raise Refusal(503, f"the log takes nothing: {self.committer.failing}", retry_after=5)
        word = b"ready\n" if path == b"/-/ready" else b"healthy\n"
        reply(answer(200, self._clock(), word, content_type="text/plain"))

    def _sender(self, request: Request) -> Sender:
        sender = self._senders.find(request.token())
        if sender is None:
            self._count_wrong(request.peer)
            raise Refusal(401, "this token is not known, or no longer")
        self.peers[sender.device.id] = request.peer
        return sender

    def _count_wrong(self, peer: str) -> None:
        wrong = self._wrong[peer] = self._wrong.get(peer, 0) + 1
        if wrong > MAX_WRONG_TOKENS:
            raise Refusal(429, "too many wrong tokens from this address", retry_after=60, reason="wrong_tokens")

    async def _enrol(self, wish: Enrolment, peer: str) -> bytes:
        now, interval = self._clock(), self._settings.interval
        try:
            content = await asyncio.to_thread(enrol, self._register, wish, now=now, interval=interval)
        except PermissionError as error:
            self._count_wrong(peer)
            raise Refusal(403, str(error)) from error
        await self._changed()
        if self._desk is not None:
            content["diagnosis_key"] = self._desk.key.public
        return answer(201, self._clock(), msgspec.json.encode(content))

    async def _download(self, path: bytes) -> bytes:
        content, content_type = await self._downloads.read(path)
        return answer(200, self._clock(), content, content_type=content_type)

    async def _retire(self, device: Device) -> bytes:
        await asyncio.to_thread(self._register.retire, device.id, self._clock())
        await self._changed()
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
            except Exception:  # noqa: BLE001 - as in Connection, for who answers later
                reply(self.failed())

        task = asyncio.create_task(run())
        self._others.add(task)
        task.add_done_callback(self._others.discard)
