"""The head of a push that comes again and again on a connection: recognised by its bytes, not parsed anew.

An agent's pushes differ in their time and their length alone. What stands around those two numbers is compared with
the head that was parsed before; whatever differs goes to the parser.
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

from agent import wire
from collector.errors import Refusal
from collector.ingest.http import Request
from collector.ingest.intake import Sender

_START: Final = b"POST /v1/push HTTP/1.1\r\n"
_TIME: Final = re.compile(rb"(?i)\r\nwatchdesk-time:[ \t]*(\d{1,11}\.\d{3})\r\n")
_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length:[ \t]*(\d{1,7})\r\n")
_SPECIAL: Final = re.compile(rb"(?i)\r\n(?:transfer-encoding|expect|upgrade|connection)[ \t]*:")
_MAX_HEAD: Final = 2048


# A push with a head that is known: when it was sent, and where in the data its body begins and ends.
Found: TypeAlias = tuple[float | None, int, int]


class RepeatedHead:
    """What stands around the numbers of a head.

    Attributes:
        sender: whose token it bears, as of a `version` of the senders.
        size: of the last push that was alone in its data and not compressed; the next mostly has the same.
        time: where in such a push its time is.
        behind: what stands there between its time and its body.
        body: where its body begins.
    """

    __slots__ = ("before", "behind", "between", "body", "request", "sender", "size", "time", "version", "width")

    def __init__(self, request: Request, before: bytes, between: bytes, width: int) -> None:
        self.request = request.with_body(None, b"")
        self.before = before
        self.between = between  # empty: the head has no time
        self.width = width  # digits of the time
        self.sender: Sender | None = None
        self.version = -1
        self.size = self.body = 0
        self.time = slice(len(before), len(before) + width)
        self.behind = b""

    @staticmethod
    def of(data: bytes, request: Request) -> RepeatedHead | None:
        """Return the head that `data` begins with, which was parsed as `request`; None if it is not of a usual form:
        a time and after it a length as the last header, or such a length alone.
        """
        end = data.find(b"\r\n\r\n", 0, _MAX_HEAD) + 2
        head = data[:end]
        length = _LENGTH.search(head)
        if not head.startswith(_START) or length is None or length.end() != len(head) or _SPECIAL.search(head):
            return None
        time = _TIME.search(head)
        if time is None:
            return None if request.sent is not None else RepeatedHead(request, data[: length.start(1)], b"", 0)
        return RepeatedHead(request, data[: time.start(1)], data[time.end(1) : length.start(1)], len(time[1]))

    def plain(self, body: bytes) -> bytes:
        """Return the body without its compression; empty if it cannot be: who looks closer will tell why."""
        if not self.request.encoding:
            return body
        self.request.body = body
        try:
            return self.request.content()
        except Refusal:
            return b""
        finally:
            self.request.body = b""

    def find(self, data: bytes, at: int) -> Found | None:
        """Return the push whose head is here, or None if it is another head, or not whole."""
        before = self.before
        if not data.startswith(before, at):
            return None
        here = at + len(before)
        sent = None
        if self.between:
            time = data[here : here + self.width]
            here += self.width
            if not data.startswith(self.between, here) or not time.replace(b".", b"", 1).isdigit():
                return None
            sent = float(time)
            here += len(self.between)
        end = data.find(b"\r\n\r\n", here, here + 12)
        length = data[here:end]
        if end < 0 or not length.isdigit():
            return None
        start = end + 4
        end = start + int(length)
        if end > len(data) or end - start > wire.MAX_BODY:
            return None
        if at == 0 and end == len(data) and sent is not None and not self.request.encoding:
            self.size, self.body, self.behind = end, start, data[self.time.stop : start]
        return sent, start, end
