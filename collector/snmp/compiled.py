"""A profile made ready for polling: its OIDs encoded, its columns in a plan, without what nobody needs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from collector.snmp import oid, plan
from collector.snmp.plan import Plan
from collector.snmp.profile import Metric, Profile, Table, Where

UPTIME = oid.encode("1.3.6.1.2.1.1.3.0")
OBJECT_ID = oid.encode("1.3.6.1.2.1.1.2.0")
DESCR = oid.encode("1.3.6.1.2.1.1.1.0")
NAME = oid.encode("1.3.6.1.2.1.1.5.0")
SYSTEM = (DESCR, OBJECT_ID, UPTIME, NAME)


@dataclass(frozen=True, eq=False, slots=True)
class Compiled:
    """What is asked by a profile, and the encoded OID of everything that it names."""

    profile: Profile
    plan: Plan
    oids: dict[str, bytes]
    watched: frozenset[bytes]  # columns that make labels or choose rows: when one changes, the series do
    lengths: tuple[int, ...]  # of the OIDs of the columns
    columns: frozenset[bytes]


def compiled(profile: Profile, wanted: Collection[str] | None = None) -> Compiled:
    """Make a profile ready; `wanted` are the metrics that somebody needs, None for all."""

    def needed(metric: Metric) -> bool:
        return wanted is None or metric.metric in wanted

    scalars = [metric for metric in profile.scalars if needed(metric)]
    tables = [_narrowed(table, [metric for metric in table.metrics if needed(metric)]) for table in profile.tables]
    tables = [table for table in tables if table.metrics]
    kept = Profile(profile.name, profile.title, profile.klass, scalars=scalars, tables=tables)
    columns: set[str] = set()
    watched: set[str] = set()
    for table in tables:
        marks = set(_watched(table))
        watched |= marks
        columns |= marks | {name for metric in table.metrics for name in _values(metric)}
        columns |= {table.discontinuity} if table.discontinuity else set()
    singles = {name for metric in scalars for name in _values(metric)}
    oids = {name: oid.encode(name) for name in (*columns, *singles)}
    encoded = frozenset(oids[name] for name in columns)
    return Compiled(
        kept,
        plan.plan([oids[name] for name in singles] + [UPTIME], encoded),
        oids,
        frozenset(oids[name] for name in watched),
        tuple(sorted({len(column) for column in encoded}, reverse=True)),
        encoded,
    )


def _narrowed(table: Table, metrics: list[Metric]) -> Table:
    return Table(table.index, metrics, table.labels, table.skip, table.speed, table.discontinuity, table.port)


def _watched(table: Table) -> Iterator[str]:
    for columns in table.labels.values():
        yield from (name for name in ([columns] if isinstance(columns, str) else columns) if name != "index")
    conditions: list[Where] = [*table.skip, *(where for metric in table.metrics for where in metric.where)]
    yield from (where.oid for where in conditions if where.oid != "index")
    for metric in table.metrics:
        if metric.exponent:
            yield metric.exponent.scale
            yield metric.exponent.precision
    if table.speed:
        yield table.speed


def _values(metric: Metric) -> Iterator[str]:
    yield metric.oid
    yield from (name for name in (metric.of, metric.plus) if name)
