"""A real agents' port: sockets, TLS, log and register on disk."""

import asyncio
import http.client
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from agent import wire
from collector import pki
from collector.ingest.intake import Intake
from collector.ingest.senders import Senders
from collector.ingest.server import IngestServer, Settings
from collector.log import Log, Reader, Record, RecordKind
from collector.register import Register
from collector.register.models import Base
from collector.register.writers import Writers
from collector.remotewrite.parts import Parts
from collector.remotewrite.receiver import Receiver
from collector.state import State

START = 1_760_000_000.0


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class Port:
    """An agents' port that runs, and what is needed to speak to it and to look behind it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        engine = create_engine(f"sqlite:///{folder / 'register.db'}")
        Base.metadata.create_all(engine)
        self.register = Register(engine)
        self.pki = pki.prepare(folder / "pki", ["localhost", "127.0.0.1"], pki.utc_now())
        self.clock = Clock()
        self.log = Log(folder / "log")
        self.intake = Intake()
        self.known = State()  # what the log held when it started
        self.server: IngestServer
        self.number = 0

    def connect(self) -> http.client.HTTPSConnection:
        """Return a new connection, whose peer is verified with the CA alone."""
        context = ssl.create_default_context(cafile=str(self.pki.ca))
        return http.client.HTTPSConnection("127.0.0.1", self.number, context=context, timeout=10)

    def request(
        self, path: str, body: bytes = b"", token: str = "", method: str = "POST", **headers: str
    ) -> tuple[int, bytes, http.client.HTTPMessage]:
        """Send one request on a connection of its own, and return status, body and headers of the answer."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            named["Authorization"] = f"Bearer {token}"
        connection = self.connect()
        try:
            connection.request(method, path, body, named)
            response = connection.getresponse()
            return response.status, response.read(), response.headers
        finally:
            connection.close()

    def enrolled(self, name: str = "pc1", customer: str = "acme") -> str:
        """Return the token of a new device that may report."""
        secret = self.register.create_enrol_token(customer, "hq", now=START)
        return self.register.enrol(secret, name, os="linux", kind="server", now=START).token

    @contextmanager
    def failing_log(self) -> Iterator[None]:
        """Let the log take nothing for a while: each write begins a file, in a folder that is not there."""
        saved, self.log.directory = self.log.directory, self.folder / "gone"
        size, self.log._segment_bytes = self.log._segment_bytes, -1
        try:
            yield
        finally:
            self.log.directory, self.log._segment_bytes = saved, size

    def records(self, kind: RecordKind | None = None) -> list[Record]:
        """Return what is durable in the log."""
        reader = Reader(self.log.directory)
        found: list[Record] = []
        while batch := reader.read(self.log.head):
            found += batch
        return [record for record in found if kind in (None, record.kind)]

    def frames(self) -> list[wire.Frame]:
        """Return the devices' frames that are durable in the log."""
        found = [wire.read_frame(record.body) for record in self.records(RecordKind.FRAME)]
        return [frame for frame in found if frame is not None]


@contextmanager
def running(port: Port, *, most: int = 100, interval: float | None = 10.0) -> Iterator[Port]:
    """Run the server of a port in a thread with a loop of its own."""
    started, loop = threading.Event(), asyncio.new_event_loop()
    stop: list[asyncio.Event] = []

    parts = Parts()
    parts.restore(port.known.parts, port.known.schemas)
    receiver = Receiver(Writers(port.register.engine), parts)

    async def main() -> None:
        port.server = IngestServer(
            Settings("127.0.0.1", 0, port.pki.context(), port.pki.ca, interval, 0.001, most),
            port.log,
            port.register,
            Senders(port.register, {}),
            port.intake,
            announced=dict(port.known.devices),
            committed=lambda _: None,
            clock=port.clock,
            receiver=receiver,
        )
        await port.server.start(None)
        port.number = port.server.port
        stop.append(asyncio.Event())
        started.set()
        await stop[0].wait()
        await port.server.stop()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    assert started.wait(10)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(stop[0].set)
        thread.join()
        loop.close()
        port.log.close()


@pytest.fixture
def port(tmp_path: Path) -> Iterator[Port]:
    """A running port with an empty register."""
    with running(Port(tmp_path)) as started:
        yield started


SERIES = ["node_load1", 'node_filesystem_avail_bytes{mountpoint="/",fstype="ext4"}']
SCHEMA = wire.encode_schema(SERIES)


def schema(epoch: int = 7) -> bytes:
    """The frame of a schema with two columns."""
    return wire.encode(wire.Kind.SCHEMA, epoch, 0, SCHEMA)


def rows(seq: int, *values: list[float], epoch: int = 7, time: float = START) -> bytes:
    """A frame of rows for it."""
    times = [time + 10 * index for index in range(len(values))]
    return wire.encode(wire.Kind.ROWS, epoch, seq, wire.encode_rows(wire.schema_id(SCHEMA), times, list(values)))
