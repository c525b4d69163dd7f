"""`watchdesk backup` and `watchdesk restore`."""

from __future__ import annotations

from pathlib import Path

import click

from collector import backup
from collector.cli.context import Context, pass_context


def register(group: click.Group) -> None:
    """Add the commands."""
    group.add_command(backup_command)
    group.add_command(restore_command)


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@pass_context
def backup_command(context: Context, file: Path) -> None:
    """Write everything but the samples of the recent days to FILE (.tar, or .tar.gz), while the collector runs.

    Incidents, register, accounts, rules and their state, keys and configuration. The file holds the keys: keep it as
    safe as the data folder.
    """
    made = backup.make(context.data, context.database, file.absolute())
    click.echo(f"{file}: {len(made.files)} files, {sum(one.size for one in made.files.values()):,} bytes")


@click.command("restore")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--database", default="", help="An empty PostgreSQL database to fill, instead of the configured one.")
@pass_context
def restore_command(context: Context, file: Path, database: str) -> None:
    """Make the data folder (--data, which must be new or empty) of a backup."""
    made = backup.restore(file, context.data.absolute(), database)
    click.echo(f"{context.data} is as it was; start it with `watchdesk --data {context.data} serve`.")
    if made.tables and database:
        click.echo("Set `database` in its watchdesk.yml to where it is now.")
