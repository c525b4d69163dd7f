"""What the collector itself sees of a device, by SNMP, ICMP or traps: frames in the log as those of an agent.

They are told from an agent's by their epoch, which no agent can send. It says which source of series they are, since
those of one source replace one another, and whether the device was heard: that it did not answer is no sign of life.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from agent import wire
from agent.wire import Kind
from collector.log.record import RecordKind, encode
from rules.fleet import AGENT

OWN: Final = 1 << 63
_ALIVE: Final = 1 << 62
REACH: Final = 0  # ICMP and TCP
POLL: Final = 1  # how the poll itself went
TRAPS: Final = 2
PORTS: Final = 3  # what the map says of ports
ITSELF: Final = 8  # how Watchdesk is
SERIES: Final = 16  # and above: the parts of what a poll read


def epoch(source: int, *, heard: bool) -> int:
    """Return the epoch of a frame of one of these sources."""
    return OWN | (_ALIVE if heard else 0) | source


def source_of(epoch: int) -> str:
    """Return the name of a frame's source in the fleet."""
    return f"observed {epoch & 0xFFFF}" if epoch & OWN else AGENT


def not_an_agents(epoch: int) -> bool:
    """Whether the collector itself made a frame."""
    return bool(epoch & OWN)


def alive(epoch: int) -> bool:
    """Whether a frame shows that its device lives."""
    return not epoch & OWN or bool(epoch & _ALIVE)


Put = Callable[[list[bytes], Mapping[int, int]], None]


class Observer:
    """Writes what the collector sees into the log; a schema goes before the first rows that need it."""

    def __init__(self, put: Put, known: Mapping[int, int], clock: Callable[[], float]) -> None:
        """`put(records, schemas among them)` queues for the log; `known` are the schemas that the log has."""
        self._put = put
        self._known = known
        self._clock = clock

    def rows(
        self,
        device: int,
        source: int,
        parts: list[tuple[int, bytes, NDArray[np.float64]]],
        *,
        at: float,
        heard: bool,
    ) -> None:
        """Put values of a device into the log.

        Args:
            source: of the first part; those behind it have the numbers behind it.
            parts: the id and the payload of a schema, and a value for each of its series.
            at: when they were read, Unix seconds.
            heard: the device itself has spoken.
        """
        now = self._clock()
        records: list[bytes] = []
        schemas: dict[int, int] = {}
        for number, (schema, payload, values) in enumerate(parts):
            stamp = epoch(source + number, heard=heard)
            if schema not in self._known:
                schemas[schema] = len(values)
                records.append(_record(device, now, Kind.SCHEMA, stamp, payload))
            rows = wire.ROWS_HEADER.pack(schema, 1, len(values)) + np.float64(at).tobytes() + values.tobytes()
            records.append(_record(device, now, Kind.ROWS, stamp, rows))
        self._put(records, schemas)

    def event(
        self, device: int, kind: str, source: str, level: str, text: str, attributes: Mapping[str, str | float]
    ) -> None:
        """Put an event of a device into the log; it is no sign of life."""
        now = self._clock()
        content = {"t": now, "type": kind, "source": source[:128], "level": level, "text": text[:4000]}
        payload = msgspec.json.encode({**content, "attributes": dict(list(attributes.items())[:64])})
        self._put([_record(device, now, Kind.EVENT, epoch(POLL, heard=False), payload)], {})


def _record(device: int, now: float, kind: int, stamp: int, payload: bytes) -> bytes:
    return encode(RecordKind.FRAME, device, now, 0.0, wire.encode(kind, stamp, 0, payload))


def schema(*series: str) -> tuple[int, bytes]:
    """Return the id and the payload of a schema of a few series."""
    payload = wire.encode_schema(list(series))
    return wire.schema_id(payload), payload
