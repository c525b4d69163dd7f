"""The whole fleet in Prometheus' text format, written from the arrays: label text is made once, numbers in one go."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from rules.labels import NAME

if TYPE_CHECKING:
    from rules.fleet import Fleet

_BLOCK: Final = 10_000


def write(fleet: Fleet, match: Mapping[str, str]) -> Iterator[bytes]:
    """Yield the lines of each metric's current series; a blank value is that of no line."""
    array = fleet.array
    wanted = _devices(fleet, match)
    for name in sorted(array.metrics):
        metric = array.metrics[name]
        if not metric.live:
            continue
        slots = np.sort(array.live(metric))
        slots = slots[np.isfinite(array.times[slots])]
        if wanted is not None:
            slots = slots[wanted[array.devices[slots]]]
        for start in range(0, len(slots), _BLOCK):
            yield _lines(fleet, slots[start : start + _BLOCK])


def _devices(fleet: Fleet, match: Mapping[str, str]) -> np.typing.NDArray[np.bool_] | None:
    if not match:
        return None
    wanted = np.ones(len(fleet.device_table.rows), np.bool_)
    for label, text in match.items():
        codes = fleet.device_table.column(label)[: len(wanted)]
        wanted &= codes == fleet.strings.codes.get(text, -1)
    return wanted


def _lines(fleet: Fleet, slots: np.typing.NDArray[np.int64]) -> bytes:
    array = fleet.array
    heads = [_head(row) for row in fleet.series_table.rows]
    tails = [_tail(row) for row in fleet.device_table.rows]
    values = array.values[slots]
    template = "".join(
        heads[s] + tails[d] for s, d in zip(array.series[slots].tolist(), array.devices[slots].tolist(), strict=True)
    )
    if np.isfinite(values).all():
        return (template % tuple(values.tolist())).encode()
    return (template.replace("%r", "%s") % tuple(map(_number, values.tolist()))).encode()


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)


def _head(row: Mapping[str, str]) -> str:
    labels = "".join(f'{label}="{_escape(text)}",' for label, text in row.items() if label != NAME)
    return f"{row[NAME]}{{{labels}"


def _tail(row: Mapping[str, str]) -> str:
    return ",".join(f'{label}="{_escape(text)}"' for label, text in row.items()) + "} %r\n"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("%", "%%")
