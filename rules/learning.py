"""The arithmetic of baselines: means and deviations for each hour of the week, of many series at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from rules.errors import EvaluationError
from rules.fleet import Fleet
from rules.labels import NAME, Labels
from rules.recorder import Recorder
from rules.source import Source

METRIC: Final = "watchdesk_baseline"
HOURS: Final = 168

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Spec:
    """A baseline that is wanted: of what, how fast it forgets (weeks), when it is shown, of how many series."""

    name: str
    expr: str
    half_life: float = 4.0
    weeks: int = 2
    limit: int = 20_000


class SavedBaseline(msgspec.Struct, frozen=True):
    """What has been learned, as it is dumped; arrays as the bytes of float64."""

    name: str
    bucket: int
    series: list[dict[str, str]]
    learned: bytes  # series × 168 × (weight, mean, square)
    hour: bytes  # series × (count, mean, square)


class Learner:
    """One baseline. Rows are series; weight, mean and sum of squared deviations for each hour of the week."""

    def __init__(self, spec: Spec, fleet: Fleet, owner: int) -> None:
        self.spec = spec
        self.refused = 0
        self.error = ""
        self._source = Source(fleet, spec.expr)
        self._recorder = Recorder(fleet, owner)
        self._fade = 0.5 ** (1 / spec.half_life)
        self._rows: dict[Labels, int] = {}
        self._learned: Floats = np.zeros((0, HOURS, 3))
        self._hour: Floats = np.zeros((0, 3))
        self._bucket = -1
        self._shown: tuple[tuple[int, ...], list[Labels]] = ((), [])

    def take(self, now: float, bucket: int) -> None:
        """Learn from the series as they are now, and show what is usual at this hour."""
        if bucket != self._bucket:
            self._fold()
            self._bucket = bucket
        try:
            result = self._source.at(now)
        except EvaluationError as error:
            self.error = str(error)
            return
        self.error = ""
        rows = np.array([self._row(own) for own in result.labels], np.int64)
        known = (rows >= 0) & np.isfinite(result.values)
        self._gather(rows[known], result.values[known])
        self._show(now, bucket, rows[rows >= 0])

    def _row(self, own: Labels) -> int:
        row = self._rows.get(own)
        if row is not None:
            return row
        if len(self._rows) >= self.spec.limit:
            self.refused += 1
            return -1
        row = self._rows[own] = len(self._rows)
        if row >= len(self._hour):
            more = max(16, len(self._hour) // 2)
            self._learned = np.concatenate((self._learned, np.zeros((more, HOURS, 3))))
            self._hour = np.concatenate((self._hour, np.zeros((more, 3))))
        return row

    def _gather(self, rows: NDArray[np.int64], values: Floats) -> None:
        """Welford's update of this hour's count, mean and squares (each row once)."""
        hour = self._hour[rows]
        count = hour[:, 0] + 1
        off = values - hour[:, 1]
        mean = hour[:, 1] + off / count
        self._hour[rows] = np.stack((count, mean, hour[:, 2] + off * (values - mean)), axis=1)

    def _fold(self) -> None:
        """The hour is over: it becomes a week's entry in its bucket, of weight 1, and the bucket fades."""
        taken = np.flatnonzero(self._hour[:, 0])
        if self._bucket >= 0 and len(taken):
            count, mean, squares = self._hour[taken].T
            kept = self._learned[taken, self._bucket]
            weight = kept[:, 0] * self._fade + 1
            off = mean - kept[:, 1]
            middle = kept[:, 1] + off / weight
            spread = kept[:, 2] * self._fade + squares / count + off * (mean - middle)
            self._learned[taken, self._bucket] = np.stack((weight, middle, spread), axis=1)
        self._hour[:] = 0

    def _show(self, now: float, bucket: int, rows: NDArray[np.int64]) -> None:
        learned = self._learned[rows, bucket]
        needed = sum(self._fade**week for week in range(self.spec.weeks))
        ripe = learned[:, 0] >= needed * (1 - 1e-9)
        rows, learned = rows[ripe], learned[ripe]
        deviation = np.sqrt(learned[:, 2] / learned[:, 0])
        self._recorder.write(self._labels(rows), np.concatenate((learned[:, 1], deviation)), now)

    def _labels(self, rows: NDArray[np.int64]) -> list[Labels]:
        """The series that are shown: the same list as long as they are the same."""
        wanted = tuple(rows.tolist())
        if wanted != self._shown[0]:
            by_row = dict(zip(self._rows.values(), self._rows, strict=True))
            own = [{n: t for n, t in by_row[row].items() if n != NAME} for row in wanted]
            shown = [
                Labels({**each, NAME: METRIC, "metric": self.spec.name, "stat": stat})
                for stat in ("mean", "stddev")
                for each in own
            ]
            self._shown = wanted, shown
        return self._shown[1]

    def dump(self) -> SavedBaseline:
        """What has been learned."""
        count = len(self._rows)
        series = [dict(own) for own in self._rows]
        learned, hour = self._learned[:count].tobytes(), self._hour[:count].tobytes()
        return SavedBaseline(self.spec.name, self._bucket, series, learned, hour)

    def restore(self, saved: SavedBaseline) -> None:
        """Take over what was dumped."""
        count = len(saved.series)
        self._rows = {Labels(own): row for row, own in enumerate(saved.series)}
        self._learned = np.frombuffer(saved.learned).reshape(count, HOURS, 3).copy()
        self._hour = np.frombuffer(saved.hour).reshape(count, 3).copy()
        self._bucket = saved.bucket

    def close(self) -> None:
        """Let go of the series in the fleet."""
        self._recorder.close()

    @property
    def series(self) -> int:
        """Series that it knows."""
        return len(self._rows)

    @property
    def memory(self) -> int:
        """Bytes of what has been learned."""
        return int(self._learned.nbytes + self._hour.nbytes)
