"""`watchdesk completion`: for the shells."""

import click
from click.shell_completion import get_completion_class


def register(group: click.Group) -> None:
    """Add the commands."""
    group.add_command(completion)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for a shell: `source <(watchdesk completion bash)`."""
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"there is no completion for {shell}")
    root = context.find_root().command
    click.echo(kind(root, {}, "watchdesk", "_WATCHDESK_COMPLETE").source())
