"""Runs work in a transaction, again where somebody else was first, and says plainly when the database is not there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import sqlalchemy
from sqlalchemy import Connection

from ticketing.errors import Conflict, Unavailable

_Result = TypeVar("_Result")

_TRIES: Final = 20
_AWAY: Final = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY")
_UNIQUE, _SERIALIZATION, _DEADLOCK = "23505", "40001", "40P01"  # PostgreSQL's codes


class Raced(Exception):
    """Another writer came first; the work is to be done anew. Never leaves `transact`."""


def transact(engine: sqlalchemy.Engine, work: Callable[[Connection], _Result]) -> _Result:
    """Run the work in one transaction and commit it.

    The work is done anew when another writer came first: when the database refuses a second open incident, when two
    transactions wait for each other, or when an incident has another version than was read. Raises Conflict if that
    happens time and again, Unavailable if the database is locked or away; nothing is written then.
    """
    for _ in range(_TRIES):
        try:
            with engine.begin() as connection:
                return work(connection)
        except Raced:
            continue
        except driver_errors(engine) as error:
            if not _came_second(error):
                raise_if_away(engine, error)
                raise
    raise Conflict(f"others were first {_TRIES} times")


def ask(engine: sqlalchemy.Engine, question: Callable[[Connection], _Result]) -> _Result:
    """Run queries. Raises Unavailable if the database is locked or away."""
    try:
        with engine.connect() as connection:
            return question(connection)
    except driver_errors(engine) as error:
        raise_if_away(engine, error)
        raise


def driver_errors(engine: sqlalchemy.Engine) -> tuple[type[Exception], ...]:
    """Return the errors of the database: SQLAlchemy's, and the driver's own, which COPY raises unwrapped."""
    return (sqlalchemy.exc.DBAPIError, engine.dialect.loaded_dbapi.Error)


def raise_if_away(engine: sqlalchemy.Engine, error: Exception) -> None:
    """Raise Unavailable if the error means that the database is locked, full, stopped or out of reach."""
    original = _original(error)
    name = getattr(original, "sqlite_errorname", None)
    driver = engine.dialect.loaded_dbapi
    if name.startswith(_AWAY) if name else isinstance(original, (driver.OperationalError, driver.InterfaceError)):
        raise Unavailable(str(original)) from error


def _came_second(error: Exception) -> bool:
    original = _original(error)
    if getattr(original, "sqlstate", None) in {_UNIQUE, _SERIALIZATION, _DEADLOCK}:
        return True
    return getattr(original, "sqlite_errorname", "") == "SQLITE_CONSTRAINT_UNIQUE"


def _original(error: Exception) -> BaseException | None:
    return error.orig if isinstance(error, sqlalchemy.exc.DBAPIError) else error
