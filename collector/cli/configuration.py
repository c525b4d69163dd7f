"""`watchdesk config`: what is configured."""

import click

from collector.cli.context import Context, pass_context
from collector.config import FILE_NAME, to_yaml


def register(group: click.Group) -> None:
    """Add the commands."""
    group.add_command(config)


@click.group()
def config() -> None:
    """Check and show the configuration."""


@config.command()
@pass_context
def check(context: Context) -> None:
    """Say whether the configuration can be used; the exit status is 1 if it cannot."""
    path = context.data / FILE_NAME
    context.config  # noqa: B018 - reading it is the check
    click.echo(f"{path}: all right" if path.exists() else f"There is no {path}; the defaults hold.")


@config.command()
@pass_context
def show(context: Context) -> None:
    """Print every key with the value that is in force."""
    click.echo(to_yaml(context.config), nl=False)
