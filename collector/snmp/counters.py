"""Counters that only grow: wraps are carried, restarts and jumps are passed over, whatever the device says.

What is told of a counter is a total of its gains. A gain that cannot be (more than its port could carry, a counter
that went back, a discontinuity) is left out, so that no rate is ever negative or absurd.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from collector.snmp.readings import Readings

_TICKS: Final = 2**32 / 100  # seconds after which sysUpTime begins anew
_WRAP_SHARE: Final = 0.5  # of its range, the most that a counter may have gained over a wrap

Floats = NDArray[np.float64]


class Saved(msgspec.Struct, array_like=True):
    """The memory of a device, as it is written to disk."""

    at: float
    uptime: float | None
    series: list[str]
    raw: list[float]
    total: list[float]


class Totals:
    """The counters of one device."""

    __slots__ = ("_at", "_breaks", "_raw", "_readings", "_saved", "_total", "_uptime", "restarts")

    def __init__(self) -> None:
        self.restarts = 0
        self._readings: Readings | None = None
        self._raw: Floats = np.zeros(0)
        self._total: Floats = np.zeros(0)
        self._breaks: tuple[object, ...] = ()
        self._at = 0.0
        self._uptime: float | None = None
        self._saved: Saved | None = None

    def take(
        self, readings: Readings, values: Floats, at: float, uptime: float | None, breaks: Sequence[object] = ()
    ) -> None:
        """Put totals in place of the raw counters in `values`.

        Args:
            at: when they were read, Unix seconds.
            uptime: sysUpTime then, in seconds.
            breaks: the discontinuity times of `readings.broken`.
        """
        if readings is not self._readings:
            self._fit(readings)
        raw = values[readings.counters]
        elapsed = max(at - self._at, 0.001)
        restarted = self._restarted(elapsed, uptime)
        self.restarts += restarted
        with np.errstate(invalid="ignore"):
            gain = raw - self._raw
            if restarted:
                span = min(uptime or 0.0, elapsed)
                gain = np.where(raw <= readings.limits * span, raw, 0.0)
            else:
                back = gain < 0
                if back.any():
                    over = gain + readings.width
                    wrapped = back & (over < _WRAP_SHARE * readings.width) & (readings.width < 2.0**64)
                    gain = np.where(wrapped, over, gain)
                gain = np.where((gain < 0) | (gain > readings.limits * elapsed), 0.0, gain)
                if breaks and self._breaks and tuple(breaks) != self._breaks:
                    changed = [one != other for one, other in zip(breaks, self._breaks, strict=True)]
                    gain[readings.broken[np.array(changed)]] = 0.0
            first = np.isnan(self._raw)
            total = np.where(first, np.where(np.isnan(self._total), raw, self._total), self._total + gain)
        missing = np.isnan(raw)
        values[readings.counters] = np.where(missing, np.nan, total)
        self._raw = np.where(missing, self._raw, raw)
        self._total = np.where(missing, self._total, total)
        self._breaks, self._at, self._uptime = tuple(breaks), at, uptime

    def _restarted(self, elapsed: float, uptime: float | None) -> bool:
        """Whether the device was started since it was last polled; sysUpTime itself wraps after 497 days."""
        before = self._uptime
        if uptime is None or before is None:
            return False
        if uptime >= before:
            return before + elapsed - uptime > max(30.0, 0.1 * elapsed)
        return before + elapsed < _TICKS - 60 or uptime > elapsed + 60

    def _fit(self, readings: Readings) -> None:
        """Arrange what is remembered for the series that there are now."""
        raw: dict[str, float] = {}
        total: dict[str, float] = {}
        if self._readings is not None:
            names = [self._readings.series[at] for at in self._readings.counters.tolist()]
            raw = dict(zip(names, self._raw.tolist(), strict=True))
            total = dict(zip(names, self._total.tolist(), strict=True))
        elif self._saved is not None:
            raw = dict(zip(self._saved.series, self._saved.raw, strict=True))
            total = dict(zip(self._saved.series, self._saved.total, strict=True))
            self._saved = None
        names = [readings.series[at] for at in readings.counters.tolist()]
        self._raw = np.array([raw.get(name, np.nan) for name in names])
        self._total = np.array([total.get(name, np.nan) for name in names])
        self._readings, self._breaks = readings, ()

    def save(self) -> Saved | None:
        """Return the memory, for `restore`; None if there is none."""
        if self._readings is None:
            return self._saved
        names = [self._readings.series[at] for at in self._readings.counters.tolist()]
        return Saved(self._at, self._uptime, names, self._raw.tolist(), self._total.tolist())

    def restore(self, saved: Saved) -> None:
        """Take up what was saved; only into a new object."""
        if len(saved.series) == len(saved.raw) == len(saved.total):
            self._saved, self._at, self._uptime = saved, saved.at, saved.uptime
