"""The reference: what the log says must have happened, in plain Python, without any of the collector's own machinery.

It reads frames with the protocol's own decoder and knows one rule: `fault_level > 50` fires for each label `phase`, as
of the tick before which the newest value came. A row that is not newer than the newest, in milliseconds, has no effect.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from agent import wire
from agent.wire import Kind
from collector.log import Record, RecordKind

SERIES = 'fault_level{phase="%d"}'


@dataclass(slots=True)
class Model:
    """What has come of the records so far.

    Attributes:
        frames: how often each (device, epoch, seq) is in the log.
        fired: the phases that were above the limit at a tick.
        ended: those of them that were not at a later one.
        conditions: the same as `fired`, of each device.
    """

    frames: Counter[tuple[int, int, int]] = field(default_factory=Counter)
    fired: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    conditions: set[tuple[int, str]] = field(default_factory=set)
    _schemas: dict[int, list[str]] = field(default_factory=dict)
    _levels: dict[tuple[int, str], float] = field(default_factory=dict)
    _newest: dict[int, int] = field(default_factory=dict)

    def run(self, records: Iterable[Record]) -> Model:
        """Take records, and return itself."""
        for record in records:
            if record.kind == RecordKind.FRAME:
                self._frame(record)
            elif record.kind == RecordKind.TICK:
                above = {key for key, value in self._levels.items() if value > 50}
                self.conditions |= above
                high = {series for _, series in above}
                self.ended |= self.fired - high
                self.fired |= high
        return self

    def _frame(self, record: Record) -> None:
        device, body = record.device, record.body
        frame = wire.read_frame(body)
        assert frame is not None, "a record without a sound frame"
        if frame.seq and frame.kind != Kind.SCHEMA:  # which is known by its content
            self.frames[device, frame.epoch, frame.seq] += 1
        if frame.kind == Kind.SCHEMA:
            payload = body[frame.start : frame.end]
            self._schemas[wire.schema_id(payload)] = payload.decode().split("\n")
        elif frame.kind == Kind.ROWS:
            rows = wire.read_rows(body, frame)
            (time,) = struct.unpack_from("<d", body, rows.times + 8 * (rows.rows - 1))
            at = round(min(time + record.skew, record.received) * 1000)
            if at <= self._newest.get(device, 0):
                return
            self._newest[device] = at
            names = self._schemas[rows.schema]
            for column, name in enumerate(names):
                place = rows.values + 8 * ((rows.rows - 1) * rows.columns + column)
                if name.startswith("fault_level{"):
                    self._levels[device, name] = struct.unpack_from("<d", body, place)[0]
            # A series that the newest schema of the device lacks is gone.
            gone = [key for key in self._levels if key[0] == device and key[1] not in names]
            for key in gone:
                del self._levels[key]
