"""A load of agents in one process: as fast as they are answered, or each at its interval.

The values are a real machine's (`data/machine.npz`). What does not change from push to push is encoded before, so that
on a core of its own the load is not the bottleneck.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import struct
import time
import zlib
from pathlib import Path
from typing import Final, NamedTuple

from agent import wire
from agent.transport import deflate
from tests.bench.history import recording

SCHEMAS: Final = 4  # different ones in the fleet
_FRAME: Final = struct.Struct("<4sB3xIIQQ")
_HEAD: Final = struct.Struct("<4sB3xI")
_NUMBERS: Final = struct.Struct("<QQ")
_ROWS: Final = struct.Struct("<QIId")
_ZERO: Final = bytes(4)


class Kind(NamedTuple):
    """What devices that are alike send: a schema, and the values of its rows as bytes."""

    schema: bytes
    id: int
    columns: int
    rows: list[bytes]


def kinds(columns: int) -> list[Kind]:
    """Return the schemas of the fleet, each another part of a real machine's series."""
    machine = recording()
    made = []
    for number in range(SCHEMAS):
        places = [(number * 37 + 3 * place) % len(machine.series) for place in range(columns)]
        texts = list(dict.fromkeys(machine.series[place] for place in places))
        texts += [f'bench_filler{{n="{n}"}}' for n in range(columns - len(texts))]
        schema = wire.encode_schema(texts)
        rows = [machine.values[row, places].astype("<f8").tobytes() for row in range(len(machine.times))]
        made.append(Kind(schema, wire.schema_id(schema), columns, rows))
    return made


class Client:
    """A device with one connection."""

    def __init__(self, number: int, token: str, kind: Kind, *, packed: bool) -> None:
        self.kind = kind
        self.packed = packed
        self.epoch = 1_700_000_000_000 + number
        self.seq = 0
        self.sock: socket.socket
        self.turn = number
        self.sent = 0.0
        self.waiting = False
        encoding = "Content-Encoding: deflate\r\n" if packed else ""
        self.before = (
            f"POST /v1/push HTTP/1.1\r\nAuthorization: Bearer {token}\r\nContent-Type: {wire.CONTENT_TYPE}\r\n"
            f"{wire.TIME_HEADER}: "
        ).encode()
        self.middle = f"\r\n{encoding}Host: bench\r\nContent-Length: ".encode()
        self.prefix = _HEAD.pack(wire.MAGIC, wire.Kind.ROWS, 24 + 8 * kind.columns)
        self.crc = zlib.crc32(_ZERO, zlib.crc32(self.prefix))

    def connect(self, port: int, context: ssl.SSLContext | None) -> None:
        """Open the connection, and send the schema and a first row."""
        plain = socket.create_connection(("127.0.0.1", port), 30)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = plain if context is None else context.wrap_socket(plain, server_hostname="127.0.0.1")
        self.sock.sendall(self.request(time.time(), schema=True))
        self.read()
        self.sock.setblocking(False)

    def request(self, now: float, *, schema: bool = False) -> bytes:
        """Return the next push."""
        kind = self.kind
        self.seq += 1
        self.turn += 1
        numbers = _NUMBERS.pack(self.epoch, self.seq)
        payload = _ROWS.pack(kind.id, 1, kind.columns, now) + kind.rows[self.turn % len(kind.rows)]
        crc = zlib.crc32(payload, zlib.crc32(numbers, self.crc))
        body = b"".join((self.prefix, crc.to_bytes(4, "little"), numbers, payload))
        if schema:
            body = wire.encode(wire.Kind.SCHEMA, self.epoch, 0, kind.schema) + body
        if self.packed:
            body = deflate(body)
        return b"%b%.3f%b%d\r\n\r\n%b" % (self.before, now, self.middle, len(body), body)

    def read(self) -> None:
        """Take an answer, which has to be 204.

        Raises:
            RuntimeError: it is another one, or the connection has ended.
        """
        answer = self.sock.recv(4096)
        if not answer.startswith(b"HTTP/1.1 204"):
            raise RuntimeError(f"the collector answered {answer[:200]!r}")


def clients(tokens: list[str], columns: int, *, packed: bool = False) -> list[Client]:
    """Return a client for each token; their schemas are mixed."""
    made = kinds(columns)
    return [Client(number, token, made[number % len(made)], packed=packed) for number, token in enumerate(tokens)]


def trusting(data: Path, *, tls: bool) -> ssl.SSLContext | None:
    """Return what trusts the collector of a data folder."""
    return ssl.create_default_context(cafile=str(data / "pki" / "ca.pem")) if tls else None


def push(fleet: list[Client], seconds: float) -> int:
    """Let every client push as fast as it is answered; return how many pushes were."""
    poll = select.epoll()
    by_file = {client.sock.fileno(): client for client in fleet}
    for file in by_file:
        poll.register(file, select.EPOLLIN)
    end = time.time() + seconds
    for client in fleet:
        client.sock.send(client.request(time.time()))
    done, waiting = 0, len(fleet)
    while waiting:
        events = poll.poll(10)
        if not events:
            raise RuntimeError(f"{waiting} pushes were not answered in 10 s")
        now = time.time()
        for file, _ in events:
            client = by_file[file]
            try:
                client.read()
            except ssl.SSLWantReadError:
                continue
            done += 1
            if now < end:
                client.sock.send(client.request(now))
            else:
                waiting -= 1
    poll.close()
    return done


def steady(fleet: list[Client], interval: float, seconds: float) -> tuple[int, list[float]]:
    """Let every client push each `interval` seconds, evenly spread; return how many pushes were answered, and how
    long each answer took. One that still waits for its last answer lets its turn pass, as an agent does.
    """
    poll = select.epoll()
    by_file = {client.sock.fileno(): client for client in fleet}
    for file in by_file:
        poll.register(file, select.EPOLLIN)
    begin = time.time()
    sent, took = 0, []
    while (now := time.time()) < begin + seconds:
        due = min(int((now - begin) / interval * len(fleet)), sent + 200)
        for number in range(sent, due):
            client = fleet[number % len(fleet)]
            if client.waiting:
                continue
            client.waiting = True
            client.sent = time.time()
            client.sock.send(client.request(client.sent))
        sent = max(sent, due)
        for file, _ in poll.poll(0.002):
            client = by_file[file]
            try:
                client.read()
            except ssl.SSLWantReadError:
                continue
            client.waiting = False
            took.append(time.time() - client.sent)
    poll.close()
    return len(took), took


def pin(core: int) -> None:
    """Keep this process, and the threads and children it will have, to one core."""
    os.sched_setaffinity(0, {core % (os.cpu_count() or 1)})


def pin_process(pid: int, core: int) -> None:
    """Keep all threads of a process, and those it will have, to one core."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core % (os.cpu_count() or 1)})
