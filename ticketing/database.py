"""Opens the database: SQLite out of the box, PostgreSQL by a URL, with the same behaviour for those who write."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

import msgspec
import sqlalchemy
from sqlalchemy import event

READS: Final = "watchdesk_reads"  # the execution option of connections that only read
_BUSY_SECONDS: Final = 10.0
_PRAGMAS: Final = (
    "journal_mode = WAL",
    "synchronous = FULL",  # an answer to a sender is a promise that survives the power
    "foreign_keys = ON",
    "cache_size = -65536",  # KiB; a storm's transaction must not spill its pages again and again
)


def connect(url: str, *, busy_seconds: float = _BUSY_SECONDS) -> sqlalchemy.Engine:
    """Return an engine for `sqlite:///path` or `postgresql://…`.

    On SQLite each transaction takes the write lock as it begins, so that reading and then writing never fails
    half-way; use `reading(engine)` for queries, which wait for nobody. Raises sqlalchemy.exc.ArgumentError for what is
    no URL of these.
    """
    parsed = sqlalchemy.make_url(url)
    if parsed.get_backend_name() == "postgresql":
        return sqlalchemy.create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            json_serializer=_encode,
            json_deserializer=msgspec.json.decode,
        )
    if parsed.get_backend_name() != "sqlite":
        raise sqlalchemy.exc.ArgumentError(f"{parsed.get_backend_name()} is neither sqlite nor postgresql")
    engine = sqlalchemy.create_engine(
        parsed,
        connect_args={"timeout": busy_seconds},
        json_serializer=_encode,
        json_deserializer=msgspec.json.decode,
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def reading(engine: sqlalchemy.Engine) -> sqlalchemy.Engine:
    """Return the same engine for queries alone."""
    if engine.dialect.name == "postgresql":
        return engine.execution_options(postgresql_readonly=True)
    return engine.execution_options(**{READS: True})


def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # the driver would begin transactions on its own, and late
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: sqlalchemy.Connection) -> None:
    reads = connection.get_execution_options().get(READS, False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _encode(value: object) -> str:
    return msgspec.json.encode(value).decode()
