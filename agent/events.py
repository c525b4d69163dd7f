"""What happened, as EVENT frames: bounded, redacted, and so many of a source that nobody drowns in them.

The payload is the JSON object that docs/protocol.md describes. An event that comes too often is counted, and the next
one of its source that goes out says how many were left out.
"""

from __future__ import annotations

from agent import plainjson
from agent.redact import clean, redact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TYPES = (
    "log", "kernel", "unit", "service", "hotplug", "login", "software", "config", "boot", "check", "inventory",
    "security", "agent",
)  # fmt: skip
LEVELS = ("critical", "error", "warning", "info")
MAX_SOURCE = 128
MAX_ATTRIBUTES = 64
MAX_VALUE = 1_000
MAX_PAYLOAD = 60_000  # bytes; a frame of the collector's takes 64 KiB
MAX_INVENTORY = 500_000
BURST = 10  # events of a source at once; then one every REFILL seconds
REFILL = 30.0
ALL_BURST = 100  # of all sources together
ALL_REFILL = 2.0
MAX_SOURCES = 500
MAX_WAITING = 200


class Event:
    """Something that happened; `time` is None for now."""

    __slots__ = ("attributes", "level", "source", "text", "time", "type")

    def __init__(
        self,
        type: str,  # noqa: A002 - the name that the protocol gives it
        source: str,
        level: str,
        text: str,
        attributes: Mapping[str, str | float] | None = None,
        time: float | None = None,
    ) -> None:
        self.type = type
        self.source = source
        self.level = level
        self.text = text
        self.attributes: Mapping[str, str | float] = attributes if attributes is not None else {}
        self.time = time

    def members(self, now: float) -> dict[str, object]:
        """Return the object of the protocol, within its bounds."""
        attributes: dict[str, object] = {}
        for name, value in list(self.attributes.items())[:MAX_ATTRIBUTES]:
            attributes[clean(name, 64)] = redact(value, MAX_VALUE) if isinstance(value, str) else value
        return {
            "t": now if self.time is None else self.time,
            "type": self.type if self.type in TYPES else "agent",
            "source": redact(self.source, MAX_SOURCE),
            "level": self.level if self.level in LEVELS else "info",
            "text": redact(self.text),
            "attributes": attributes,
        }


def read_event(text: str) -> Event:
    """Return an event that a child has written as JSON.

    Raises:
        ValueError: it is none.
    """
    said = plainjson.loads(text)
    if not isinstance(said, dict):
        raise ValueError("not an object")
    words = [said.get(name) for name in ("type", "source", "level", "text")]
    time, attributes = said.get("t"), said.get("attributes", {})
    if not all(isinstance(word, str) for word in words) or not isinstance(attributes, dict):
        raise ValueError("not an event")
    kept = {name: value for name, value in attributes.items() if isinstance(value, str | int | float)}
    kind, source, level, shown = (str(word) for word in words)
    return Event(kind, source, level, shown, kept, float(time) if isinstance(time, int | float) else None)


class _Bucket:
    """How many more may pass."""

    __slots__ = ("_at", "_left", "_most", "_refill", "held")

    def __init__(self, now: float, most: int, refill: float) -> None:
        self._at = now
        self._left = float(most)
        self._most = most
        self._refill = refill
        self.held = 0

    def take(self, now: float) -> bool:
        self._left = min(self._most, self._left + max(0.0, now - self._at) / self._refill)
        self._at = now
        if self._left < 1:
            self.held += 1
            return False
        self._left -= 1
        return True


class Events:
    """Events on their way: taken by `add` and `add_inventory`, handed out by `drain`."""

    __slots__ = ("_all", "_clock", "_monotonic", "_off", "_sources", "_waiting", "dropped")

    def __init__(
        self, clock: Callable[[], float], monotonic: Callable[[], float], off: frozenset[str] = frozenset()
    ) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._off = off  # types that the customer's policy keeps here
        self._all = _Bucket(monotonic(), ALL_BURST, ALL_REFILL)
        self._sources: dict[tuple[str, str], _Bucket] = {}
        self._waiting: list[bytes] = []
        self.dropped = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def allows(self, kind: str) -> bool:
        """Whether events of a type may be collected at all."""
        return kind not in self._off

    def add(self, event: Event) -> bool:
        """Take an event, unless its source has had its share; return whether it was taken."""
        if not self.allows(event.type):
            return False
        now = self._monotonic()
        key = (event.type, event.source)
        bucket = self._sources.get(key)
        if bucket is None:
            if len(self._sources) >= MAX_SOURCES:
                self._sources.clear()
            bucket = self._sources[key] = _Bucket(now, BURST, REFILL)
        if len(self._waiting) >= MAX_WAITING or not bucket.take(now) or not self._all.take(now):
            self.dropped += 1
            return False
        members = event.members(self._clock())
        if bucket.held and isinstance(members["attributes"], dict):
            members["attributes"]["left_out"] = bucket.held
            bucket.held = 0
        payload = plainjson.dumps(members)
        if len(payload) > MAX_PAYLOAD:
            members["attributes"] = {}
            payload = plainjson.dumps(members)
        self._waiting.append(payload)
        return True

    def add_inventory(self, payload: bytes) -> None:
        """Take an inventory, as its child has encoded it."""
        if self.allows("inventory") and len(payload) <= MAX_INVENTORY:
            self._waiting.append(payload)
        else:
            self.dropped += 1

    def drain(self) -> list[bytes]:
        """Return the payloads that wait, and forget them."""
        waiting, self._waiting = self._waiting, []
        return waiting
