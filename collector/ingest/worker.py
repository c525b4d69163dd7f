"""An ingest process: takes pushes into a partition of the log, and hands all other requests to the main process.

`python -m collector.ingest.worker FD` with the file descriptor of a socket to the main process, over which lines of
JSON go both ways: the first is a `Task`, then `{"refresh": n}`, `{"forget": [schema …]}`, `{"lines": {device: header
lines}}`, `{"spent": {customer: values}}` and `{"stop": true}` come, and `{"ready": true}`, `{"refreshed": n}`,
`{"spent": {…}}` and `{"stats": {…}}` go. What a customer's devices sent to one process is told to the others, which
share the limit.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import socket
import ssl
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from collector.diagnosis.desk import apply
from collector.errors import Refusal
from collector.ingest.http import Request
from collector.ingest.intake import Intake
from collector.ingest.limits import Limits
from collector.ingest.port import Port, Settings
from collector.ingest.published import Heads, PublishedLog
from collector.ingest.senders import Senders
from collector.log.partitions import folder
from collector.logs import Format, log_to_stderr
from collector.register import Register
from ticketing.database import connect

STATS_SECONDS = 1.0
FORWARD_SECONDS = 60.0
_LOG = logging.getLogger(__name__)


class Task(msgspec.Struct, frozen=True):
    """What an ingest process is to do. `listening` is the descriptor of the agents' port, `main` the main process'
    own port for agents, a Unix socket; `floor` is the first number that the partition may give.
    """

    partition: int
    listening: int
    log: str
    heads: str
    main: str
    database: str
    certificate: str
    ca: str
    floor: int
    segment_bytes: int
    interval: float | None
    linger: float
    max_connections: int
    backlog_bytes: float
    limits: dict[str, float]
    schemas: dict[str, int]
    log_format: Format = "text"


class Worker:
    """One ingest process."""

    def __init__(self, task: Task, control: socket.socket) -> None:
        self._task = task
        self._control = control
        self._syncs = [0, 0.0]  # how many, and their seconds
        log = Path(task.log)
        directory = folder(log, task.partition)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = (directory / "lock").open("a")
        fcntl.flock(self._lock, fcntl.LOCK_EX)  # a process of an earlier start may still write what it accepted
        heads = Heads(Path(task.heads), make=False)
        self._log = PublishedLog(directory, heads, task.partition, floor=task.floor, segment_bytes=task.segment_bytes)
        register = Register(connect(task.database))
        limits = task.limits
        bounds = Limits(
            limits["device_values"],
            limits["customer_values"],
            int(limits["device_series"]),
            int(limits["customer_series"]),
        )
        self._senders = Senders(register, {}, bounds)
        self._intake = Intake(self._senders.accounts)
        self._intake.schemas = {int(schema): columns for schema, columns in task.schemas.items()}
        self._lines: dict[int, bytes] = {}
        listening = socket.socket(fileno=task.listening)
        context = None
        if task.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.load_cert_chain(task.certificate)
        settings = Settings(
            host="",
            port=0,
            tls=context,
            ca=Path(task.ca),
            interval=task.interval,
            linger=task.linger,
            max_connections=task.max_connections,
            backlog_bytes=task.backlog_bytes,
            listening=listening,
        )
        self._port = Port(
            settings,
            self._log,
            register,
            self._senders,
            self._intake,
            changed=_nothing,
            committed=lambda _: None,
            clock=time.time,
            observe=self._synced,
            forward=self._forward,
            lines=self._lines,
        )

    def _synced(self, seconds: float) -> None:
        self._syncs[0] += 1
        self._syncs[1] += seconds

    async def run(self) -> None:
        """Work until the main process says stop, or is no more; what was accepted is written and answered."""
        reader, writer = await asyncio.open_connection(sock=self._control, limit=1 << 20)
        self._writer = writer
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stopping.set)
        loop.add_signal_handler(signal.SIGINT, lambda: None)  # Ctrl-C goes to all; the main process says stop
        await self._port.start()
        self._say({"ready": True})
        tasks = [asyncio.create_task(self._listen(reader, stopping)), asyncio.create_task(self._tell())]
        await stopping.wait()
        await self._port.stop()
        for task in tasks:
            task.cancel()
        with suppress(OSError):
            self._say({"stats": self._stats()})
            await writer.drain()

    def _say(self, message: dict[str, Any]) -> None:
        self._writer.write(msgspec.json.encode(message) + b"\n")

    async def _listen(self, reader: asyncio.StreamReader, stopping: asyncio.Event) -> None:
        while line := await reader.readline():
            message = msgspec.json.decode(line)
            if "stop" in message:
                break
            for schema in message.get("forget", ()):
                self._intake.schemas.pop(schema, None)
            if "lines" in message:
                apply(self._lines, {int(device): line.encode() for device, line in message["lines"].items()})
            for customer, values in message.get("spent", {}).items():
                self._senders.accounts.customer(customer).allowance.spent_elsewhere(values)
            if "refresh" in message:
                with suppress(SQLAlchemyError):  # what is known goes on
                    await asyncio.to_thread(self._senders.refresh)
                self._say({"refreshed": message["refresh"]})
        stopping.set()

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(STATS_SECONDS)
            self._say({"stats": self._stats()})
            if spent := self._senders.accounts.newly_spent():
                self._say({"spent": spent})

    def _stats(self) -> dict[str, Any]:
        counters, committer = self._port.counters, self._port.committer
        return {
            "requests": {str(status): count for status, count in counters.requests.items()},
            "refused": counters.refused,
            "pushes": counters.pushes,
            "values": counters.values,
            "bytes": counters.bytes,
            "duplicates": counters.duplicates,
            "connections": len(self._port.connections),
            "waiting_bytes": committer.waiting_bytes,
            "errors": committer.errors,
            "failing": committer.failing,
            "size": self._log.size,
            "syncs": self._syncs[0],
            "sync_seconds": self._syncs[1],
        }

    async def _forward(self, request: Request) -> bytes:
        """Return the main process' answer to a request."""
        head = [
            f"{request.method.decode()} {request.path.decode('latin-1')} HTTP/1.1",
            f"Content-Length: {len(request.body)}",
            "Connection: close",
        ]
        named = (
            ("Authorization", request.authorization),
            ("Content-Type", request.content_type),
            ("Content-Encoding", request.encoding),
        )
        head += [f"{name}: {value.decode('latin-1')}" for name, value in named if value]
        try:
            async with asyncio.timeout(FORWARD_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self._task.main)
                writer.write("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + request.body)
                answer = await reader.read(-1)
                writer.close()
        except (OSError, TimeoutError) as error:
            raise Refusal(503, "the collector's main process does not answer", retry_after=5) from error
        if not answer:
            raise Refusal(503, "the collector's main process did not answer", retry_after=5)
        return answer


async def _nothing() -> None:
    pass


def main() -> None:
    """Run one."""
    control = socket.socket(fileno=int(sys.argv[1]))
    line = b""
    while not line.endswith(b"\n"):
        piece = control.recv(1 << 16)
        if not piece:
            return
        line += piece
    task = msgspec.json.decode(line, type=Task)
    log_to_stderr(logging.INFO, task.log_format)
    worker = Worker(task, control)
    if sys.platform == "win32":
        asyncio.run(worker.run())
    else:
        import uvloop

        uvloop.run(worker.run())
    os._exit(0)  # pool threads have nothing left to do


if __name__ == "__main__":
    main()
