"""The one database of incidents and register, and its version."""

from pathlib import Path

from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

import collector.events.models
import collector.register.models
import collector.snmp.models
import ticketing.models
from collector.errors import StartError
from ticketing.database import connect

MIGRATIONS = Path(__file__).parent / "migrations"
METADATA = [ticketing.models.Base.metadata, collector.register.models.Base.metadata]


def open_database(url: str) -> Engine:
    """Return the database at a URL, brought to the version of this program.

    Raises:
        StartError: it cannot be reached or written, or was written by a newer Watchdesk.
    """
    try:
        engine = connect(url)
        upgrade(engine)
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise StartError(f"The database {_without_password(url)} cannot be used: {reason}.") from error
    return engine


def upgrade(engine: Engine) -> None:
    """Bring a database to the version of this program.

    Raises:
        StartError: it was written by a newer Watchdesk.
    """
    if _version(engine) != max(file.name[:4] for file in (MIGRATIONS / "versions").glob("[0-9]*.py")):
        from collector.migrations.migrate import migrate  # Alembic takes longer to load than most commands run

        migrate(engine)


def _version(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://…@{rest.rpartition('@')[2]}" if "@" in rest else url
