"""How many events of each kind a device had: `watchdesk_events_total`, made by the state machine, usable in rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

METRIC: Final = "watchdesk_events_total"
MAX_KINDS: Final = 200  # of a device; what comes beyond is counted with the source "other"
REFRESH_SECONDS: Final = 15.0  # well within Prometheus' lookback

Kind = tuple[str, str, str]  # type, source, level
Series = list[tuple[str, dict[str, str]]]
Floats = NDArray[np.float64]
# device, when it was written last, whether it has changed since, type, source, level, count and newness of each kind
Dumped = tuple[int, float | None, bool, list[tuple[str, str, str, float, bool]]]


class EventCounts:
    """The counts of the whole fleet. A kind begins with a 0 before its first event, so that `increase` sees it."""

    def __init__(self) -> None:
        self._counts: dict[int, dict[Kind, float]] = {}
        self._told: dict[int, float] = {}
        self._changed: set[int] = set()
        self._new: dict[int, set[Kind]] = {}

    def count(self, device: int, kind: Kind) -> None:
        """Count one event."""
        counts = self._counts.setdefault(device, {})
        if kind not in counts and len(counts) >= MAX_KINDS:
            kind = (kind[0], "other", kind[2])
        if kind not in counts:
            self._new.setdefault(device, set()).add(kind)
        counts[kind] = counts.get(kind, 0.0) + 1.0
        self._changed.add(device)

    def forget(self, device: int) -> None:
        """Cease to count for a device."""
        for known in (self._counts, self._told, self._new):
            known.pop(device, None)
        self._changed.discard(device)

    def due(self, now: float) -> Iterator[tuple[int, Series, Floats, Floats]]:
        """Yield what is to be written: a device, its series, and the times and values of one row; of two rows for a
        device with new series, of which the first has the zeros that they begin with."""
        stale = [device for device, at in self._told.items() if abs(now - at) >= REFRESH_SECONDS]
        for device in sorted(self._changed.union(stale)):
            counts, new = self._counts[device], self._new.pop(device, set())
            kinds = sorted(counts)
            rows = [[counts[kind] for kind in kinds]]
            times = [now]
            if new:
                rows.insert(0, [0.0 if kind in new else counts[kind] for kind in kinds])
                times.insert(0, max(now - REFRESH_SECONDS, self._told.get(device, 0.0) + 0.001))
            series = [(METRIC, dict(zip(("type", "source", "level"), kind, strict=True))) for kind in kinds]
            self._told[device] = now
            yield device, series, np.array(times), np.array(rows)
        self._changed.clear()

    def dump(self) -> list[Dumped]:
        """Return the state, for `restore`."""
        return [
            (
                device,
                self._told.get(device),
                device in self._changed,
                [(*kind, count, kind in self._new.get(device, ())) for kind, count in counts.items()],
            )
            for device, counts in self._counts.items()
        ]

    def restore(self, devices: list[Dumped]) -> None:
        """Take up a dumped state."""
        for device, told, changed, kinds in devices:
            self._counts[device] = {(kind, source, level): count for kind, source, level, count, _ in kinds}
            new = {(kind, source, level) for kind, source, level, _, fresh in kinds if fresh}
            if new:
                self._new[device] = new
            if told is not None:
                self._told[device] = told
            if changed:
                self._changed.add(device)
