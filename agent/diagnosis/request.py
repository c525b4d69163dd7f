"""A request: read with bounds, its signatures verified, and bound to this device, this moment and this one use.

What arrives is an envelope around the exact bytes that were signed; nothing inside is looked at before a signature
over it was good. docs/diagnosis.md tells the form.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agent.diagnosis import arguments, ed25519
from agent.diagnosis.catalogue import HERE, Diagnosis, one
from agent.diagnosis.errors import NotFound, Refusal

VERSION = 1
MAX_BODY = 64 << 10
MAX_REQUESTS = 16
MAX_PAYLOAD = 8 << 10
MAX_LIFE = 600
SKEW = 120  # seconds by which the two clocks may differ
MAX_COSIGNERS = 4
MEMBERS: dict[str, type] = {
    "v": int, "kind": str, "id": str, "device": str, "name": str, "arguments": dict, "ticket": str, "by": str,
    "nonce": str, "issued": int, "expires": int,
}  # fmt: skip
LENGTHS = {"kind": 16, "id": 36, "device": 400, "name": 64, "ticket": 32, "by": 128, "nonce": 32}


@dataclass(frozen=True, slots=True)
class Envelope:
    """The signed bytes, and (key id, signature) of each who signed; the first is who asks."""

    payload: bytes
    signatures: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks of this device, and who it is proven to be: the ids of the keys that signed."""

    kind: str
    id: str
    device: str
    name: str
    arguments: Mapping[str, object]
    ticket: str
    by: str
    nonce: str
    issued: int
    expires: int
    dry_run: bool
    keys: tuple[str, ...]


def key_id(key: bytes) -> str:
    """Return the name of a public key (32 bytes)."""
    return hashlib.sha256(key).hexdigest()[:16]


def envelopes(body: bytes) -> list[object]:
    """Return the requests of an answer, each still to be read by `envelope`.

    Raises:
        Refusal: it is no such answer.
    """
    if len(body) > MAX_BODY:
        raise Refusal("oversized", f"an answer of more than {MAX_BODY} bytes")
    said = _document(body)
    if not isinstance(said, dict) or said.keys() != {"requests"} or not isinstance(said["requests"], list):
        raise Refusal("malformed", "the answer is no list of requests")
    if len(said["requests"]) > MAX_REQUESTS:
        raise Refusal("oversized", f"more than {MAX_REQUESTS} requests at once")
    return said["requests"]


def envelope(said: object) -> Envelope:
    """Return the signed bytes and their signatures.

    Raises:
        Refusal: a member is missing, unknown or not what it must be.
    """
    if not isinstance(said, dict) or not {"payload", "key", "signature"} <= said.keys():
        raise Refusal("malformed", "a request without payload, key and signature")
    if said.keys() - {"payload", "key", "signature", "cosigners"}:
        raise Refusal("malformed", "a request with members that it must not have")
    more = said.get("cosigners", [])
    if not isinstance(more, list) or len(more) > MAX_COSIGNERS:
        raise Refusal("malformed", "cosigners that are none")
    payload = _decoded(said["payload"], "payload")
    if len(payload) > MAX_PAYLOAD:
        raise Refusal("oversized", f"a payload of more than {MAX_PAYLOAD} bytes")
    return Envelope(payload, (_signature(said), *(_signature(one) for one in more)))


def _signature(said: object) -> tuple[str, bytes]:
    if not isinstance(said, dict) or not isinstance(said.get("key"), str):
        raise Refusal("malformed", "a signature without the id of its key")
    return said["key"][:64], _decoded(said.get("signature"), "signature")


def _decoded(text: object, what: str) -> bytes:
    try:
        if isinstance(text, str) and len(text) <= MAX_BODY:
            return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise Refusal("malformed", f"the {what} is not base64")


def verified(sealed: Envelope, keys: Mapping[str, bytes]) -> Request:
    """Return the request that was signed with one of the keys (by id); each signature must be good.

    Raises:
        Refusal: a key that is not known, a signature that is not good, or a payload that is none.
    """
    for key, signature in sealed.signatures:
        if key not in keys:
            raise Refusal("key", f"signed with a key that is not known here ({key[:16]!r})")
        if not ed25519.verify(keys[key], sealed.payload, signature):
            raise Refusal("signature", f"the signature with the key {key} is not good")
    signers = tuple(dict.fromkeys(key for key, _ in sealed.signatures))
    return read(sealed.payload, signers)


def read(payload: bytes, keys: tuple[str, ...]) -> Request:
    """Return what a payload says whose signatures were good.

    Raises:
        Refusal: it is not what it must be.
    """
    said = _document(payload)
    if not isinstance(said, dict):
        raise Refusal("malformed", "the payload is no object")
    if said.get("v") != VERSION or type(said.get("v")) is not int:
        raise Refusal("version", f"version {str(said.get('v'))[:20]!r} of a request, this agent takes {VERSION} alone")
    kind = said.get("kind")
    if kind not in ("diagnosis", "action"):
        raise Refusal("kind", f"a request of the kind {str(kind)[:20]!r}")
    wanted = MEMBERS if kind == "diagnosis" else {**MEMBERS, "dry_run": bool}
    if said.keys() != wanted.keys():
        wrong = min(said.keys() ^ wanted.keys())
        raise Refusal("malformed", f"the member {wrong[:40]!r} is missing, or not one of a request")
    for name, kind_of in wanted.items():
        if type(said[name]) is not kind_of or len(str(said[name])) > LENGTHS.get(name, MAX_PAYLOAD):
            raise Refusal("malformed", f"the member {name} is not what it must be")
    _check_texts(said)
    members = {name: said[name] for name in wanted if name != "v"}
    return Request(**{"dry_run": False, **members}, keys=keys)


def _check_texts(said: Mapping[str, Any]) -> None:
    if len(said["nonce"]) != 32 or not _is_hex(said["nonce"]):
        raise Refusal("malformed", "the nonce is not 32 hexadecimal digits")
    parts = said["id"].split("-")
    if [len(part) for part in parts] != [8, 4, 4, 4, 12] or not all(map(_is_hex, parts)):
        raise Refusal("malformed", "the id is no UUID")
    if not all(said[name].isprintable() for name in ("name", "ticket", "by", "device")):
        raise Refusal("malformed", "a text with control characters")


def _is_hex(text: str) -> bool:
    return all(char in "0123456789abcdef" for char in text)


def check_bounds(request: Request, device: str, now: float) -> None:
    """See to it that it is for this device and for now.

    Raises:
        Refusal: it is not.
    """
    if not device or request.device != device:
        raise Refusal("device", f"a request for {request.device[:80]!r}, which is another device")
    if not 0 < request.expires - request.issued <= MAX_LIFE:
        raise Refusal("expired", f"a request that lives longer than {MAX_LIFE} s, or not at all")
    if now > request.expires + SKEW:
        raise Refusal("expired", f"it has expired {now - request.expires:.0f} s ago")
    if now < request.issued - SKEW:
        raise Refusal("expired", f"it was issued {request.issued - now:.0f} s in the future; are the clocks right?")


def find(name: str, given: Mapping[str, object]) -> tuple[Diagnosis, Any]:
    """Return the diagnosis and its arguments as its dataclass.

    Raises:
        Refusal: there is none of that name, or an argument is not what it must be.
        NotFound: it is none of this system's.
    """
    diagnosis = one(name)
    if diagnosis is None:
        raise Refusal("unknown", f"no diagnosis {name[:60]!r}; `watchdesk-agent diagnoses` lists them")
    asked = arguments.read(diagnosis.arguments, given)
    if HERE not in diagnosis.systems:
        raise NotFound(f"{name} is not there on {HERE}")
    return diagnosis, asked


def _document(data: bytes) -> object:
    try:
        return json.loads(data.decode(), object_pairs_hook=_members, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refusal("malformed", "it is not JSON, or a member is given twice") from None


def _members(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    listed = list(pairs)
    members = dict(listed)
    if len(members) != len(listed):
        raise ValueError("a member that is given twice")
    return members


def _no_constant(text: str) -> object:
    raise ValueError(f"{text} is no number of JSON")
