"""Somebody who signs requests, as the collector or an operator does, rightly or in every wrong way."""

import base64
import hashlib
import json
import time
import uuid
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

DEVICE = "pc.hq.acme"


class Asker:
    """A key, and what is signed with it."""

    def __init__(self, device: str = DEVICE) -> None:
        self._private = Ed25519PrivateKey.generate()
        self.device = device
        self.key = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.key_id = hashlib.sha256(self.key).hexdigest()[:16]

    def payload(self, name: str = "memory.by_process", *, now: float | None = None, **changes: Any) -> dict[str, Any]:
        """Return what a sound request says, with changes; a change to None leaves the member out."""
        issued = int(time.time() if now is None else now)
        said = {
            "v": 1, "kind": "diagnosis", "id": str(uuid.uuid4()), "device": self.device, "name": name,
            "arguments": {}, "ticket": "INC-12", "by": "rule:LowMemory", "nonce": uuid.uuid4().hex,
            "issued": issued, "expires": issued + 300,
        }  # fmt: skip
        return {key: value for key, value in {**said, **changes}.items() if value is not None}

    def sign(self, payload: dict[str, Any] | bytes) -> dict[str, Any]:
        """Return the envelope."""
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        signature = base64.b64encode(self._private.sign(data)).decode()
        return {"payload": base64.b64encode(data).decode(), "key": self.key_id, "signature": signature}

    def request(self, name: str = "memory.by_process", **changes: Any) -> dict[str, Any]:
        """Return a signed request."""
        return self.sign(self.payload(name, **changes))


def answer(*requests: object) -> bytes:
    """Return the body of an answer with these requests."""
    return json.dumps({"requests": list(requests)}).encode()
