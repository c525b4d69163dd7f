"""Values that are more than a number times a scale: states, shares, bits, numbers in texts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

from collector.snmp.pdu import Value
from collector.snmp.profile import Metric
from collector.snmp.text import number

Compute: TypeAlias = Callable[[Sequence[Value]], float]


def bit(at: int, position: int) -> Compute:
    """Return how one bit of a BITS string is read."""

    def compute(values: Sequence[Value]) -> float:
        value = values[at]
        if not isinstance(value, bytes):
            return math.nan
        byte = position >> 3
        return float(byte < len(value) and value[byte] >> (7 - (position & 7)) & 1)

    return compute


def computed(metric: Metric, at: list[int], scale: float) -> Compute | None:
    """Return how a value is made that is more than a number times its scale."""
    first = at[0]
    absent = frozenset(metric.absent)
    if metric.metric.endswith("_info"):
        return lambda _: 1.0
    if metric.map is not None:
        mapped, other = metric.map, math.nan if metric.other is None else metric.other
        return lambda values: mapped.get(_int(values[first]), other)
    if metric.of is not None or metric.plus is not None:
        return _share(metric, at)
    if metric.text:
        return lambda values: number(values[first]) * scale
    if absent:
        return lambda values: math.nan if _int(values[first]) in absent else _float(values[first]) * scale
    return None


def _share(metric: Metric, at: list[int]) -> Compute:
    first, second = at[0], at[1]
    summed, complement = metric.plus is not None, metric.complement
    read = number if metric.text else _float

    def compute(values: Sequence[Value]) -> float:
        part, whole = read(values[first]), read(values[second])
        whole += part if summed else 0.0
        if not whole > 0 or not part >= 0:
            return math.nan
        return 1 - part / whole if complement else part / whole

    return compute


def _float(value: Value) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _int(value: Value) -> int:
    return value if isinstance(value, int) else -(2**31)
