"""The shapes of what devices answer, found once and shared by all devices of one shape."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from operator import itemgetter
from typing import Any, Final

from collector.snmp.compiled import Compiled
from collector.snmp.counters import Totals
from collector.snmp.pdu import Value
from collector.snmp.readings import Readings, build, positions

MOST: Final = 2_000
MOST_MARKS: Final = 100


@dataclass(slots=True)
class Shape:
    """Variables with the same OIDs: which of them are watched for changes, and what was made of them by their marks."""

    compiled: Compiled
    watched: Callable[[Sequence[Value]], object]
    readings: dict[bytes, Readings] = field(default_factory=dict)


@dataclass(slots=True)
class Memory:
    """What is remembered of a device from poll to poll."""

    totals: Totals = field(default_factory=Totals)
    ports: dict[str, str] = field(default_factory=dict)  # the label ifIndex of each port's name
    names: bytes = b""
    marks: bytes = b""
    compiled: Compiled | None = None
    shape: Shape | None = None
    readings: Readings | None = None


class Shapes:
    """The shapes that were seen lately."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[int, bytes], Shape] = OrderedDict()

    def readings(self, memory: Memory, compiled: Compiled, names: Sequence[bytes], values: Sequence[Value]) -> Readings:
        """Return the readings for the variables of a walk."""
        digest = blake2b(b"".join(names), digest_size=16).digest()
        shape = memory.shape
        if shape is None or digest != memory.names or compiled is not memory.compiled:
            shape = self._shape(compiled, digest, names)
            memory.names, memory.shape, memory.compiled, memory.marks = digest, shape, compiled, b""
        marks = blake2b(repr(shape.watched(values)).encode(), digest_size=16).digest()
        if marks != memory.marks or memory.readings is None:
            memory.readings = self._made(memory, shape, names, values, marks)
            memory.ports.update(memory.readings.ports)
            memory.marks = marks
        return memory.readings

    def _shape(self, compiled: Compiled, digest: bytes, names: Sequence[bytes]) -> Shape:
        key = id(compiled), digest
        shape = self._known.get(key)
        if shape is None:
            _, watched = positions(compiled, names)
            shape = self._known[key] = Shape(compiled, _getter(watched))
            if len(self._known) > MOST:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        return shape

    def _made(
        self, memory: Memory, shape: Shape, names: Sequence[bytes], values: Sequence[Value], marks: bytes
    ) -> Readings:
        found = shape.readings.get(marks)
        known = memory.ports
        if found is None or any(known.get(name, label) != label for name, label in found.ports.items()):
            columns, _ = positions(shape.compiled, names)
            found = build(shape.compiled, names, values, columns, known)
            if len(shape.readings) >= MOST_MARKS:
                shape.readings.clear()
            shape.readings[marks] = found
        return found


def _getter(at: list[int]) -> Callable[[Sequence[Value]], object]:
    if not at:
        return lambda _: ()
    get: Any = itemgetter(*at)
    return get  # type: ignore[no-any-return]
