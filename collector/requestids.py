"""Names each request of the pages' port, tells its id in the answer, and logs that it was answered."""

from __future__ import annotations

import logging
import time
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from collector.logs import HEADER, new_id, request_id

_QUIET: Final = ("/-/", "/metrics", "/static/", "/sd")
_LOG = logging.getLogger(__name__)


class RequestIds:
    """Wraps an application. The id holds for the rest of the request's task, so that a failure is logged with it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identity = new_id(Headers(scope=scope).get(HEADER, ""))
        request_id.set(identity)
        started, status = time.perf_counter(), 0

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = identity
            await send(message)

        await self._app(scope, receive, named)
        level = logging.DEBUG if scope["path"].startswith(_QUIET) and status < 500 else logging.INFO
        what = {"status": status, "method": scope["method"], "path": scope["path"]}
        what |= {"peer": (scope.get("client") or ("",))[0], "seconds": round(time.perf_counter() - started, 4)}
        _LOG.log(level, "answered", extra=what)
