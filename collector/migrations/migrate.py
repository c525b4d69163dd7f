"""Bringing a database to the version of this program."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from collector.errors import StartError


def migrate(engine: Engine, revision: str = "head") -> None:
    """Run the revisions that a database lacks, up to this one, in one transaction.

    Raises:
        StartError: it was written by a newer Watchdesk.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
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
            command.upgrade(config, revision)
