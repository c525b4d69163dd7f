"""Signs of life for who watches this process: systemd (sd_notify(3)), or supervise.py where that does not run.

Both say in the environment where they listen and how long a silence they stand. Who ends the agent for it leaves why in
the state's file `ended`, and the next run tells that.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

NEVER = float("inf")
# What systemd calls it (systemd.exec(5), $SERVICE_RESULT), and supervise.py.
WHY = {
    "watchdog": "it hung",
    "oom-kill": "it took more memory than its limit",
    "memory": "it took more memory than its limit",
    "cpu": "it took more of the processor than its limit",
    "signal": "it was killed",
    "core-dump": "it was killed",
    "timeout": "it did not end in time when it was asked to",
    "exit-code": "it ended with a failure",
}


class Lifeline:
    """Tells `READY=1` once and then a sign of life twice in each span that is stood; `due` says when the next is."""

    __slots__ = ("_address", "_every", "_socket", "due")

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        span = environ.get("WATCHDOG_USEC", "")
        self._every = int(span) / 2e6 if span.isdigit() and int(span) else NEVER
        self._socket: object = None
        self.due = NEVER
        if self._address and sys.platform != "win32":
            import _socket

            self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
            self._socket.setblocking(False)

    def ready(self, now: float) -> None:
        """Say that the start is over."""
        self._say(b"READY=1")
        self.due = now + self._every if self._socket is not None else NEVER

    def beat(self, now: float) -> None:
        """Say that the loop goes round, if it is time."""
        if now >= self.due:
            self._say(b"WATCHDOG=1")
            self.due = now + self._every

    def _say(self, text: bytes) -> None:
        if self._socket is None:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            self._socket.sendto(text, address)  # type: ignore[attr-defined]
        except OSError:
            return  # nobody listens just now; who counts on it will see

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()  # type: ignore[attr-defined]
            self._socket = None


def why(result: str) -> str:
    """Return the sentence for what is in `ended`; for a run that nobody has watched, all that is known."""
    word = result.split(" ")[0].strip()
    return WHY.get(word, "nobody knows why: it was killed, or the machine failed")
