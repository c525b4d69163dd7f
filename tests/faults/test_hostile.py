"""Malformed bodies, bombs and replays against a collector that runs: each is answered as it should be, and those who
report as they should do not notice.
"""

from __future__ import annotations

import gzip
import http.client
import json
import random
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from agent import wire
from agent.wire import Kind
from tests.collector.test_fuzz import mutated
from tests.e2e.desk import Desk, eventually
from tests.e2e.desk import desk as run_desk
from tests.faults.checking import judge, prepare, token
from tests.faults.seeds import new_seed
from tests.faults.sender import Sender

LIMIT = 8 << 20  # bytes that a bomb may take of memory
NOW = 1_760_000_000.0
SCHEMA = wire.encode_schema(["a", 'b{c="d"}'])
ROWS = wire.encode_rows(wire.schema_id(SCHEMA), [NOW], [[1.0, 2.0]])
HELLO = b'{"version": "1", "os": "linux", "reason": "boot", "interval": 10}'
EVENT = b'{"t": 1760000000, "type": "log", "text": "x", "attributes": {"a": 1}}'
NUMBERS = ("NaN", "Infinity", "1e999", "-1e999", "1" * 5000, "true", '"x"', "[1]", "{}", "null")


class Caller:
    """Sends bodies on one connection, and counts the answers."""

    def __init__(self, port: int, secret: str) -> None:
        self.answers: Counter[int] = Counter()
        self._secret = secret
        self._port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def post(self, body: bytes, kind: str = "", encoding: str = "") -> tuple[int, bytes]:
        """Return the status and the body of the answer."""
        head = {"Authorization": f"Bearer {self._secret}"}
        head |= {"Content-Type": kind} if kind else {}
        head |= {"Content-Encoding": encoding} if encoding else {}
        try:
            self._connection.request("POST", "/v1/push", body, head)
            answer = self._connection.getresponse()
        except (ConnectionError, http.client.HTTPException):  # closed after the last one, which was refused half-way
            self._connection.close()
            self._connection.request("POST", "/v1/push", body, head)
            answer = self._connection.getresponse()
        content = answer.read()
        self.answers[answer.status] += 1
        return answer.status, content


def malformed(chance: random.Random) -> tuple[bytes, str]:
    """A body that may be anything, and its type."""
    if chance.random() < 0.5:
        kind, payload = chance.choice(
            [(Kind.SCHEMA, SCHEMA), (Kind.ROWS, ROWS), (Kind.HELLO, HELLO), (Kind.EVENT, EVENT)]
        )
        seq = chance.choice([0, 1, 2, 2**63, 2**64 - 1])
        frame = wire.encode(kind, chance.choice([1, 2**62, 2**63 - 1]), seq, mutated(chance, payload))
        return (mutated(chance, frame) if chance.random() < 0.3 else frame), ""
    number = chance.choice(NUMBERS)
    return chance.choice(
        [
            b'{"series": ["a"], "rows": [[%s, 1]]}' % number.encode(),
            b'{"series": ["a"], "rows": [[1760000000, %s]]}' % number.encode(),
            b"[" * chance.choice([10, 200_000]),
            b'{"series": ["%s"], "rows": [[1, 2]]}' % (b"x" * chance.choice([300, 900_000])),
            b'{"series": ["a"], "series": ["b"], "rows": [[1, 2]]}',
            b'{"series": ["a"], "rows": [[1, 2]], "customer": "globex"}',
            mutated(chance, b'{"series": ["a", "b"], "rows": [[1760000000, 1, null]]}'),
        ]
    ), "application/json"


def bombs() -> Iterator[tuple[bytes, str]]:
    """Bodies that unfold to far more than they may have."""
    yield gzip.compress(bytes(100 << 20)), "gzip"
    yield zlib.compress(bytes(100 << 20)), "deflate"
    yield gzip.compress(gzip.compress(bytes(100 << 20))), "gzip"
    yield gzip.compress(b"x")[:-8] + b"\0" * 8, "gzip"
    yield b"\x28\xb5\x2f\xfd" + bytes(100), "zstd"


def run(desk: Desk, seed: int, bodies: int, replays: int) -> None:
    """Send rubbish, bombs and what was sent before; then see what has come of it: nothing."""
    chance = random.Random(seed)
    prepare(desk)
    good = Sender(desk.port + 1, token(desk, "good"), chance)
    secret = token(desk, "bad")
    collector = desk.serve()
    bad = Caller(desk.port + 1, secret)
    for number in range(bodies):
        body, kind = malformed(chance)
        status, content = bad.post(body, kind)
        assert status in (200, 204, 400, 409, 413), f"seed {seed}, case {number}: {status} {content!r}"
        if status == 400:
            assert json.loads(content)["path"].startswith("$"), f"seed {seed}, case {number}: {content!r}"
        if number % 50 == 0:
            good.read()
            assert good.push() in (0, 204), f"seed {seed}"
    assert {204, 400} <= set(bad.answers), bad.answers
    memory = psutil.Process(collector.pid).memory_info
    before = memory().rss
    for bomb, encoding in bombs():
        status, content = bad.post(bomb, encoding=encoding)
        assert status in (400, 413, 415), (encoding, status, content)
    assert memory().rss - before < LIMIT
    bad.close()
    replay(desk, secret, replays)
    judge(desk, good, f"seed {seed}")


def replay(desk: Desk, secret: str, times: int) -> None:
    """Send captured bytes again, also after a restart and after the token was revoked."""
    body = wire.encode(Kind.SCHEMA, 77, 0, SCHEMA) + wire.encode(Kind.ROWS, 77, 1, ROWS)
    for _ in range(2):
        assert sent_again(desk, secret, body, times // 2) == {204: times // 2}
        assert desk.collector is not None
        assert desk.collector.stop(60) == 0
        desk.serve()
    desk.command("devices", "retire", "bad.hq.acme")
    eventually(lambda: sent_again(desk, secret, body, 1) == {401: 1}, seconds=60)
    assert sent_again(desk, secret, body, 5) == {401: 5}


def sent_again(desk: Desk, secret: str, body: bytes, times: int) -> Counter[int]:
    """Send the same bytes again and again; return the answers."""
    with closing(Caller(desk.port + 1, secret)) as caller:
        for _ in range(times):
            caller.post(body)
    return caller.answers


@pytest.mark.timeout(240)
def test_rubbish_bombs_and_replays(tmp_path: Path) -> None:
    with run_desk(tmp_path) as desk:
        run(desk, new_seed(), bodies=1000, replays=100)


@pytest.mark.soak
def test_rubbish_and_replays_in_full(tmp_path: Path) -> None:
    with run_desk(tmp_path) as desk:
        run(desk, new_seed(), bodies=10_000, replays=1000)
