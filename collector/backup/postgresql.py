"""The tables of a PostgreSQL database as files, and back, by COPY: no other program is needed.

All tables are read in one transaction, so that they fit each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, text
from sqlalchemy.exc import SQLAlchemyError

from collector.backup.manifest import TABLES
from collector.errors import BackupError
from collector.migrations.migrate import migrate

_VERSION = "alembic_version"


def dump(engine: Engine, target: Path) -> dict[str, list[str]]:
    """Write each table to a file of the folder; return the tables with their columns, in an order that keys allow."""
    (target / TABLES).mkdir()
    snapshot = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with snapshot.begin() as connection:
        tables = {name: columns for name, columns in _tables(connection).items() if name != _VERSION}
        for name, columns in tables.items():
            command = f"COPY {_what(connection, name, columns)} TO STDOUT"
            with (target / TABLES / f"{name}.copy").open("wb") as file, _copy(connection, command) as copy:
                for piece in copy:
                    file.write(piece)
    return tables


def load(engine: Engine, source: Path, tables: dict[str, list[str]], revision: str) -> None:
    """Fill an empty database with what was dumped of one of that version.

    Raises:
        BackupError: it is not empty, or cannot be used.
        StartError: it was written by a newer Watchdesk.
    """
    try:
        with engine.begin() as connection:
            if _tables(connection):
                raise BackupError("The database is not empty; make a new one for what is restored.")
        migrate(engine, revision)
        with engine.begin() as connection:
            for name, columns in tables.items():
                command = f"COPY {_what(connection, name, columns)} FROM STDIN"
                with (source / TABLES / f"{name}.copy").open("rb") as file, _copy(connection, command) as copy:
                    while piece := file.read(1 << 16):
                        copy.write(piece)
                _set_sequences(connection, name, columns)
    except SQLAlchemyError as error:
        raise BackupError(f"The database cannot be filled: {error}.") from error


def _tables(connection: Connection) -> dict[str, list[str]]:
    found = MetaData()
    found.reflect(connection)
    return {table.name: [column.name for column in table.columns] for table in found.sorted_tables}


@contextmanager
def _copy(connection: Connection, command: str) -> Iterator[Any]:
    driver = connection.connection.driver_connection
    if driver is None:
        raise BackupError("The database has closed the connection.")
    with driver.cursor() as cursor, cursor.copy(command) as copy:
        yield copy


def _quoted(connection: Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote_identifier(name)


def _what(connection: Connection, name: str, columns: list[str]) -> str:
    return f"{_quoted(connection, name)} ({', '.join(_quoted(connection, column) for column in columns)})"


def _set_sequences(connection: Connection, name: str, columns: list[str]) -> None:
    """Let numbers that the database gives go on where they stood."""
    table = _quoted(connection, name)
    for column in columns:
        query = text("SELECT pg_get_serial_sequence(:table, :column)")
        sequence = connection.scalar(query, {"table": table, "column": column})
        if sequence is not None:
            highest = f"(SELECT max({_quoted(connection, column)}) FROM {table})"  # noqa: S608 - quoted
            connection.execute(text(f"SELECT setval(:sequence, {highest})"), {"sequence": sequence})
