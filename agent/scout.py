"""What the agent sees beside its regular readings: changes at once, heavy readings now and then, and events of both."""

from __future__ import annotations

import os
import sys

from agent.events import TYPES, Event
from agent.loop import Others
from agent.probes import NoData

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent.errands import Errands
    from agent.events import Events
    from agent.held import Held
    from agent.meaning import Meaning
    from agent.probes.host import Host
    from agent.watch import Watch

LOOK = 1.0  # seconds between two looks at what cannot be waited for
BURST = 5.0  # readings out of turn at once; then one in REFILL seconds
REFILL = 5.0
FOREVER = float("inf")


class Look:
    """What is looked at each second, where the system does not tell of itself: a name, and a function of its state."""

    __slots__ = ("event", "last", "name", "read")

    def __init__(self, name: str, read: Callable[[], object], event: Callable[[object, object], Event | None]) -> None:
        self.name = name
        self.read = read
        self.event = event
        self.last: object = None


class Scout:
    """Driven by the agent's loop: `step` whenever one of `files` is ready, or `until` has come."""

    __slots__ = ("_at", "_credit", "_credit_at", "_looks", "_meaning", "_watch", "errands", "events", "held", "others",
                 "until")  # fmt: skip

    def __init__(
        self,
        events: Events,
        errands: Errands,
        watch: Watch | None = None,
        looks: Sequence[Look] = (),
        meaning: Meaning | None = None,
    ) -> None:
        self.events = events
        self._meaning = meaning
        self.errands = errands
        self._watch = watch
        self._looks = looks
        for look in looks:
            look.last = look.read()
        self._at = 0.0
        self._credit = BURST
        self._credit_at = 0.0
        self.until = 0.0
        self.others = Others()
        self.held: Held | None = None

    def files(self) -> list[tuple[int, int]]:
        """Return (file, events of poll) of what to wait for."""
        found = self._watch.files() if self._watch is not None else []
        if self.errands.file >= 0:
            found.append((self.errands.file, 1))  # POLLIN
        if self.held is not None:
            found += self.held.files()
        return found

    def step(self, now: float) -> bool:
        """Do what there is to do; return whether a reading should be taken at once."""
        ready, self.others.ready = self.others.ready, set()
        changed = self._watch.look(ready) if self._watch is not None and ready else False
        came = self.errands.step(now)
        if self.held is not None:
            self.held.step(now, ready)
        if self._looks and now >= self._at:
            self._at = now + LOOK
            differing = [self._differs(look) for look in self._looks]
            changed = any(differing) or changed
        self.until = min(self._at if self._looks else FOREVER, self.errands.until)
        if self.held is not None:
            self.until = min(self.until, self.held.until)
        return (changed or came) and self._may(now)

    def _differs(self, look: Look) -> bool:
        before, look.last = look.last, look.read()
        if before == look.last:
            return False
        event = look.event(before, look.last)
        if event is not None:
            self.events.add(event)
        return True

    def _may(self, now: float) -> bool:
        """A machine on which everything changes all the time is read often enough."""
        self._credit = min(BURST, self._credit + (now - self._credit_at) / REFILL)
        self._credit_at = now
        if self._credit < 1:
            return False
        self._credit -= 1
        return True

    def after(self, readings: Mapping[str, float]) -> None:
        """Take a look at what was read, for what it means."""
        if self._meaning is not None:
            self._meaning.look(readings)

    def readings(self) -> dict[str, float]:
        """Return what the heavy readings brought, and the counts of what was seen."""
        readings = self.errands.readings()
        if self._watch is not None:
            readings.update(self._watch.readings())
        if self.held is not None:
            readings.update(self.held.readings())
        readings["watchdesk_agent_events_dropped_total"] = float(self.events.dropped)
        return readings

    def close(self) -> None:
        """End what runs, and let go of the files."""
        self.errands.close()
        if self.held is not None:
            self.held.close()
        if self._watch is not None:
            self._watch.close()


def watch_for(host: Host, events: Events, options: Mapping[str, str]) -> Watch | None:
    """Return what this system can wait for."""
    if sys.platform != "linux" or options.get("watch", "on") == "off":
        return None
    from agent.watch import Watch

    return Watch(host, events)


def looks_for(host: Host, watch: Watch | None) -> list[Look]:
    """Return what is to be looked at each second on this system."""
    found = []
    if "watch.processes" in host.options:
        found.append(Look("processes", lambda: alive(host), _ended))
    if sys.platform == "linux" and (watch is None or "kernel" in watch.absent):
        found.append(Look("oom", lambda: oom_kills(host), lambda _before, _now: None))
    return found


def alive(host: Host) -> frozenset[str]:
    """Return the watched names of which a process lives that the last reading found."""
    pids = host.memory.get("processes.watched")
    if not isinstance(pids, dict):
        return frozenset()
    return frozenset(name for name, ones in pids.items() if any(os.path.exists(f"{host.proc}/{pid}") for pid in ones))


def _ended(before: object, now: object) -> Event | None:
    gone = sorted(before - now) if isinstance(before, frozenset) and isinstance(now, frozenset) else []
    if not gone:
        return None
    return Event("service", gone[0], "error", "no process is left of: " + ", ".join(gone), {})


def oom_kills(host: Host) -> str:
    """Return the line of /proc/vmstat that counts kills for lack of memory."""
    try:
        lines = host.read_proc("vmstat").split("\n")
    except (NoData, OSError):
        return ""
    return next((line for line in lines if line.startswith("oom_kill")), "")


def kept_here(options: Mapping[str, str]) -> frozenset[str]:
    """Return the types of events that the customer's policy keeps on the machine."""
    return frozenset(kind for kind in TYPES if options.get("privacy.events." + kind, "on") == "off")
