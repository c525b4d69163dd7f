"""Who is alive: since when a device is silent, and whether it said that it would be.

A device is up while it was heard within three of its intervals (5 s at least). After a start of the collector
nobody is declared silent before they could have spoken: the silence counts from the start. Who was silent stays so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SERIES: list[tuple[str, dict[str, str]]] = [
    ("up", {}),
    ("watchdesk_device_last_seen_timestamp_seconds", {}),
    ("watchdesk_device_excused", {}),
]
INTERVALS = 3.0
LEAST_SILENCE = 5.0
REFRESH_HEARD = 15.0  # seconds after which the time of the last sign of life is told anew
REFRESH_SILENT = 60.0  # seconds after which an unchanged state is: well within Prometheus' lookback
_SILENT = 0  # a told state: neither up nor excused


@dataclass(frozen=True, slots=True)
class Liveness:
    """What is known of one device; times are Unix seconds."""

    up: bool
    excused: str  # the reason of a goodbye that holds, else ""
    last_seen: float | None


class Presence:
    """The liveness of the whole fleet, in arrays with a row for each device."""

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}
        self._free: list[int] = []
        self._reasons: dict[int, str] = {}
        self._ids = np.zeros(0, np.int64)
        self._since = np.zeros(0)  # last sign of life, or the start if that was later
        self._seen = np.zeros(0)  # last sign of life; 0: none
        self._interval = np.zeros(0)
        self._excused = np.zeros(0)  # until when
        self._told = np.zeros(0)  # when its series were written last; 0: never
        self._state = np.zeros(0, np.int8)  # up + 2 × excused, as told last; -1: not told

    def add(self, device: int, now: float, interval: float) -> None:
        """Begin to watch a device, or go on with it."""
        if device in self._rows:
            return
        row = self._free.pop() if self._free else self._grow()
        self._rows[device], self._ids[row] = row, device
        self._since[row], self._seen[row], self._interval[row] = now, 0.0, interval
        self._excused[row], self._told[row], self._state[row] = 0.0, 0.0, -1

    def remove(self, device: int) -> None:
        """Cease to watch a device."""
        row = self._rows.pop(device, None)
        if row is not None:
            self._free.append(row)
            self._state[row] = -2
            self._reasons.pop(device, None)

    def heard(self, device: int, now: float) -> None:
        """Note a sign of life; it ends an excuse."""
        row = self._rows[device]
        self._since[row] = self._seen[row] = now
        self._excused[row] = 0.0

    def heard_all(self, devices: Sequence[int], now: NDArray[np.float64]) -> None:
        """Note a sign of life of many devices, each at its own time."""
        rows = [self._rows[device] for device in devices]
        self._since[rows] = self._seen[rows] = now
        self._excused[rows] = 0.0

    def interval(self, device: int, seconds: float) -> None:
        """Set the interval at which a device reports."""
        self._interval[self._rows[device]] = seconds

    def goodbye(self, device: int, now: float, reason: str, ttl: float) -> None:
        """Excuse a device's silence for `ttl` seconds; it counts as silent from now on."""
        row = self._rows[device]
        self._excused[row] = now + ttl
        self._reasons[device] = reason

    def tell(self, device: int) -> None:
        """Let the device's series be written at the next opportunity."""
        self._state[self._rows[device]] = -1

    def started(self, now: float) -> None:
        """The collector was away until now: silence counts from here, and goodbyes are taken to hold.

        Who was silent before is so until heard: that the collector was away is no sign of life.
        """
        silent = self._state == _SILENT
        self._since = np.where(silent, self._since, np.maximum(self._since, now))

    def of(self, device: int, now: float) -> Liveness:
        """Return what is known of a device."""
        row = self._rows[device]
        excused = self._excused[row] > now
        seen = float(self._seen[row])
        return Liveness(
            up=bool(self._up(now)[row]) and seen > 0,
            excused=self._reasons.get(device, "") if excused else "",
            last_seen=seen or None,
        )

    def due(self, now: float) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """Yield the devices whose series are to be written, with the values of SERIES."""
        excused = self._excused > now
        up = self._up(now) & ~excused
        state = (up + 2 * excused).astype(np.int8)
        age = now - self._told
        fresh = (self._seen > self._told) & (age >= REFRESH_HEARD)
        wanted = ((state != self._state) | fresh | (age >= REFRESH_SILENT)) & (self._state != -2)
        if not wanted.any():
            return
        for row in np.flatnonzero(wanted).tolist():
            self._told[row], self._state[row] = now, state[row]
            # Of what was never heard nothing is known: it is no fault that it is not there yet.
            known = (float(up[row]), self._seen[row]) if self._seen[row] else (np.nan, np.nan)
            yield int(self._ids[row]), np.array([[*known, float(excused[row])]])

    def _up(self, now: float) -> NDArray[np.bool_]:
        silence: NDArray[np.bool_] = now - self._since <= np.maximum(INTERVALS * self._interval, LEAST_SILENCE)
        return silence

    def _grow(self) -> int:
        row = len(self._since)
        size = max(64, 2 * row)
        for name in ("_ids", "_since", "_seen", "_interval", "_excused", "_told", "_state"):
            old = getattr(self, name)
            new = np.zeros(size, old.dtype)
            new[:row] = old
            setattr(self, name, new)
        self._state[row:] = -2
        self._free = list(range(size - 1, row, -1))
        return row

    def dump(self) -> list[list[float | int | str]]:
        """Return the state of every device, for `restore`."""
        return [
            [
                device,
                self._reasons.get(device, ""),
                *(float(column[row]) for column in (self._since, self._seen, self._interval, self._excused)),
                float(self._told[row]),
                int(self._state[row]),
            ]
            for device, row in self._rows.items()
        ]

    def restore(self, devices: list[list[float | int | str]]) -> None:
        """Take up a dumped state."""
        for device, reason, since, seen, interval, excused, told, state in devices:
            number = int(device)
            self.add(number, float(since), float(interval))
            row = self._rows[number]
            self._seen[row], self._excused[row] = float(seen), float(excused)
            self._told[row], self._state[row] = float(told), int(state)
            if reason:
                self._reasons[number] = str(reason)
