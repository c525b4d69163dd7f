"""What comes in: one change of an alert, as the collector hands it over for each transition of the rules."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Alert:
    """A rule that holds for a set of labels, at the moment when its state changed; times are Unix seconds.

    `customer` and `site` are slugs, `device` is a host name; each is "" where the alert has none. The `fingerprint`
    is the alert's identity within its incident: that of all its labels, see `fingerprint()`.
    """

    customer: str
    site: str
    device: str
    name: str
    severity: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    state: Literal["firing", "stale", "resolved"]
    value: float
    at: float
    active_at: float
    fingerprint: str


def fingerprint(labels: Mapping[str, str]) -> str:
    """Return 16 hexadecimal digits that identify a set of labels, whatever their order."""
    text = "\0".join(f"{name}\1{labels[name]}" for name in sorted(labels))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
