"""Real databases for the tests of the ticketing part: a SQLite file, and a PostgreSQL server for the session."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

from tests import postgres
from ticketing.database import connect
from ticketing.models import Base
from ticketing.store import Store


@pytest.fixture(scope="session")
def postgresql() -> Iterator[postgres.Postgres]:
    """A running PostgreSQL."""
    with postgres.running() as started:
        yield started


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sqlalchemy.Engine]:
    """An empty database with the tables, of either kind."""
    url = f"sqlite:///{tmp_path / 'watchdesk.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql").database()
    opened = connect(url)
    Base.metadata.create_all(opened)
    yield opened
    opened.dispose()


@pytest.fixture
def store(engine: sqlalchemy.Engine) -> Store:
    """A store on it."""
    return Store(engine)
