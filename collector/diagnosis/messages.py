"""What goes to agents signed, and what comes back: bounded before it is parsed, typed when it is decoded."""

from __future__ import annotations

import base64
import json
import math
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from collector.diagnosis.keys import SigningKey
from collector.errors import Refusal
from collector.ingest.messages import Time, decode
from ticketing.diagnosis.asked import OVER, Diagnosis, Result, State

MAX_RESULT: Final = 512 << 10
MAX_DATA: Final = 256 << 10
LIFE: Final = 300.0  # seconds that a signed request may be taken


class Answered(msgspec.Struct, frozen=True):
    """What an agent says of a request."""

    id: Annotated[str, Meta(min_length=36, max_length=36)]
    state: Literal["asking", "running", "done", "refused", "denied", "failed", "timeout", "revoked"]
    reason: Annotated[str, Meta(max_length=1_000)] = ""
    finding: Annotated[str, Meta(max_length=4_000)] = ""
    finding_id: Annotated[str, Meta(max_length=1_000)] = ""
    finding_values: Annotated[dict[str, str | float | int | bool | None], Meta(max_length=32)] = {}
    data: Any = None
    started: Time = 0.0
    seconds: Annotated[float, Meta(ge=0, le=86_400)] = 0.0
    truncated: bool = False
    sha256: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")] = ""
    audit: Annotated[str, Meta(pattern="^([0-9]{1,18}:[0-9a-f]{1,64})?$")] = ""


def signed(one: Diagnosis, key: SigningKey, nonce: str, now: float) -> dict[str, str]:
    """Return a request as an agent takes it: the exact bytes that are signed, the key's id and the signature."""
    payload = json.dumps(
        {
            "v": 1,
            "kind": "diagnosis",
            "id": one.uid,
            "device": one.instance,
            "name": one.name,
            "arguments": dict(one.arguments),
            "ticket": one.ticket,
            "by": one.by,
            "nonce": nonce,
            "issued": math.floor(now),
            "expires": math.floor(now + LIFE),
        }
    ).encode()
    return {"payload": base64.b64encode(payload).decode(), "key": key.id, "signature": key.sign(payload)}


def read(body: bytes) -> tuple[str, Result]:
    """Return the id of a request, and what an agent says of it.

    Raises:
        Refusal: 400, not of this form; its path says where.
    """
    told = decode(body, Answered, limit=MAX_RESULT)
    state = State(told.state)
    data = None if told.data is None or state not in OVER else msgspec.json.encode(told.data).decode()
    if data is not None and len(data) > MAX_DATA:
        raise Refusal(400, f"{len(data)} bytes of data, at most {MAX_DATA}", path="$.data")
    return told.id, Result(
        state=state,
        reason=told.reason,
        finding=told.finding,
        finding_id=told.finding_id,
        finding_values=told.finding_values,
        data=data,
        sha256=told.sha256,
        started=told.started or None,
        seconds=told.seconds,
        truncated=told.truncated,
        audit=told.audit,
    )
