"""The route of foreign alerts on the agents' port."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from collector.errors import LogError, Refusal
from collector.foreign.message import decode
from collector.ingest.commit import Done
from collector.ingest.http import Request, answer, refusal
from collector.log.record import RecordKind, encode
from collector.register.writers import Writer

PATH: Final = b"/api/v2/alerts"
_JSON: Final = b"application/json"


def take(
    request: Request,
    writer: Writer,
    put: Callable[[list[bytes], Done], None],
    *,
    clock: Callable[[], float],
    reply: Callable[[bytes], None],
    wrote: Callable[[], None],
) -> None:
    """Answer a request once what it says is durable; `wrote` is called when it is.

    Raises:
        Refusal: nothing of it was taken.
    """
    if not request.content_type.startswith(_JSON):
        raise Refusal(415, "Content-Type is application/json")
    now = clock()
    post = decode(request.content(), writer.customer, writer.site, now)

    def done(error: LogError | None) -> None:
        if error is not None:
            reply(refusal(Refusal(503, str(error), retry_after=5), clock()))
            return
        wrote()
        reply(answer(200, clock()))

    records = [encode(RecordKind.ALERTS, 0, now, 0.0, msgspec.json.encode(post))] if post.alerts else []
    put(records, done)
