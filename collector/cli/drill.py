"""`watchdesk drill`: what happens when something fails, without anything failing."""

from __future__ import annotations

import asyncio

import click

from collector.cli.context import Context, pass_context, show_json
from collector.drill import SCENARIOS, Drill
from ticketing.incident import to_json


def register(group: click.Group) -> None:
    """Add the commands."""
    group.add_command(drill)


@click.command()
@click.argument("name", required=False, type=click.Choice(list(SCENARIOS)))
@click.option("--list", "list_them", is_flag=True, help="Show what can be played.")
@click.option("--hold", type=click.FloatRange(0, 3600), help="Seconds that the fault lasts once its ticket is there.")
@click.option("--json", "as_json", is_flag=True, help="Print the resolved incident as a JSON object, and no story.")
@pass_context
def drill(context: Context, name: str | None, list_them: bool, hold: float | None, as_json: bool) -> None:
    """Play a fault: a real agent reports a failing machine, a ticket opens, and resolves when the drill ends."""
    if list_them or name is None:
        for key, scenario in SCENARIOS.items():
            click.echo(f"{key:13} {scenario.title}")
        return
    played = Drill(
        name,
        context.data,
        context.config,
        register=context.register,
        store=context.store,
        say=(lambda _: None) if as_json else click.echo,
        hold=hold,
    )
    incident = asyncio.run(played.run())
    if as_json:
        show_json(to_json(incident))
