"""The database's version: made whole, brought up to date once, refused when it is from the future."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, create_engine, inspect, text

from collector.database import METADATA, open_database
from collector.errors import StartError


def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'watchdesk.db'}"


@pytest.mark.filterwarnings("ignore:autogenerate skipping")
def test_the_migrations_make_what_the_models_say(tmp_path: Path) -> None:
    engine = open_database(url(tmp_path))
    whole = MetaData()
    for part in METADATA:
        for table in part.tables.values():
            table.to_metadata(whole)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": _comparable})
        differences = compare_metadata(context, whole)
        names = {index["name"] for index in inspect(connection).get_indexes("incidents")}
    engine.dispose()
    assert differences == []
    assert {index.name for index in METADATA[0].tables["incidents"].indexes} == names


def _comparable(_thing: object, name: str | None, *_rest: object) -> bool:
    """Tell whether Alembic can compare it: it cannot with indexes that go down."""
    return name not in {"ix_incidents_queue", "ix_incidents_customer_queue"}


def test_a_second_opening_changes_nothing(tmp_path: Path) -> None:
    open_database(url(tmp_path)).dispose()
    before = (tmp_path / "watchdesk.db").read_bytes()
    open_database(url(tmp_path)).dispose()
    assert (tmp_path / "watchdesk.db").read_bytes() == before


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    open_database(url(tmp_path)).dispose()
    engine = create_engine(url(tmp_path))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'later'"))
    engine.dispose()
    with pytest.raises(StartError, match="later, which this Watchdesk does not know"):
        open_database(url(tmp_path))


def test_a_database_that_is_none_and_one_that_is_out_of_reach(tmp_path: Path) -> None:
    (tmp_path / "watchdesk.db").write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with pytest.raises(StartError, match="cannot be used"):
        open_database(url(tmp_path))
    with pytest.raises(StartError, match=r"postgresql\+psycopg://…@127.0.0.1:1/x cannot be used") as caught:
        open_database("postgresql+psycopg://me:secret@127.0.0.1:1/x")
    assert "secret" not in str(caught.value)
