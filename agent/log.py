"""Structured lines on stderr: `ts=… level=… event=… key=value …`. The logging module would cost 2 MB.

Secrets are never handed to it; control characters never leave it, so that no reading can forge a line.
"""

from __future__ import annotations

import sys
import time

LEVELS = {"debug": 0, "info": 1, "warning": 2, "error": 3}


class Log:
    """Writes a line for each event of its level or above."""

    __slots__ = ("_least", "_write")

    def __init__(self, level: str = "info", write: object = None) -> None:
        self._least = LEVELS[level]
        self._write = write

    def debug(self, event: str, **fields: object) -> None:
        """What only a developer wants to see."""
        self._line("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        """What happened, as meant."""
        self._line("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """What the agent lives with, but somebody should know."""
        self._line("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        """What needs somebody."""
        self._line("error", event, fields)

    def _line(self, level: str, event: str, fields: dict[str, object]) -> None:
        if LEVELS[level] < self._least:
            return
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        parts = [f"ts={stamp}", f"level={level}", f"event={event}"]
        parts += [f"{key}={_value(value)}" for key, value in fields.items()]
        line = " ".join(parts) + "\n"
        if callable(self._write):
            self._write(line)
            return
        try:
            sys.stderr.write(line)
            sys.stderr.flush()
        except OSError:
            pass  # a closed or full stderr must not stop the monitoring


def _value(value: object) -> str:
    """Return a value as one word, or quoted."""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    text = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text[:1000])
    if text and not any(char in ' "=\\' for char in text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
