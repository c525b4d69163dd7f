"""What a diagnosis brings: held against its shape, without what is nobody's business, and not too much of it.

A shape is an object of names; each is "number", "truth", "name", "text", another object, or a list with one shape in
it. A "name" (of a file, a process, an account) is made printable; a "text" (a line of a log, a command line, what
somebody else wrote) loses passwords, tokens and mail addresses besides (agent/redact.py). Any value may be None, and
any member may be missing; nothing else may be there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from agent.diagnosis.catalogue import Diagnosis, Found
from agent.redact import clean, redact

MAX_TEXT = 1_000
MAX_FINDING = 1_000
MAX_VALUE = 300
MAX_ITEMS = 5_000


class OutputError(ValueError):
    """A function gave what it does not declare; a fault of ours."""


def canonical(data: object) -> bytes:
    """Return the one JSON text of a document, which its hash is made of: keys sorted, no spaces, ASCII."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def sha256(data: object) -> str:
    """Return the hash of a document's canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical(data)).hexdigest()


def finished(diagnosis: Diagnosis, found: Found) -> dict[str, Any]:
    """Return the members of the result: finding, finding_id, finding_values, data, truncated, sha256.

    Raises:
        OutputError: it is not what the function declares.
    """
    if found.sentence not in diagnosis.findings:
        raise OutputError(f"{found.sentence[:60]!r} is none of the findings of {diagnosis.name}")
    values = {
        name: redact(value, MAX_VALUE) if isinstance(value, str) else value for name, value in found.values.items()
    }
    data, cut = cap(shaped(found.data, diagnosis.output, "$"), diagnosis.bytes)
    return {
        "finding": clean(found.sentence % values, MAX_FINDING),
        "finding_id": found.sentence,
        "finding_values": values,
        "data": data,
        "truncated": found.truncated or cut,
        "sha256": sha256(data),
    }


def shaped(value: object, shape: object, where: str) -> Any:
    """Return the value as its shape has it, redacted.

    Raises:
        OutputError: it has another shape; `where` is told.
    """
    if value is None:
        return None
    if isinstance(shape, Mapping) and isinstance(value, Mapping):
        unknown = sorted(set(value) - set(shape))
        if unknown:
            raise OutputError(f"{where}.{unknown[0]} is not declared")
        return {name: shaped(member, shape[name], f"{where}.{name}") for name, member in value.items()}
    if isinstance(shape, list) and isinstance(value, list | tuple):
        return [shaped(item, shape[0], f"{where}[]") for item in value[:MAX_ITEMS]]
    return _leaf(value, shape, where)


def _leaf(value: object, shape: object, where: str) -> object:
    if shape == "truth" and isinstance(value, bool):
        return value
    if shape == "number" and isinstance(value, int | float) and not isinstance(value, bool):
        return value if value == value and abs(value) < float("inf") else None
    if isinstance(value, str) and shape in ("name", "text"):
        return redact(value, MAX_TEXT) if shape == "text" else clean(value, MAX_TEXT)
    raise OutputError(f"{where} is {type(value).__name__}, declared as {shape}")


def cap(data: dict[str, Any], limit: int) -> tuple[dict[str, Any], bool]:
    """Return the data with its longest list halved until its JSON is not above the limit, and whether that was so."""
    cut = False
    while len(canonical(data)) > limit:
        name = max(data, key=lambda key: len(canonical(data[key])))
        value = data[name]
        data = {**data, name: value[: len(value) // 2] if isinstance(value, list) and len(value) > 1 else None}
        cut = True
    return data, cut
