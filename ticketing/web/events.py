"""The stream of changes, as server-sent events, and the answer that carries it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ticketing.errors import Unavailable
from ticketing.scope import EVERYTHING
from ticketing.web.desk import Desk, failed, secured
from ticketing.web.errors import LoginNeeded, WebError
from ticketing.web.visit import Visit, open_visit


class EventStream(Response):
    """Sends texts as they come, and stops as soon as the client has gone."""

    media_type = "text/event-stream"

    def __init__(self, texts: AsyncIterator[str], ended: Callable[[], None]) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._texts = texts
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's form
        """Send the head, then each text; whichever of the two ends first, the client or the texts, ends the answer."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        sending = asyncio.create_task(self._send(send))
        gone = asyncio.create_task(self._gone(receive))
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, gone):
                task.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)
            self._ended()

    async def _send(self, send: Send) -> None:
        async for text in self._texts:
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass


def events(desk: Desk) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint of a viewer's stream; it goes on from `Last-Event-ID`, or `after` in the query."""

    async def endpoint(request: Request) -> Response:
        async def still_valid() -> bool:
            return await run_in_threadpool(desk.accounts.session, visit.secret, now=desk.clock()) == visit.user

        try:
            visit, position = await run_in_threadpool(_admit, desk, request)
            listener = desk.live.join(visit.scope, visit.viewer.name, position)
        except (WebError, Unavailable) as error:
            return await run_in_threadpool(failed, desk, request, error)
        return secured(EventStream(desk.live.listen(listener, still_valid), lambda: desk.live.leave(listener)))

    return endpoint


def _admit(desk: Desk, request: Request) -> tuple[Visit, int]:
    """Return the visit and from where on it wants to hear. Raises LoginNeeded."""
    visit = open_visit(request, {}, desk.accounts, desk.clock())
    if visit.user is None:
        raise LoginNeeded
    newest = desk.store.last_change(EVERYTHING)
    asked = request.headers.get("last-event-id") or request.query_params.get("after", "")
    # A position from the future (a database put back) must not deafen this stream or the watcher.
    return visit, min(int(asked), newest) if re.fullmatch(r"[0-9]{1,18}", asked) else newest
