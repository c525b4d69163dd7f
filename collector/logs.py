"""The collector's own log lines: text, or one JSON object a line; with the id of the request that they belong to.

Fields of a JSON line: `time` (UTC, RFC 3339), `level`, `logger`, `message`; where there are any `request_id`, `thread`
(none for the main one), `exception`; and what a line has of its own, such as `status`, `method`, `path`, `peer`,
`seconds` of an answered request.
"""

from __future__ import annotations

import logging
import re
import secrets
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

import msgspec

Format = Literal["text", "json"]
HEADER: Final = "X-Request-ID"
request_id: ContextVar[str] = ContextVar("request_id", default="")
_PLAUSIBLE: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")
_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "request_id",
    "color_message",
}


def new_id(offered: str = "") -> str:
    """Return the id of a request: the one that a proxy before us gave it, if that is a plain word, else a new one."""
    return offered if _PLAUSIBLE.fullmatch(offered) else secrets.token_hex(8)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, whatever is in the message."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request := _request_of(record):
            line["request_id"] = request
        if record.threadName != "MainThread":
            line["thread"] = record.threadName
        line |= {name: value for name, value in vars(record).items() if name not in _OWN}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


class TextFormatter(logging.Formatter):
    """A line that people read; what cannot be printed is escaped, so that nothing in it makes a line of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = datetime.fromtimestamp(record.created, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        more = "".join(f" {name}={value}" for name, value in vars(record).items() if name not in _OWN)
        request = f" request_id={_request_of(record)}" if _request_of(record) else ""
        message = record.getMessage()
        line = f"{at},{int(record.msecs):03d} level={record.levelname} logger={record.name}{request} {message}{more}"
        line = "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _request_of(record: logging.LogRecord) -> str:
    return str(getattr(record, "request_id", "") or request_id.get())


def log_to(stream: TextIO, level: int, form: Format = "text") -> None:
    """Write the lines of this process from `level` on to a stream."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


def log_to_stderr(level: int, form: Format = "text") -> None:
    """Write the lines of this process to stderr."""
    log_to(sys.stderr, level, form)
