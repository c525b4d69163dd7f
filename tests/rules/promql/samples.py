"""Samples on which we and Prometheus are compared.

Values are multiples of 1/4, so that sums are exact; times end in .123 s and questions in .5 s, so that no sample lies
on the edge of a window: there Prometheus 2 and 3 differ.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Final

from tests.rules.promql.prometheus import Sample

START: Final = 1_700_000_000.123
END: Final = START + 3600
NOW: Final = math.floor(END) - 600 + 0.5

JOBS: Final = ("api", "db", 'köln/"x"\\')
INSTANCES: Final = ("a:1", "b:1", "c:1")


def samples() -> list[Sample]:
    """Return series of all sorts: gauges, counters with resets, histograms, info, with gaps, with NaN and Inf."""
    dice = random.Random(7)
    return [
        *_gauges(dice),
        *_counters(dice),
        *_buckets(dice),
        *_infos(),
        *_odd(dice),
    ]


def _times(step: float = 15.0, start: float = START, end: float = END) -> list[float]:
    return [round(start + step * k, 3) for k in range(int((end - start) / step) + 1)]


def _quarter(dice: random.Random, low: float, high: float) -> float:
    return round(dice.uniform(low, high) * 4) / 4


def _gauges(dice: random.Random) -> Iterator[Sample]:
    for job in JOBS:
        for instance in INSTANCES:
            times = _times()
            walk = _quarter(dice, -50, 50)
            values = []
            for _ in times:
                walk += _quarter(dice, -5, 5)
                values.append(walk)
            yield {"__name__": "g", "job": job, "instance": instance}, times, values
    for number, instance in enumerate(INSTANCES):
        values = [100.25 * (number + 1) + k % 7 for k in range(len(_times(30)))]
        yield {"__name__": "limit", "instance": instance, "kind": "hard"}, _times(30), values
        yield {"__name__": "load", "instance": instance, "job": "api", "cpu": "0"}, _times(30), [v / 4 for v in values]


def _counters(dice: random.Random) -> Iterator[Sample]:
    for job in JOBS[:2]:
        for instance in INSTANCES:
            for mode in ("idle", "user"):
                times = _times(10)
                value = 10_000.0
                values = []
                for _ in times:
                    value += _quarter(dice, 0, 20)
                    if dice.random() < 0.01:
                        value = 1_000.0
                    values.append(value)
                yield {"__name__": "c_total", "job": job, "instance": instance, "mode": mode}, times, values


def _buckets(dice: random.Random) -> Iterator[Sample]:
    bounds = ("0.1", "0.5", "1", "2.5", "+Inf")
    for job in JOBS[:2]:
        times = _times(30)
        counts = dict.fromkeys(bounds, 0.0)
        series: dict[str, list[float]] = {bound: [] for bound in bounds}
        for _ in times:
            seen = [dice.randrange(1, 6) for _ in bounds]
            for number, bound in enumerate(bounds):
                counts[bound] += sum(seen[: number + 1])
                series[bound].append(counts[bound])
        for bound in bounds:
            yield {"__name__": "h_bucket", "job": job, "le": bound}, times, series[bound]
        yield {"__name__": "h_count", "job": job}, times, series["+Inf"]
    yield {"__name__": "h_bucket", "job": "noninf", "le": "1"}, _times(30), [3.0] * len(_times(30))
    yield {"__name__": "h_bucket", "job": "bad", "le": "much"}, _times(30), [3.0] * len(_times(30))


def _infos() -> Iterator[Sample]:
    for number, instance in enumerate(INSTANCES):
        labels = {"__name__": "i_info", "instance": instance, "version": f"1.{number}", "role": "x" if number else ""}
        times = _times(60)
        yield {name: text for name, text in labels.items() if text}, times, [1.0] * len(times)


def _odd(dice: random.Random) -> Iterator[Sample]:
    times = _times(20)
    for number in range(3):
        kept = [at for at in times if int((at - START) / 400) % 3 != number]
        yield {"__name__": "gap", "n": str(number)}, kept, [_quarter(dice, 0, 9) for _ in kept]
    special = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1.5]
    for number in range(4):
        values = [special[(k // (number + 1)) % len(special)] if k % 3 else float(k) for k in range(len(times))]
        yield {"__name__": "odd", "n": str(number)}, times, values
    yield {"__name__": "one"}, times, [float(k % 5) + 0.5 for k in range(len(times))]
    yield {"__name__": "same", "n": "1"}, times, [4.25] * len(times)
    yield {"__name__": "stamp", "n": "1"}, times, [1_582_934_399.0 + 86_400 * k for k in range(len(times))]
    yield {"__name__": "over"}, _times(20, START, START + 1200), [1.0] * len(_times(20, START, START + 1200))
