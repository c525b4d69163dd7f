"""The parsers at the edge: whatever comes, the only exceptions are ours. `make fuzz` tries a million cases of each."""

import json
import os
import random
from collections.abc import Callable

import cramjam
import pytest

from agent import wire
from agent.wire import Kind
from collector.errors import Refusal
from collector.foreign import message
from collector.ingest.intake import Intake, Sender
from collector.ingest.limits import Accounts, Limits
from collector.ingest.messages import JsonPush, decode, frames_of
from collector.register import Device
from collector.remotewrite import version1, version2
from collector.remotewrite.protobuf import ProtobufError
from collector.remotewrite.receiver import MAX_UNPACKED
from collector.remotewrite.receiver import _unpacked as unpacked
from tests.collector.remotewrite.payloads import Labels, host, request1, request2

CASES = 1_000_000 if os.environ.get("WATCHDESK_FUZZ") else 4_000
NOW = 1_760_000_000.0
SERIES: list[tuple[Labels, list[tuple[float, int]]]] = [
    (host(f"h{number}", n=str(number)), [(number / 3, int(NOW * 1000))]) for number in range(4)
]
_SCHEMA = wire.encode_schema(["a", 'b{c="d"}'])
_ROWS = wire.encode_rows(wire.schema_id(_SCHEMA), [NOW, NOW + 1], [[1.0, 2.0], [3.0, 4.0]])
_HELLO = b'{"version": "1", "os": "linux", "reason": "boot", "interval": 10}'
_EVENT = b'{"t": 1760000000, "type": "log", "text": "x", "attributes": {"a": 1}}'
DEVICE = Device(1, "acme", "hq", "pc1", "server", "", "linux", NOW, None)
FRAMES = [(Kind.SCHEMA, _SCHEMA), (Kind.ROWS, _ROWS), (Kind.HELLO, _HELLO), (Kind.EVENT, _EVENT)]
JSON = json.dumps({"series": ["a", "b"], "rows": [[NOW, 1, None], [NOW + 1, 2, 3]]}).encode()


ALERTS = json.dumps(
    [
        {
            "labels": {"a": "b"},
            "annotations": {},
            "startsAt": "2026-01-01T00:00:00.5+08:00",
            "endsAt": "2026-01-02T00:00:00Z",
        }
    ]
).encode()


def mutated(chance: random.Random, data: bytes) -> bytes:
    """The bytes with one to four things done to them."""
    content = bytearray(data)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(content) + 1)
        size = chance.choice([1, 1, 2, 4, 8, 40])
        match chance.randrange(5):
            case 0 if at < len(content):
                content[at] ^= 1 << chance.randrange(8)
            case 1:
                del content[at : at + size]
            case 2:
                content[at:at] = chance.randbytes(size)
            case 3:
                content[at : at + size] = chance.choice([b"\xff", b"\0", b"\x80"]) * size
            case _:
                content[at:at] = content[at : at + size] * chance.choice([1, 3])
    return bytes(content)


def frames(chance: random.Random) -> None:
    """Mutate payloads inside frames whose checksums are right, or the whole body."""
    chosen = chance.choices(FRAMES, k=chance.randrange(1, 4))
    payloads = [mutated(chance, payload) if chance.random() < 0.7 else payload for _, payload in chosen]
    body = b"".join(
        wire.encode(kind if chance.random() < 0.9 else chance.randrange(256), 1, chance.randrange(4), payload)
        for (kind, _), payload in zip(chosen, payloads, strict=True)
    )
    if chance.random() < 0.2:
        body = mutated(chance, body)
    accounts = Accounts(Limits())
    sender = Sender(DEVICE, accounts.device(), accounts.customer("acme"))
    Intake(accounts).take(sender, body, sent=NOW, now=NOW)


def json_push(chance: random.Random) -> None:
    frames_of(decode(mutated(chance, JSON), JsonPush, limit=wire.MAX_BODY), 1)


KNOWN1: dict[bytes, int] = {}
KNOWN2: dict[bytes, int] = {}
SYMBOLS = version2.Symbols()
ONE, TWO = request1(SERIES), request2(SERIES)


def remote_write_1(chance: random.Random) -> None:
    decoded = version1.decode(mutated(chance, ONE), KNOWN1)
    for number, key in enumerate(decoded.unknown[:2]):
        version1.labels(key)
        if len(KNOWN1) < 1000:
            KNOWN1[key] = number
    assert len(decoded.refs) == len(decoded.values) == len(decoded.times)


def remote_write_2(chance: random.Random) -> None:
    global SYMBOLS
    if len(SYMBOLS.texts) > 10_000:
        KNOWN2.clear()
        SYMBOLS = version2.Symbols()
    decoded = version2.decode(mutated(chance, TWO), KNOWN2, SYMBOLS)
    for number, key in enumerate(decoded.unknown[:2]):
        SYMBOLS.labels(key)
        KNOWN2[key] = number
    assert len(decoded.refs) == len(decoded.values) == len(decoded.times)


def alerts(chance: random.Random) -> None:
    post = message.decode(mutated(chance, ALERTS), "acme", "hq", NOW)
    assert all(one.labels and one.starts <= NOW for one in post.alerts)


PACKED = [bytes(cramjam.snappy.compress_raw(body)) for body in (ONE, TWO, b"x" * 5000)]


def snappy(chance: random.Random) -> None:
    message = unpacked(mutated(chance, chance.choice(PACKED)))
    assert len(message) <= MAX_UNPACKED


TARGETS: dict[str, Callable[[random.Random], None]] = {
    "frames": frames,
    "json": json_push,
    "alerts": alerts,
    "remote write 1.0": remote_write_1,
    "remote write 2.0": remote_write_2,
    "snappy": snappy,
}


@pytest.mark.parametrize("name", TARGETS)
def test_fuzz(name: str) -> None:
    seed = int(os.environ.get("WATCHDESK_SEED", random.SystemRandom().randrange(1 << 32)))
    chance = random.Random(seed)
    taken = 0
    refusals: set[int] = set()
    for case in range(CASES):
        try:
            TARGETS[name](chance)
            taken += 1
        except (wire.WireError, ProtobufError):
            pass
        except Refusal as error:
            refusals.add(error.status)
        except Exception as error:
            raise AssertionError(f"seed {seed}, case {case}: {error!r}") from error
    assert refusals <= {400, 409, 413}
    assert 0 < taken < CASES, "every case was taken, or none: nothing was tried"
