"""Requests: what is not exactly what it must be is refused, with the reason that is counted."""

import base64
import random
from pathlib import Path
from typing import Any

import pytest

from agent.diagnosis.errors import Refusal
from agent.diagnosis.request import MAX_REQUESTS, SKEW, Request, check_bounds, envelope, envelopes, key_id, verified
from agent.diagnosis.seen import KEPT, RECORD, ROOM, Seen
from tests.agent.diagnosis.asker import DEVICE, Asker, answer
from tests.agent.helpers import NOW

ASKER = Asker()
KEYS = {ASKER.key_id: ASKER.key}


def taken(item: object) -> Request:
    """Return the request as the agent takes it."""
    request = verified(envelope(item), KEYS)
    check_bounds(request, DEVICE, NOW)
    return request


def test_a_sound_request_is_taken_whole() -> None:
    said = ASKER.payload(now=NOW, arguments={"count": 3})
    (item,) = envelopes(answer(ASKER.sign(said)))
    request = taken(item)
    assert (request.name, request.arguments, request.ticket) == ("memory.by_process", {"count": 3}, "INC-12")
    assert request.keys == (ASKER.key_id,) == (key_id(ASKER.key),)
    assert not request.dry_run


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"v": 2}, "version"),
        ({"v": 0}, "version"),
        ({"v": True}, "version"),
        ({"v": "1"}, "version"),
        ({"v": None}, "version"),
        ({"kind": "shell"}, "kind"),
        ({"kind": "update"}, "kind"),
        ({"kind": ["diagnosis"]}, "kind"),
        ({"kind": "action"}, "malformed"),  # without dry_run
        ({"dry_run": False}, "malformed"),
        ({"command": "reboot"}, "malformed"),
        ({"nonce": None}, "malformed"),
        ({"nonce": "0" * 31}, "malformed"),
        ({"nonce": "G" * 32}, "malformed"),
        ({"id": "x"}, "malformed"),
        ({"id": "../../../../../../etc/cron.d/x-abcdef01"}, "malformed"),
        ({"arguments": []}, "malformed"),
        ({"arguments": None}, "malformed"),
        ({"name": "x" * 65}, "malformed"),
        ({"name": "a\nb"}, "malformed"),
        ({"by": "a\x1b[2J"}, "malformed"),
        ({"ticket": 12}, "malformed"),
        ({"issued": 1.5}, "malformed"),
        ({"expires": True}, "malformed"),
        ({"device": "other.hq.acme"}, "device"),
        ({"device": ""}, "device"),
        ({"expires": NOW - SKEW - 1, "issued": NOW - 300}, "malformed"),  # floats
        ({"expires": int(NOW) - SKEW - 1, "issued": int(NOW) - 300}, "expired"),
        ({"issued": int(NOW) + SKEW + 5}, "expired"),
        ({"expires": int(NOW) + 601}, "expired"),
        ({"expires": int(NOW)}, "expired"),
    ],
)
def test_a_signed_payload_that_is_not_what_it_must_be(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refusal) as refused:
        taken(ASKER.sign(ASKER.payload(now=NOW, **changes)))
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "malformed"),
        (b"[]", "malformed"),
        (b"{", "malformed"),
        (b"[" * 5_000, "malformed"),
        (b'{"v": 1, "v": 1}', "malformed"),
        (b'{"v": NaN}', "malformed"),
        (b"\xff\xfe", "malformed"),
        (b" " * 9_000, "oversized"),
    ],
    ids=["empty", "list", "broken", "deep", "twice", "nan", "bytes", "long"],
)
def test_signed_rubbish(payload: bytes, reason: str) -> None:
    with pytest.raises(Refusal) as refused:
        taken(ASKER.sign(payload))
    assert refused.value.reason == reason


def _changed(**changes: Any) -> dict[str, Any]:
    return {**ASKER.sign(ASKER.payload(now=NOW)), **changes}


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (None, "malformed"),
        ("x", "malformed"),
        ({}, "malformed"),
        (_changed(shell="x"), "malformed"),
        (_changed(payload="***"), "malformed"),
        (_changed(payload=5), "malformed"),
        (_changed(signature=""), "signature"),
        (_changed(signature="AAAA"), "signature"),
        (_changed(signature=base64.b64encode(bytes(64)).decode()), "signature"),
        (_changed(signature=None), "malformed"),
        (_changed(key=5), "malformed"),
        (_changed(key=""), "key"),
        (_changed(key="0" * 16), "key"),
        (_changed(cosigners={}), "malformed"),
        (_changed(cosigners=[{}]), "malformed"),
        (_changed(cosigners=[{"key": "0" * 16, "signature": "AAAA"}]), "key"),
        (_changed(cosigners=[{"key": ASKER.key_id, "signature": "AAAA"}]), "signature"),
        (Asker().request(now=NOW), "key"),
        ({**Asker().request(now=NOW), "key": ASKER.key_id}, "signature"),
    ],
)
def test_an_envelope_that_is_not_what_it_must_be(item: object, reason: str) -> None:
    with pytest.raises(Refusal) as refused:
        taken(item)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "malformed"),
        (b"[]", "malformed"),
        (b'{"requests": {}}', "malformed"),
        (b'{"requests": [], "run": "x"}', "malformed"),
        (b'{"requests": []}' + b" " * 65_536, "oversized"),
        (answer(*[{}] * (MAX_REQUESTS + 1)), "oversized"),
    ],
    ids=["empty", "list", "object", "more", "long", "many"],
)
def test_an_answer_that_is_none(body: bytes, reason: str) -> None:
    with pytest.raises(Refusal) as refused:
        envelopes(body)
    assert refused.value.reason == reason


def test_any_bytes_give_a_request_or_a_refusal_fuzz() -> None:
    chance = random.Random(20)
    good = answer(ASKER.request(now=NOW))
    for _ in range(400):
        body = bytearray(good)
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(body))
            body[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        try:
            found = [taken(item) for item in envelopes(bytes(body))]
        except Refusal:
            continue
        assert all(request.name == "memory.by_process" for request in found)  # only what was signed is ever read


def test_none_is_taken_twice_not_after_a_restart_either(tmp_path: Path) -> None:
    path = str(tmp_path / "seen")
    identity = "11111111-2222-3333-4444-555555555555"
    assert Seen(path).take("a" * 32, identity, NOW + 300, NOW)
    with pytest.raises(Refusal, match="here before"):
        Seen(path).take("a" * 32, identity, NOW + 300, NOW + 10)
    assert not Seen(path).take("b" * 32, identity, NOW + 300, NOW + 10)  # known, asked for once more
    assert Seen(path).within(3_600, NOW) == 2
    assert Seen(path).within(3_600, NOW + 4_000) == 0


def test_the_memory_never_forgets_one_that_could_come_again(tmp_path: Path) -> None:
    path = tmp_path / "seen"
    records = [RECORD.pack(number.to_bytes(16), bytes(16), int(NOW) + number) for number in range(ROOM)]
    path.write_bytes(b"".join(records))
    identity = "11111111-2222-3333-4444-555555555555"
    with pytest.raises(Refusal) as refused:
        Seen(str(path)).take("a" * 32, identity, NOW + 300, NOW + KEPT - 1)
    assert refused.value.reason == "flood"
    assert Seen(str(path)).take("a" * 32, identity, NOW + 300, NOW + KEPT + 1)
    assert path.stat().st_size == RECORD.size * ROOM


def test_a_memory_that_was_cut_is_made_whole_and_keeps_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "seen"
    identity = "11111111-2222-3333-4444-555555555555"
    Seen(str(path)).take("a" * 32, identity, NOW + 300, NOW)
    path.write_bytes(path.read_bytes()[: RECORD.size + 7])
    with pytest.raises(Refusal):
        Seen(str(path)).take("a" * 32, identity, NOW + 300, NOW)
    assert path.stat().st_size == RECORD.size * ROOM
