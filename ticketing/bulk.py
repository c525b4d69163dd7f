"""Set-based statements, in the fastest form that each database has.

SQLite runs one prepared statement over tuples. PostgreSQL takes new rows by COPY, and changes by one statement over the
rows as JSON; each is one round trip. Values are plain: None, bool, int, float, str; JSON columns get JSON as text.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import (
    JSON,
    ColumnClause,
    ColumnElement,
    Connection,
    Insert,
    Integer,
    Table,
    TableValuedAlias,
    Update,
    bindparam,
    cast,
    column,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeEngine

Rows = Sequence[tuple[Any, ...]]

# Held from the first entry that a transaction adds to the timeline until its commit, so that the entries' ids grow in
# the order of the commits, and a reader who asks for what came after an id misses nothing.
_TIMELINE_LOCK: Final = 0x57444553  # "WDES"


def insert(connection: Connection, table: Table, columns: Sequence[str], rows: Rows) -> None:
    """Add rows. A second open incident of a key is refused by the database, as an error of its driver."""
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        _run_many(connection, _insertion(table, tuple(columns)), rows)
        return
    names = ", ".join(f'"{name}"' for name in columns)
    cursor = connection.connection.cursor()
    try:
        with cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    finally:
        cursor.close()


def change(connection: Connection, table: Table, columns: Sequence[str], rows: Rows, versions: Sequence[int]) -> int:
    """Update rows by `id` (the first column) whose version still is as given; return how many still were."""
    if not rows:
        return 0
    names = columns[1:]
    if connection.dialect.name == "sqlite":
        values = [(*row[1:], row[0], version) for row, version in zip(rows, versions, strict=True)]
        return _run_many(connection, _alteration(table, tuple(names)), values)
    kinds = [table.c[name].type for name in columns]
    new = _records(
        [*columns, _WAS], [*kinds, Integer()], [(*row, was) for row, was in zip(rows, versions, strict=True)]
    )
    statement = update(table).where(table.c.id == new.c.id, table.c.version == new.c[_WAS])
    return connection.execute(statement.values({name: new.c[name] for name in names})).rowcount


def upsert(connection: Connection, table: Table, columns: Sequence[str], rows: Rows) -> None:
    """Add rows, or change those whose primary key is there already."""
    if not rows:
        return
    key = [column.name for column in table.primary_key]
    changed = [name for name in columns if name not in key]
    if connection.dialect.name == "sqlite":
        _run_many(connection, _placement(table, tuple(columns)), rows)
        return
    new = _records(columns, [table.c[name].type for name in columns], rows)
    placed = postgresql.insert(table).from_select(list(columns), select(*(new.c[name] for name in columns)))
    changes = {name: placed.excluded[name] for name in changed}
    connection.execute(placed.on_conflict_do_update(index_elements=key, set_=changes))


def among(connection: Connection, column: ColumnElement[Any], values: Sequence[Any]) -> ColumnElement[bool]:
    """Return the condition that a column is one of many values, given as one parameter however many they are."""
    if connection.dialect.name == "sqlite":
        listed = func.json_each(literal(_text(values))).table_valued("value")
        return column.in_(select(listed.c.value))
    listed = func.json_array_elements_text(cast(literal(_text(values)), JSON)).table_valued("value")
    return column.in_(select(cast(listed.c.value, column.type)))


def numbers(connection: Connection, table: Table, expected: int) -> Iterator[int]:
    """Give ids that nobody else will use; `expected` of them are fetched at once."""
    if connection.dialect.name == "sqlite":
        # The transaction holds the write lock, so that nobody adds a row between this and the insert.
        newest = connection.scalar(select(func.coalesce(func.max(table.c.id), 0))) or 0
        yield from itertools.count(newest + 1)
    sequence = func.pg_get_serial_sequence(table.name, "id")
    while True:
        block = select(func.nextval(sequence)).select_from(func.generate_series(1, max(1, expected)))
        yield from list(connection.scalars(block))
        expected = 1


def lock_timeline(connection: Connection) -> None:
    """Let nobody else add to the timeline until this transaction ends; on SQLite nobody else writes anyway."""
    if connection.dialect.name != "sqlite":
        connection.execute(select(func.pg_advisory_xact_lock(_TIMELINE_LOCK)))


class _Prepared(NamedTuple):
    """A statement as SQLite's driver takes it, and which of the given values goes to each of its marks."""

    text: str
    order: tuple[int, ...]


def _run_many(connection: Connection, prepared: _Prepared, rows: Rows) -> int:
    """Run a statement of SQLite once for each row, past SQLAlchemy's handling of each single value."""
    if prepared.order != tuple(range(len(prepared.order))):
        rows = list(map(itemgetter(*prepared.order), rows))
    return connection.exec_driver_sql(prepared.text, list(rows)).rowcount


# Each is compiled once: a batch runs them for every customer that it concerns.
@functools.cache
def _insertion(table: Table, columns: tuple[str, ...]) -> _Prepared:
    return _prepared(sqlite.insert(table).values(_marks(columns)), columns)


@functools.cache
def _alteration(table: Table, columns: tuple[str, ...]) -> _Prepared:
    same = (table.c.id == bindparam("_id")) & (table.c.version == bindparam("_version"))
    return _prepared(update(table).where(same).values(_marks(columns)), (*columns, "_id", "_version"))


@functools.cache
def _placement(table: Table, columns: tuple[str, ...]) -> _Prepared:
    key = [column.name for column in table.primary_key]
    added = sqlite.insert(table).values(_marks(columns))
    changes = {name: added.excluded[name] for name in columns if name not in key}
    return _prepared(added.on_conflict_do_update(index_elements=key, set_=changes), columns)


def _prepared(statement: Insert | Update, columns: tuple[str, ...]) -> _Prepared:
    compiled = statement.compile(dialect=sqlite.dialect())
    return _Prepared(str(compiled), tuple(columns.index(name) for name in compiled.positiontup or ()))


def _marks(columns: Sequence[str]) -> dict[str, Any]:
    return {name: bindparam(name) for name in columns}


def _records(names: Sequence[str], kinds: Sequence[TypeEngine[Any]], rows: Rows) -> TableValuedAlias:
    """Return PostgreSQL's table of rows that were sent as one JSON text."""
    nested = [isinstance(kind, JSON) for kind in kinds]
    records = [
        {
            name: msgspec.Raw(value.encode()) if is_json else value
            for name, value, is_json in zip(names, row, nested, strict=True)
        }
        for row in rows
    ]
    columns: list[ColumnClause[Any]] = [column(name, kind) for name, kind in zip(names, kinds, strict=True)]
    sent = func.json_to_recordset(cast(literal(_text(records)), JSON)).table_valued(*columns, name="new")
    return sent.render_derived(with_types=True)


_WAS: Final = "was_version"


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
