"""The JSON of `POST /api/v2/alerts`: bounded and typed when it is decoded, trusted behind that.

https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml (postableAlerts): labels are the identity;
without `endsAt` an alert is over five minutes after it was sent last. Fields that are not known are left out, as
Alertmanager does.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from agent import wire
from collector.errors import Refusal

MAX_ALERTS: Final = 20_000  # in a request
RESOLVE_SECONDS: Final = 300.0  # so long an alert without an end goes on
LONGEST: Final = 86_400.0  # an end that is further away counts as this: who still fires says so again
_EPOCH: Final = 0.0  # Go's zero time, the year 1, stands for no time

Name = Annotated[str, Meta(min_length=1, max_length=128)]
Value = Annotated[str, Meta(max_length=4_096)]
Text = Annotated[str, Meta(max_length=16_384)]
Time = Annotated[datetime, Meta(tz=True)]


class Posted(msgspec.Struct, frozen=True):
    """An alert as it is sent."""

    labels: Annotated[dict[Name, Value], Meta(min_length=1, max_length=64)]
    annotations: Annotated[dict[Name, Text], Meta(max_length=64)] = {}
    startsAt: Time | None = None  # noqa: N815 - the name is the protocol's
    endsAt: Time | None = None  # noqa: N815
    generatorURL: Annotated[str, Meta(max_length=4_096)] = ""  # noqa: N815


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """An alert as the log holds it; times are Unix seconds on the collector's clock."""

    labels: dict[str, str]
    annotations: dict[str, str]
    starts: float
    ends: float


class Post(msgspec.Struct, frozen=True):
    """What one request said: whose credential it was, and the alerts."""

    customer: str
    site: str
    alerts: list[Said]


_DECODER: Final = msgspec.json.Decoder(Annotated[list[Posted], Meta(max_length=MAX_ALERTS)])


def decode(body: bytes, customer: str, site: str, now: float) -> Post:
    """Return what a request says.

    Raises:
        Refusal: 400, not of this form; its path says where.
    """
    if len(body) > wire.MAX_BODY:
        raise Refusal(413, f"a body may have {wire.MAX_BODY} bytes")
    try:
        posted = _DECODER.decode(body)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$")
        raise Refusal(400, message, path="$" + where.rstrip("`")) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(400, f"not JSON: {error}", path="$") from error
    return Post(customer, site, [_said(one, number, now) for number, one in enumerate(posted)])


def _said(one: Posted, number: int, now: float) -> Said:
    starts, ends = _seconds(one.startsAt), _seconds(one.endsAt)
    if starts is not None and ends is not None and ends < starts:
        raise Refusal(400, "the alert ends before it starts", path=f"$[{number}].endsAt")
    annotations = dict(one.annotations)
    if one.generatorURL:
        annotations.setdefault("generator_url", one.generatorURL)
    ends = now + RESOLVE_SECONDS if ends is None else min(ends, now + LONGEST)
    starts = min(ends, now) if starts is None else min(starts, now)
    labels = {name: value for name, value in one.labels.items() if value}
    if not labels:
        raise Refusal(400, "an alert has a label that is not empty", path=f"$[{number}].labels")
    return Said(labels, annotations, starts, ends)


def _seconds(time: datetime | None) -> float | None:
    """Return Unix seconds, None for no time."""
    found = None if time is None else time.timestamp()
    return None if found is None or found <= _EPOCH else found
