"""A small collector for the agent's tests: real HTTPS, strict about the protocol, and as nasty as it is told to be."""

import base64
import gzip
import json
import queue
import socket
import ssl
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from agent import wire
from tests.agent.authority import Authority

TOKEN = "device-token-0123456789abcdef"
SECRET = "enrolment-secret"


@dataclass
class Row:
    """A row as the collector understood it."""

    epoch: int
    seq: int
    time: float
    values: dict[str, float]


@dataclass
class Push:
    """One request, as it came."""

    at: float
    headers: dict[str, str]
    body: bytes
    bytes_on_wire: int
    frames: list[wire.Frame]
    status: int = 0


@dataclass
class Taken:
    """What the collector holds: each sequence frame once, as (epoch, seq) → (kind, payload)."""

    frames: dict[tuple[int, int], tuple[int, bytes]] = field(default_factory=dict)
    schemas: dict[int, list[str]] = field(default_factory=dict)
    order: list[tuple[int, int]] = field(default_factory=list)
    twice: list[tuple[int, int]] = field(default_factory=list)
    changed: list[tuple[int, int]] = field(default_factory=list)


Behaviour = Callable[["_Handler", Push], bool]


class TestCollector:
    """Listens on loopback; `behave` may answer a push itself (True) or leave it to the protocol (False)."""

    __test__ = False

    def __init__(
        self,
        authority: Authority | None,
        *,
        names: tuple[str, ...] = ("127.0.0.1", "localhost", "::1"),
        host: str = "127.0.0.1",
    ) -> None:
        self.authority = authority
        self._names = names
        self._host = host
        self.pushes: list[Push] = []
        self.taken = Taken()
        self.enrolments: list[dict[str, object]] = []
        self.retired = 0
        self.behave: Behaviour | None = None
        self.token = TOKEN
        self.clock_error = 0.0
        self.advice: dict[str, object] | None = None
        self.hold = 0  # seconds for which a call for requests is held, as it advises
        self.waiting: queue.Queue[bytes] = queue.Queue()  # answers to calls for requests, as bytes
        self.results: list[dict[str, Any]] = []
        self.calls = 0
        self.diagnosis_key = b""
        self.interval = 1.0
        self.connections = 0
        self.lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self.port = 0
        self.open: set[socket.socket] = set()

    @property
    def url(self) -> str:
        """Where agents go."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self.authority else 'http'}://{host}:{self.port}"

    def enrolment_token(self, **changes: str) -> str:
        """Return an enrolment token as people get it."""
        said = {"u": self.url, "s": SECRET}
        if self.authority:
            said["f"] = self.authority.fingerprint
        said.update(changes)
        return "wde_" + base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")

    def start(self) -> None:
        """Listen; after a stop, on the same port as before."""
        outer = self

        class Handler(_Handler):
            collector = outer

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True
            address_family = socket.AF_INET6 if ":" in outer._host else socket.AF_INET
            context = outer.authority.server_context(*outer._names) if outer.authority else None

            def finish_request(self, request: object, client_address: object) -> None:
                assert isinstance(request, socket.socket)
                outer.connections += 1
                plain = request
                plain.settimeout(20)
                try:
                    if self.context is not None:
                        request = self.context.wrap_socket(request, server_side=True)
                except (OSError, ssl.SSLError):
                    return
                with outer.lock:
                    outer.open.add(request)
                try:
                    with suppress(OSError, ValueError):
                        Handler(request, client_address, self)
                finally:
                    with outer.lock:
                        outer.open.discard(request)
                    request.close()

        self._server = Server((self._host, self.port), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and hang up on everybody."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
        with self.lock:
            for connection in self.open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self._server = None

    def rows(self) -> list[Row]:
        """Return every row that was taken, in the order of taking."""
        with self.lock:
            found = []
            for key in self.taken.order:
                kind, payload = self.taken.frames[key]
                if kind == wire.Kind.ROWS:
                    found += list(_rows(key, payload, self.taken.schemas))
            return found

    def said(self, kind: int) -> list[dict[str, object]]:
        """Return the JSON of every HELLO or GOODBYE that was taken."""
        with self.lock:
            frames = [self.taken.frames[key] for key in self.taken.order]
            return [json.loads(payload) for found, payload in frames if found == kind]

    def latest(self, series: str) -> float | None:
        """Return a series' value in the last row that was taken."""
        rows = self.rows()
        return rows[-1].values.get(series) if rows else None


def _rows(key: tuple[int, int], payload: bytes, schemas: dict[int, list[str]]) -> Iterator[Row]:
    frame = wire.Frame(wire.Kind.ROWS, key[0], key[1], 0, len(payload))
    rows = wire.read_rows(payload, frame)
    names = schemas[rows.schema]
    for number in range(rows.rows):
        (at,) = struct.unpack_from("<d", payload, rows.times + 8 * number)
        values = struct.unpack_from(f"<{rows.columns}d", payload, rows.values + 8 * rows.columns * number)
        yield Row(key[0], key[1], at, dict(zip(names, values, strict=True)))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    collector: TestCollector

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        if self.path == "/v1/ca" and self.collector.authority:
            self.answer(200, self.collector.authority.pem.encode())
        elif self.path.startswith("/v1/requests?hold=") and self._is_known():
            self._hold(float(self.path.partition("=")[2]))
        elif self.path == "/v1/diagnosis-key" and self._is_known() and self.collector.diagnosis_key:
            key = base64.b64encode(self.collector.diagnosis_key).decode()
            self.answer(200, json.dumps({"diagnosis_key": key}).encode())
        else:
            self.answer(404, b"")

    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        body = self.rfile.read(size)
        if self.path == "/v1/push":
            self._push(body, size)
        elif self.path == "/v1/enrol":
            self._enrol(body)
        elif self.path == "/v1/results":
            self._result(body)
        elif self.path == "/v1/retire":
            self.collector.retired += 1
            self.answer(204 if self._is_known() else 401, b"")
        else:
            self.answer(404, b"")

    def _hold(self, seconds: float) -> None:
        self.collector.calls += 1
        try:
            self.answer(200, self.collector.waiting.get(timeout=min(seconds, 2.0)) if seconds else b"")
        except queue.Empty:
            self.answer(204, b"")

    def _result(self, body: bytes) -> None:
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        with self.collector.lock:
            self.collector.results.append(json.loads(body))
        self.answer(204 if self._is_known() else 401, b"")

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        """Answer with what every answer of a collector has."""
        self.send_response_only(status)
        self.send_header(wire.TIME_HEADER, f"{time.time() + self.collector.clock_error:.3f}")
        if self.collector.hold:
            self.send_header("Watchdesk-Hold", str(self.collector.hold))
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def raw(self, data: bytes) -> None:
        """Send bytes that need not be HTTP, and hang up."""
        self.wfile.write(data)
        self.wfile.flush()
        self.close_connection = True

    def _is_known(self) -> bool:
        return self.headers["Authorization"] == f"Bearer {self.collector.token}"

    def _enrol(self, body: bytes) -> None:
        said = json.loads(body)
        self.collector.enrolments.append(said)
        if said.get("token") != SECRET:
            self.answer(403, b'{"error": "wrong, expired or used"}')
            return
        answer = {
            "device": f"{said['hostname']}.hq.acme",
            "token": self.collector.token,
            "interval": self.collector.interval,
            **({"diagnosis_key": base64.b64encode(key).decode()} if (key := self.collector.diagnosis_key) else {}),
        }
        self.answer(201, json.dumps(answer).encode())

    def _push(self, body: bytes, size: int) -> None:
        if self.headers.get("Content-Encoding") == "deflate":
            body = zlib.decompress(body)
        head = len(self.requestline) + 2 + sum(len(k) + len(v) + 4 for k, v in self.headers.items()) + 2
        push = Push(time.time(), dict(self.headers.items()), body, head + size, wire.frames(body))
        with self.collector.lock:
            self.collector.pushes.append(push)
        if self.collector.behave is not None and self.collector.behave(self, push):
            return
        self.take(push)

    def take(self, push: Push) -> None:
        """Do what the protocol says."""
        assert self.headers["Content-Type"] == wire.CONTENT_TYPE
        assert abs(float(self.headers[wire.TIME_HEADER]) - time.time()) < 1e6
        if not self._is_known():
            self.answer(401, b"")
            return
        need = self._take(push)
        push.status = 409 if need else 200 if self.collector.advice is not None else 204
        if need:
            self.answer(409, json.dumps({"need": [f"{schema:016x}" for schema in need]}).encode())
        elif self.collector.advice is not None:
            self.answer(200, json.dumps(self.collector.advice).encode())
        else:
            self.answer(204, b"")

    def _take(self, push: Push) -> list[int]:
        """Take all frames or none; return the schemas that are unknown."""
        taken = self.collector.taken
        with self.collector.lock:
            here = {}
            need = []
            for frame in push.frames:
                payload = push.body[frame.start : frame.end]
                if frame.kind == wire.Kind.SCHEMA:
                    assert frame.seq == 0
                    wire.read_schema(payload)
                    here[wire.schema_id(payload)] = payload.decode().split("\n")
                elif frame.kind == wire.Kind.ROWS:
                    schema = wire.read_rows(push.body, frame).schema
                    if schema not in taken.schemas and schema not in here:
                        need.append(schema)
            if need:
                return need
            taken.schemas.update(here)
            for frame in push.frames:
                if frame.kind != wire.Kind.SCHEMA:
                    _keep(taken, (frame.epoch, frame.seq), frame.kind, push.body[frame.start : frame.end])
            return []


def _keep(taken: Taken, key: tuple[int, int], kind: int, payload: bytes) -> None:
    assert key[1] > 0
    if key not in taken.frames:
        taken.frames[key] = (kind, payload)
        taken.order.append(key)
        return
    taken.twice.append(key)
    if taken.frames[key] != (kind, payload):
        taken.changed.append(key)


@contextmanager
def running(
    authority: Authority | None, *, names: tuple[str, ...] = ("127.0.0.1", "localhost", "::1"), host: str = "127.0.0.1"
) -> Iterator[TestCollector]:
    """A collector that listens while the block runs."""
    collector = TestCollector(authority, names=names, host=host)
    collector.start()
    try:
        yield collector
    finally:
        collector.stop()
