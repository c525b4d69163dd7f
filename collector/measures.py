"""How a device is, in a few readings: what the pages show of everything that is watched.

The state machine asks these queries from its beginning, for what they look back on is part of its state.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Measure:
    """A reading of a device's health: a PromQL expression, and from when on it is not good."""

    label: str  # "{mountpoint}" stands for the value of that label
    expr: str
    unit: str = "%"
    warning: float = math.inf
    critical: float = math.inf


MEASURES: Final = (
    Measure(
        "CPU",
        '100 - 100 * sum by (instance) (rate(node_cpu_seconds_total{mode=~"idle|iowait"}[1m]))'
        ' / count by (instance) (node_cpu_seconds_total{mode="idle"})',
        warning=85,
        critical=95,
    ),
    Measure(
        "Memory",
        "100 - 100 * node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
        warning=90,
        critical=97,
    ),
    Measure(
        "{mountpoint}",
        "100 - 100 * node_filesystem_avail_bytes / (node_filesystem_size_bytes > 0)",
        warning=80,
        critical=90,
    ),
    Measure("Load", "node_load5", unit=""),
)
