"""The one database of incidents and register, and its version."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

import collector.events.models
import collector.register.models
import collector.snmp.models
import ticketing.models
from collector.errors import StartError
from ticketing.database import connect

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
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    known = {revision.revision for revision in script.walk_revisions()}
    with engine.begin() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
        if current is not None and current not in known:
            raise StartError(
                f"The database is of version {current}, which this Watchdesk does not know: it was used by a newer "
                "one. Install that version, or point DATA at another folder."
            )
        if current != script.get_current_head():
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://…@{rest.rpartition('@')[2]}" if "@" in rest else url
