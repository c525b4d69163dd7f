"""Recordings for benchmarks: healthy devices with node_exporter's series, as samples and as OpenMetrics text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rules.labels import NAME, Labels
from rules.openmetrics import Samples
from rules.template import gofmt
from tests.rules.load import INTERVAL, START, health, schema


def recording(devices: int, series: int, rows: int) -> Samples:
    """Return a sample of every series at each of so many times, in the order of time."""
    names, states = [], []
    for number in range(devices):
        target = {"instance": f"host{number}.site{number % 50}.customer{number % 5}", "job": "agent"}
        target |= {"customer": f"customer{number % 5}", "site": f"site{number % 50}"}
        for name, labels in schema(series):
            names.append(Labels({NAME: name, **target, **labels}))
            states.append(health(name, labels))
    base, rise, scatter = np.array(states).T
    noise = np.random.default_rng(1).random((rows, len(names)))
    values: NDArray[np.float64] = np.round(base + rise * INTERVAL * np.arange(rows)[:, None] + scatter * noise, 3)
    times = np.repeat(START + INTERVAL * np.arange(rows, dtype=np.float64), len(names))
    return Samples(names, np.tile(np.arange(len(names), dtype=np.int32), rows), times, values.ravel())


def as_text(samples: Samples) -> bytes:
    """Return samples as OpenMetrics text, in their order."""
    shown = [repr(name).replace(", ", ",") for name in samples.names]
    columns = zip(samples.series.tolist(), samples.values.tolist(), samples.times.tolist(), strict=True)
    lines = [f"{shown[number]} {gofmt.number(value)} {time:.0f}" for number, value, time in columns]
    return "\n".join([*lines, "# EOF", ""]).encode()
