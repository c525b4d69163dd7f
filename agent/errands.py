"""When the heavy readings run, each in a child of its own, one at a time; and what they brought.

A child writes lines: `= SERIES VALUE`, `! EVENT`, `I INVENTORY`, `M WHAT IT WANTS TO KNOW NEXT TIME`, `? ERROR`, and
`.` at its end. What a child without that end has brought is left out.
"""

from __future__ import annotations

from agent.events import read_event
from agent.wire import MAX_SERIES_LENGTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from agent.child import Child, Start
    from agent.events import Events
    from agent.heavy import Heavy
    from agent.log import Log

FIRST = 20.0  # seconds after the start of the agent, for its first readings come before
SOONEST = 600.0  # seconds between two runs of a reading that something asks for before its time
PAUSE = 2.0  # between two children
MAX_SERIES = 3_000
MAX_MEMORY = 16_000  # characters; it goes on a command line
NOTHING_HERE = 6 * 3_600.0  # seconds after which one that found nothing of its kind is asked again
FOREVER = float("inf")
NO_VALUE = float("nan")
OK, FAILED, HUNG, WAITING, NO_DATA = "ok", "failed", "hung", "waiting", "no data"


class Errand:
    """One heavy reading and what became of its last run."""

    __slots__ = ("again", "began", "dropped", "due", "error", "heavy", "memory", "readings", "seconds", "state")

    def __init__(self, heavy: Heavy, due: float, memory: str) -> None:
        self.heavy = heavy
        self.due = due
        self.memory = memory
        self.began = -FOREVER
        self.again: float | None = None  # when it has said that it wants to come again
        self.readings: dict[str, float] = {}
        self.state = WAITING
        self.seconds = 0.0
        self.error = ""
        self.dropped = 0


class Errands:
    """The heavy readings that are switched on; `step` is called by the loop at `until`, or when `file` is ready."""

    __slots__ = ("_child", "_deadline", "_events", "_free_at", "_log", "_memory", "_remember", "_running", "_start",
                 "_started", "_words", "list")  # fmt: skip

    def __init__(
        self,
        heavy: Iterable[Heavy],
        words: list[str],
        start: Start,
        events: Events,
        log: Log,
        now: float,
        *,
        memory: Mapping[str, str] | None = None,
        remember: Callable[[Mapping[str, str]], None] = lambda _memory: None,
        first: float = FIRST,
    ) -> None:
        self._memory = dict(memory or {})
        self.list = {one.name: Errand(one, now + first, self._memory.get(one.name, "")) for one in heavy}
        self._words = words
        self._start = start
        self._events = events
        self._log = log
        self._remember = remember
        self._child: Child | None = None
        self._running: Errand | None = None
        self._started = 0.0
        self._deadline = FOREVER
        self._free_at = now

    @property
    def file(self) -> int:
        """What to wait for while a child runs; -1 for nothing."""
        return self._child.file if self._child is not None else -1

    @property
    def until(self) -> float:
        """When there is something to do at the latest."""
        if self._running is not None:
            return min(self._deadline, self._started + 1.0) if self.file < 0 else self._deadline
        due = min((errand.due for errand in self.list.values()), default=FOREVER)
        return max(due, self._free_at)

    def ask(self, heavy: Heavy, now: float) -> None:
        """Have a reading on demand taken soon, but not more often than its `every`."""
        errand = self.list.get(heavy.name)
        if errand is None:
            errand = self.list[heavy.name] = Errand(heavy, FOREVER, self._memory.get(heavy.name, ""))
        if errand.due == FOREVER:
            errand.due = max(now, errand.began + heavy.every)

    def soon(self, name: str, at: float) -> None:
        """Have a reading that comes by itself taken at a time already, but not more often than each SOONEST seconds."""
        errand = self.list.get(name)
        if errand is not None:
            errand.due = min(errand.due, max(at, errand.began + SOONEST))

    def step(self, now: float) -> bool:
        """Start, read or end a child; return whether new readings have come."""
        if self._child is not None and self._running is not None:
            ended = self._child.ended()
            if not ended and now < self._deadline:
                if self.file < 0:
                    self._started = now
                return False
            self._finish(self._child, self._running, now, hung=not ended)
            return True
        if now >= self._free_at:
            due = [errand for errand in self.list.values() if errand.due <= now]
            if due:
                self._begin(min(due, key=lambda errand: errand.due), now)
        return False

    def _begin(self, errand: Errand, now: float) -> None:
        errand.due = FOREVER if errand.heavy.on_demand else now + errand.heavy.every
        errand.began = now
        errand.again = None
        words = [*self._words, "errand", errand.heavy.name, f"{errand.heavy.budget:g}"]
        if errand.memory:
            words.append(errand.memory)
        try:
            self._child = self._start(words)
        except OSError as error:
            self._note(errand, FAILED, f"not started: {error}", 0.0)
            self._free_at = now + PAUSE
            return
        self._running = errand
        self._started = now
        self._deadline = now + errand.heavy.budget

    def _finish(self, child: Child, errand: Errand, now: float, *, hung: bool) -> None:
        seconds = now - self._started
        lines = child.output().decode("utf-8", "replace").split("\n")
        child.close()
        self._child = self._running = None
        self._free_at = now + PAUSE
        if hung:
            self._note(errand, HUNG, f"ended after {seconds:.0f} s", seconds)
        elif "." in lines[-2:]:
            self._take(errand, lines, seconds)
        else:
            told = [line[2:] for line in lines if line.startswith("? ")]
            self._note(errand, FAILED, told[-1][:300] if told else "it ended without a word", seconds)

    def _take(self, errand: Errand, lines: list[str], seconds: float) -> None:
        errand.readings = {}
        errand.dropped = 0
        for line in lines:
            mark, rest = line[:2], line[2:]
            if mark == "= ":
                self._reading(errand, rest)
            elif mark == "! ":
                self._event(errand, rest)
            elif mark == "I ":
                self._events.add_inventory(rest.encode())
            elif mark == "M ":
                self._keep(errand, rest)
            elif mark == "W ":  # it wants to come again earlier or later
                errand.again = errand.began + max(1.0, float(rest))
        if errand.again is not None:
            errand.due = errand.again
        elif not errand.readings and not errand.memory:
            errand.due = max(errand.due, errand.began + NOTHING_HERE)
        self._note(errand, OK if errand.readings else NO_DATA, "", seconds)

    def _reading(self, errand: Errand, text: str) -> None:
        series, _, value = text.rpartition(" ")
        try:
            number = float(value)
        except ValueError:
            number = NO_VALUE
        if len(errand.readings) >= MAX_SERIES or not 0 < len(series) <= MAX_SERIES_LENGTH or number != number:
            errand.dropped += 1
        else:
            errand.readings[series] = number

    def _event(self, errand: Errand, text: str) -> None:
        try:
            self._events.add(read_event(text))
        except ValueError:
            errand.dropped += 1

    def _keep(self, errand: Errand, text: str) -> None:
        if text != errand.memory and len(text) <= MAX_MEMORY:
            errand.memory = text
            self._memory[errand.heavy.name] = text
            self._remember(self._memory)

    def _note(self, errand: Errand, state: str, error: str, seconds: float) -> None:
        if error and error != errand.error:
            self._log.warning("errand failed", errand=errand.heavy.name, error=error)
        if error:
            errand.readings = {}  # what was true half an hour ago need not be
        errand.state = state
        errand.error = error
        errand.seconds = seconds

    def readings(self) -> dict[str, float]:
        """Return the readings of all, and those about them."""
        readings: dict[str, float] = {}
        for name, errand in self.list.items():
            readings.update(errand.readings)
            if errand.state not in (WAITING, NO_DATA):
                label = f'{{probe="{name}"}}'
                readings["watchdesk_probe_duration_seconds" + label] = round(errand.seconds, 3)
                readings["watchdesk_probe_success" + label] = float(errand.state == OK)
        return readings

    def close(self) -> None:
        """End the child that runs."""
        if self._child is not None:
            self._child.close()
            self._child = self._running = None
