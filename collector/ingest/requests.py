"""Names the requests of the agents' port that are not plain pushes, and logs those that are refused.

A push whose head is known (nearly all) has no id and no line: it is counted. Lines are bounded, for whoever sends much
that is refused must not fill a disk.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from collector.ingest.http import Request
from collector.logs import HEADER

LINES: Final = 20  # a second; the others are counted
_NAMED: Final = f"\r\n{HEADER}: ".encode()
_LOG = logging.getLogger(__name__)


class Refusals:
    """Logs refused requests, up to LINES a second."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._second = 0
        self._lines = 0

    def answered(self, request: Request, identity: str, response: bytes) -> bytes:
        """Return a response with the id of its request in its head; log it, if it is a refusal."""
        if _NAMED in response[:512]:
            return response  # by the main process, which this one only asked
        status = int(response[9:12])
        if status >= 400:
            self._log(request, identity, status, response)
        return response.replace(b"\r\n", f"\r\n{HEADER}: {identity}\r\n".encode(), 1)

    def _log(self, request: Request, identity: str, status: int, response: bytes) -> None:
        second = int(self._clock())
        if second != self._second:
            if self._lines > LINES:
                _LOG.info("%d more requests were refused", self._lines - LINES)
            self._second, self._lines = second, 0
        self._lines += 1
        if self._lines <= LINES:
            body = response.partition(b"\r\n\r\n")[2][:300].decode("utf-8", "replace")
            path = request.path.decode("latin-1").partition("?")[0][:200]
            what = {"request_id": identity, "status": status, "method": request.method.decode("latin-1"), "path": path}
            _LOG.info("refused: %s", body, extra={**what, "peer": request.peer})
