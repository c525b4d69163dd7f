"""Records what this release sends, answers and keeps: `python -m tests.faults.record` makes `recorded/VERSION`.

Later releases are held against it: they take the pushes and the spool of an old agent, understand the answers of an
old collector, and read the log and the snapshot that it left.
"""

from __future__ import annotations

import base64
import json
import shutil
import socket
import tempfile
import time
import zlib
from pathlib import Path

from agent import __version__, wire
from agent.segment import Item
from agent.spool import Spool
from agent.wire import Kind
from collector.log.segments import segments
from tests.agent.helpers import Lines
from tests.e2e.desk import Desk
from tests.e2e.desk import desk as run_desk
from tests.faults.checking import prepare, token

FOLDER = Path(__file__).parent / "recorded"
EPOCH = 1_760_000_000_000
SERIES = ["node_load1", 'node_filesystem_avail_bytes{mountpoint="/",fstype="ext4"}', 'fault_level{phase="0"}']
SCHEMA = wire.encode_schema(SERIES)
UNKNOWN = wire.encode_schema(["nobody_told_this"])
HELLO = {"version": __version__, "os": "linux", "reason": "boot", "interval": 10, "started": 1.0, "boot": 1.0}
EVENT = {
    "t": 1_760_000_000,
    "type": "kernel",
    "source": "sda",
    "level": "error",
    "text": "I/O error",
    "attributes": {"n": 1},
}
INVENTORY = {"t": 1_760_000_000, "type": "inventory", "data": {"disks": [{"name": "sda", "size": 512}]}}
GOODBYE = {"reason": "stop", "ttl": 60}


def rows(schema: bytes, count: int) -> bytes:
    """Rows of three values, or of as many as the schema has."""
    now, columns = time.time(), schema.count(b"\n") + 1
    values = [[1.5, 1e9, 95.0][:columns] for _ in range(count)]
    return wire.encode_rows(wire.schema_id(schema), [now - count + n for n in range(count)], values)


def bodies() -> dict[str, tuple[bytes, dict[str, str]]]:
    """What an agent sends: by name, the body of a push and its headers."""
    schema = wire.encode(Kind.SCHEMA, EPOCH, 0, SCHEMA)
    later = [(Kind.ROWS, rows(SCHEMA, 1)), (Kind.ROWS, rows(SCHEMA, 50))]
    later += [(Kind.EVENT, json.dumps(event).encode()) for event in (EVENT, INVENTORY)]
    hello = wire.encode(Kind.HELLO, EPOCH, 1, json.dumps(HELLO).encode())
    frames = [wire.encode(kind, EPOCH, seq, payload) for seq, (kind, payload) in enumerate(later, 2)]
    found: dict[str, tuple[bytes, dict[str, str]]] = {
        "JSON": (
            json.dumps({"series": ["a"], "rows": [[time.time() - 100, 1]]}).encode(),
            {"Content-Type": "application/json"},
        ),
        "hello, schema and row": (hello + schema + frames[0], {}),
        "a backlog, deflated": (zlib.compress(frames[1]), {"Content-Encoding": "deflate"}),
        "events": (frames[2] + frames[3], {}),
        "the same again": (frames[2] + frames[3], {}),
        "a schema that is not known": (wire.encode(Kind.ROWS, EPOCH, 9, rows(UNKNOWN, 1)), {}),
        "not a frame": (b"rubbish" * 10, {}),
        "goodbye": (wire.encode(Kind.GOODBYE, EPOCH, 10, json.dumps(GOODBYE).encode()), {}),
    }
    return found


def exchange(port: int, secret: str, body: bytes, headers: dict[str, str]) -> bytes:
    """Push, and return the whole answer as it came."""
    head = {"Authorization": f"Bearer {secret}", "Content-Length": str(len(body)), "Connection": "close", **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(f"POST /v1/push HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode() + body)
        answer = b""
        while data := connection.recv(65_536):
            answer += data
    return answer


def spool(folder: Path) -> None:
    """Leave a spool as an agent does that was stopped during an outage."""
    made = Spool(str(folder), Lines(), time.time, limit_bytes=1 << 20, limit_age=1e9)
    made.open()
    schema = wire.schema_id(SCHEMA)
    for _ in range(20):
        seq = made.number()
        frame = wire.encode(Kind.ROWS, made.epoch, seq, rows(SCHEMA, 1))
        made.append([Item(seq, frame, schema)], {schema: SCHEMA})
    made.close()


def status_of(answer: bytes) -> int:
    """The status of an answer."""
    return int(answer.split(b" ", 2)[1])


def record(desk: Desk, target: Path) -> None:
    """Make the recording of this release."""
    prepare(desk)
    secret = token(desk)
    collector = desk.serve()
    found = []
    for name, (body, headers) in bodies().items():
        answer = exchange(desk.port + 1, secret, body, headers)
        found.append(_entry(name, body, headers, answer))
    found.append(_entry("a token that is not known", b"", {}, exchange(desk.port + 1, "x" * 43, b"", {})))
    collector.stop(60)
    target.mkdir(parents=True)
    (target / "pushes.json").write_text(json.dumps(found, indent=1) + "\n")
    spool(target / "spool")
    (target / "log").mkdir()
    for segment in segments(desk.data / "log"):
        shutil.copy(segment.path, target / "log")
    shutil.copy(desk.data / "state.snapshot", target)


def _entry(name: str, body: bytes, headers: dict[str, str], answer: bytes) -> dict[str, object]:
    packed, told = (base64.b64encode(data).decode() for data in (body, answer))
    return {"name": name, "headers": headers, "body": packed, "status": status_of(answer), "answer": told}


def main() -> None:
    """Record, if this release is not recorded yet."""
    target = FOLDER / __version__
    with tempfile.TemporaryDirectory() as folder, run_desk(Path(folder)) as desk:
        record(desk, target)
    print(target)


if __name__ == "__main__":
    main()
