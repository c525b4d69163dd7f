"""What a reading means beyond its numbers: who logged in, that evidence is worth taking, that the log has errors."""

from __future__ import annotations

import os

from agent.events import Event
from agent.heavy import JOURNAL, TOP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.errands import Errands
    from agent.events import Events
    from agent.journal import Journal
    from agent.probes.host import Host

BUSY = 0.9  # share of all processors, over one interval
MEMORY_LEFT = 0.08
MOST_SESSIONS = 20  # told by name in one reading
# Files that change with what is installed and who has an account: then the inventory is worth a look before its time.
TRACES = (
    "/var/lib/dpkg/status", "/var/lib/rpm/rpmdb.sqlite", "/var/lib/rpm/Packages", "/usr/lib/sysimage/rpm/rpmdb.sqlite",
    "/lib/apk/db/installed", "/var/lib/pacman/local", "/etc/passwd", "/etc/os-release",
)  # fmt: skip
SETTLE = 60.0  # seconds: an upgrade writes them again and again


class Meaning:
    """Looks at each reading beside the one before."""

    __slots__ = ("_errands", "_errors", "_events", "_host", "_idle", "_idle_names", "_journal", "_monotonic",
                 "_sessions", "_taken", "_traces")  # fmt: skip

    def __init__(
        self, host: Host, events: Events, errands: Errands, journal: Journal | None, monotonic: Callable[[], float]
    ) -> None:
        self._host = host
        self._events = events
        self._errands = errands
        self._journal = journal
        self._monotonic = monotonic
        self._errors = journal.count() if journal is not None else None
        self._sessions: set[tuple[str, str, str]] | None = None
        self._traces: tuple[int, ...] | None = None
        self._idle_names: list[str] = []
        self._idle = 0.0
        self._taken = 0.0

    def look(self, readings: Mapping[str, float]) -> None:
        """Take a reading."""
        now = self._monotonic()
        if self._is_short(readings, now):
            self._errands.ask(TOP, now)
        if self._journal is not None and self._events.allows("log"):
            errors = self._journal.count()
            if errors and errors != self._errors:
                self._errands.ask(JOURNAL, now)
            self._errors = errors
        self._look_at_sessions()
        self._look_at_traces(now)

    def _look_at_traces(self, now: float) -> None:
        before, self._traces = self._traces, tuple(changed(self._host.root + path) for path in TRACES)
        if before is not None and before != self._traces:
            for name in ("inventory", "updates"):
                self._errands.soon(name, now + SETTLE)

    def _is_short(self, readings: Mapping[str, float], now: float) -> bool:
        """Whether the processors were busy since the last reading, or memory is all but used up."""
        if not self._idle_names or self._idle_names[0] not in readings:
            self._idle_names = [name for name in readings if name.startswith("node_cpu_s") and 'mode="idle"' in name]
        idle = sum(readings.get(name, 0.0) for name in self._idle_names)
        seconds, before = now - self._taken, self._idle
        self._taken, self._idle = now, idle
        cores = len(self._idle_names)
        busy = cores > 0 and before > 0 and seconds > 0.5 and (idle - before) / (seconds * cores) < 1 - BUSY
        total = readings.get("node_memory_MemTotal_bytes", 0.0)
        return busy or readings.get("node_memory_MemAvailable_bytes", total) < MEMORY_LEFT * total

    def _look_at_sessions(self) -> None:
        now = self._host.memory.get("users.sessions")
        if not isinstance(now, set):
            return
        before, self._sessions = self._sessions, now
        if before is None or before == now:
            return
        for verb, changed in (("in", now - before), ("out", before - now)):
            for user, place, session in sorted(changed)[:MOST_SESSIONS]:
                text = f"{user} has logged {verb} ({place})"
                self._events.add(Event("login", user, "info", text, {"user": user, "from": place, "session": session}))


def changed(path: str) -> int:
    """Return when a file was changed, in nanoseconds; 0 if it is not there."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
