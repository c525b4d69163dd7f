"""From the variables of a walk to series and their values.

What a walk gives has the same shape from poll to poll: the same OIDs, the same labels. So the work of finding out
which variable is which series is done once for a shape (`build`), shared by all devices of that shape, and after that
a poll is a gather of numbers (`Readings.values`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agent import wire
from collector.snmp import index, oid
from collector.snmp.compiled import UPTIME, Compiled
from collector.snmp.computing import Compute, bit, computed
from collector.snmp.errors import SnmpError
from collector.snmp.pdu import Value
from collector.snmp.profile import Metric, Table, Where
from collector.snmp.text import text

Floats: TypeAlias = NDArray[np.float64]

PART_SERIES: Final = 4_000
PART_BYTES: Final = 900_000
_FASTEST: Final = 1.25e8  # bytes a second that any counter may count, whatever its port says: 1 Gbit/s
_ABSURD: Final = 1.25e12  # 10 Tbit/s


@dataclass(frozen=True, slots=True)
class Part:
    """The columns of one schema: values[start:stop]."""

    schema: int
    payload: bytes
    start: int
    stop: int


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """The series of a shape, and where their values are.

    Attributes:
        series: each in Prometheus notation.
        parts: the schemas that name them.
        counters: positions of the counters among the series.
        width: what each counter counts to before it wraps, float.
        limits: what each counter may gain in a second.
        breaks, broken: get the discontinuity times, and say for which of the counters they are.
        ports: the label ifIndex of each port, by name.
    """

    series: tuple[str, ...]
    parts: tuple[Part, ...]
    counters: NDArray[np.intp]
    width: Floats
    limits: Floats
    breaks: Callable[[Sequence[Value]], Sequence[Value]] | None
    broken: NDArray[np.intp]
    ports: Mapping[str, str]
    _gather: Callable[[Sequence[Value]], Sequence[Value]] | None
    _at: NDArray[np.intp]
    _scale: Floats | None
    _special: tuple[tuple[int, Compute], ...]

    def values(self, variables: Sequence[Value]) -> Floats:
        """Return the value of each series; NaN for none."""
        out = np.full(len(self.series), np.nan)
        if self._gather is not None:
            found = self._gather(variables)
            try:
                numbers = np.array(found, np.float64)
            except (TypeError, ValueError):
                numbers = np.array([float(v) if isinstance(v, int | float) else math.nan for v in found])
            out[self._at] = numbers if self._scale is None else numbers * self._scale
        for at, compute in self._special:
            out[at] = compute(variables)
        return out


@dataclass(slots=True)
class _Series:
    name: str
    labels: dict[str, str]
    metric: Metric
    position: int
    compute: Compute | None
    scale: float = 1.0
    limit: float = math.inf
    discontinuity: int | None = None


@dataclass(slots=True)
class _Rows:
    """The variables of a walk by column and index."""

    values: Sequence[Value]
    columns: dict[bytes, dict[bytes, int]] = field(default_factory=dict)
    singles: dict[bytes, int] = field(default_factory=dict)

    def at(self, column: bytes, row: bytes) -> int | None:
        return self.columns.get(column, {}).get(row)

    def text(self, column: bytes, row: bytes) -> str:
        at = self.at(column, row)
        return "" if at is None else text(self.values[at])


def positions(compiled: Compiled, names: Sequence[bytes]) -> tuple[dict[bytes, dict[bytes, int]], list[int]]:
    """Return the position of each row of each column, and the positions of what is watched."""
    columns: dict[bytes, dict[bytes, int]] = {}
    watched: list[int] = []
    for at, name in enumerate(names):
        for length in compiled.lengths:
            column = name[:length]
            if column in compiled.columns:
                columns.setdefault(column, {})[name[length:]] = at
                if column in compiled.watched:
                    watched.append(at)
                break
    return columns, watched


def build(
    compiled: Compiled,
    names: Sequence[bytes],
    values: Sequence[Value],
    columns: dict[bytes, dict[bytes, int]],
    ports: Mapping[str, str],
) -> Readings:
    """Find the series in the variables of a walk; `ports` are the labels ifIndex that ports had before, by name."""
    rows = _Rows(values, columns, {name: at for at, name in enumerate(names)})
    found = [series for metric in compiled.profile.scalars for series in _scalar(compiled, rows, metric)]
    known: dict[str, str] = {}
    for table in compiled.profile.tables:
        found += _table(compiled, rows, table, ports, known)
    return _readings(_distinct(found), known)


def _scalar(compiled: Compiled, rows: _Rows, metric: Metric) -> list[_Series]:
    at = rows.singles.get(compiled.oids[metric.oid])
    if at is None:
        return []
    others = [rows.singles.get(compiled.oids[name]) for name in (metric.of, metric.plus) if name]
    if None in others:
        return []
    return _made(metric, dict(metric.labels), [at, *(other for other in others if other is not None)], rows, 1.0)


def _table(
    compiled: Compiled, rows: _Rows, table: Table, ports: Mapping[str, str], known: dict[str, str]
) -> list[_Series]:
    oids = compiled.oids
    found: list[_Series] = []
    labels: dict[bytes, dict[str, str] | None] = {}
    wanted = dict.fromkeys(row for metric in table.metrics for row in rows.columns.get(oids[metric.oid], ()))
    for row in wanted:
        labels[row] = _labels(compiled, rows, table, row)
    if table.port:
        _name_ports(labels, ports, known)
    for metric in table.metrics:
        for row, at in rows.columns.get(oids[metric.oid], {}).items():
            own = labels[row]
            if own is None or not all(_holds(oids, rows, where, row) for where in metric.where):
                continue
            if table.skip and not metric.always and all(_holds(oids, rows, where, row) for where in table.skip):
                continue
            others = [rows.at(oids[name], row) for name in (metric.of, metric.plus) if name]
            if None in others:
                continue
            here = [at, *(other for other in others if other is not None)]
            series = _made(metric, own | metric.labels, here, rows, _exponent(oids, rows, metric, row))
            if metric.type != "gauge":
                limit = _limit(oids, rows, table, metric, row)
                broken = rows.at(oids[table.discontinuity], row) if table.discontinuity else None
                for one in series:
                    one.limit, one.discontinuity = limit, broken
            found += series
    return found


def _labels(compiled: Compiled, rows: _Rows, table: Table, row: bytes) -> dict[str, str] | None:
    try:
        own = index.labels(table.index, row)
    except SnmpError:
        return None
    if own is None:
        return None
    for label, columns in table.labels.items():
        for column in [columns] if isinstance(columns, str) else columns:
            if column == "index":
                own[label] = ".".join(map(str, oid.decode_parts(row)))
            else:
                own[label] = rows.text(compiled.oids[column], row)
            if own[label]:
                break
    return own


def _name_ports(labels: Mapping[bytes, dict[str, str] | None], ports: Mapping[str, str], known: dict[str, str]) -> None:
    """Let each port keep the ifIndex that it was first known by: its name stays when a restart renumbers it."""
    rows = [own for own in labels.values() if own is not None and own.get("ifName")]
    rows = [own for own in rows if "ifIndex" in own]
    names = {own["ifName"] for own in rows}
    if len(names) < len(rows):  # names that are there twice tell nothing
        return
    taken = {label for name, label in ports.items() if name in names}
    free = max((int(label) for label in (*taken, *(own["ifIndex"] for own in rows))), default=0) + 1
    for own in rows:
        label = ports.get(own["ifName"])
        if label is None:
            label = own["ifIndex"]
            if label in taken:
                label, free = str(free), free + 1
            taken.add(label)
        known[own["ifName"]] = own["ifIndex"] = label


def _holds(oids: Mapping[str, bytes], rows: _Rows, where: Where, row: bytes) -> bool:
    if where.oid == "index":
        return where.values is None or oid.decode_parts(row)[0] in where.values
    at = rows.at(oids[where.oid], row)
    if at is None:
        return where.values is None
    value = rows.values[at]
    found: int | str = value if isinstance(value, int) else text(value)
    if where.values is not None and found not in where.values:
        return False
    return where.others is None or found not in where.others


def _exponent(oids: Mapping[str, bytes], rows: _Rows, metric: Metric, row: bytes) -> float:
    if metric.exponent is None:
        return 1.0
    scale = rows.at(oids[metric.exponent.scale], row)
    precision = rows.at(oids[metric.exponent.precision], row)
    power = 0
    if scale is not None and isinstance(found := rows.values[scale], int) and 1 <= found <= 17:
        power += 3 * (found - 9)
    if precision is not None and isinstance(found := rows.values[precision], int) and -9 <= found <= 9:
        power -= found
    return float(10.0**power)


def _limit(oids: Mapping[str, bytes], rows: _Rows, table: Table, metric: Metric, row: bytes) -> float:
    """Return what a counter may gain in a second before it is not believed."""
    at = rows.at(oids[table.speed], row) if table.speed else None
    speed = rows.values[at] if at is not None else None
    if not isinstance(speed, int) or speed <= 0:
        return _ABSURD
    octets = max(_FASTEST, 2 * speed * 1e6 / 8)
    return octets if metric.octets else octets / 40  # no packet is shorter than 40 bytes


def _made(metric: Metric, labels: dict[str, str], at: list[int], rows: _Rows, exponent: float) -> list[_Series]:
    if metric.bits is not None:
        return [
            _Series(metric.metric, labels | {metric.bit: name}, metric, at[0], bit(at[0], position))
            for position, name in enumerate(metric.bits)
        ]
    compute = computed(metric, at, metric.scale * exponent)
    if not metric.metric.endswith("_info") and isinstance(rows.values[at[0]], bytes) and not metric.text:
        return []  # a string where a number belongs
    if metric.absent and rows.values[at[0]] in metric.absent and metric.map is not None:
        return []  # a slot that is empty
    return [_Series(metric.metric, labels, metric, at[0], compute, metric.scale * exponent)]


def _distinct(found: list[_Series]) -> dict[str, _Series]:
    """Return the series by their notation; of several alike, those after the first get a number."""
    named: dict[str, _Series] = {}
    for series in found:
        notation = wire.format_series(series.name, series.labels)
        number = 2
        while notation in named:
            if named[notation].position == series.position:
                break
            label = next((name for name in ("sensor", "name", "unit", "pool", "tunnel") if name in series.labels), "")
            if not label or number > 1000:
                break
            changed = series.labels | {label: f"{series.labels[label]} {number}"}
            notation, number = wire.format_series(series.name, changed), number + 1
        if notation not in named and len(notation) <= wire.MAX_SERIES_LENGTH:
            named[notation] = series
    return named


def _readings(named: dict[str, _Series], ports: Mapping[str, str]) -> Readings:
    series = list(named.values())
    plain = [at for at, one in enumerate(series) if one.compute is None]
    counters = [at for at, one in enumerate(series) if one.metric.type != "gauge"]
    scale = np.array([series[at].scale for at in plain])
    broken = [(at, series[which].discontinuity) for at, which in enumerate(counters)]
    whole = [(at, position) for at, position in broken if position is not None]
    return Readings(
        series=tuple(named),
        parts=tuple(_parts(list(named))),
        counters=np.array(counters, np.intp),
        width=np.array([2.0**32 if series[at].metric.type == "counter" else 2.0**64 for at in counters]),
        limits=np.array([series[at].limit for at in counters]),
        breaks=_getter([position for _, position in whole]),
        broken=np.array([at for at, _ in whole], np.intp),
        ports=ports,
        _gather=_getter([series[at].position for at in plain]),
        _at=np.array(plain, np.intp),
        _scale=None if (scale == 1.0).all() else scale,
        _special=tuple((at, one.compute) for at, one in enumerate(series) if one.compute is not None),
    )


def _getter(positions: list[int]) -> Callable[[Sequence[Value]], Sequence[Value]] | None:
    if not positions:
        return None
    if len(positions) == 1:
        only = positions[0]
        return lambda values: (values[only],)
    get: Any = itemgetter(*positions)
    return get  # type: ignore[no-any-return]


def _parts(series: list[str]) -> list[Part]:
    """Cut the series into schemas that each fit a frame."""
    parts: list[Part] = []
    start = size = 0
    for at, notation in enumerate(series):
        length = len(notation.encode()) + 1
        if at - start == PART_SERIES or size + length > PART_BYTES:
            parts.append(_part(series, start, at))
            start, size = at, 0
        size += length
    if len(series) > start:
        parts.append(_part(series, start, len(series)))
    return parts


def _part(series: list[str], start: int, stop: int) -> Part:
    payload = wire.encode_schema(series[start:stop])
    return Part(wire.schema_id(payload), payload, start, stop)


def uptime(scalars: Mapping[bytes, Value]) -> float | None:
    """Return sysUpTime in seconds, or None."""
    value = scalars.get(UPTIME)
    return value / 100 if isinstance(value, int) else None
