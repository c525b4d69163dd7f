"""`watchdesk status` and `watchdesk doctor`: how the collector is, and what is in its way."""

from __future__ import annotations

import dataclasses
import sys
import time

import click

from collector import doctor as examination
from collector import status as reading
from collector.cli.context import Context, pass_context, show_json
from collector.errors import StartError
from collector.runtime import Runtime


def register(group: click.Group) -> None:
    """Add the commands."""
    group.add_command(status)
    group.add_command(doctor)


@click.command()
@click.option(
    "--seconds", type=click.FloatRange(0.2, 60), default=1.0, show_default=True, help="How long rates are taken."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@pass_context
def status(context: Context, seconds: float, as_json: bool) -> None:
    """Show how the running collector is: devices, rates, the log, and how far each consumer is behind."""
    running = Runtime.read(context.data)
    if running is None:
        raise StartError(f"No collector runs on {context.data}; start it with `watchdesk serve`.")
    before = reading.read(running, context.data)
    start = time.monotonic()
    time.sleep(seconds)
    after = reading.read(running, context.data)
    found = reading.summary(before, after, time.monotonic() - start)
    if as_json:
        show_json({"pid": running.pid, "web": running.web, "agents": running.agents, **found})
        return
    click.echo(f"Watchdesk at {running.web}, agents report to {running.agents} (process {running.pid})")
    for name, value in found.items():
        shown = ", ".join(f"{key} {one:g}" for key, one in value.items()) if isinstance(value, dict) else value
        click.echo(
            f"  {name.replace('_', ' '):24} {shown:g}"
            if isinstance(shown, float)
            else f"  {name.replace('_', ' '):24} {shown}"
        )


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def doctor(context: Context, as_json: bool) -> None:
    """Look for what is wrong: folder, disk, clock, database, certificates, rules, ports; each with what to do.

    Exit status 1 if there is an error, 0 if there is none (warnings do not count).
    """
    found = examination.examine(context.data, time.time())
    for one in found:
        if as_json:
            show_json(dataclasses.asdict(one))
            continue
        click.echo(f"{one.level:7}  {one.check:13}  {one.text}")
        if one.advice:
            click.echo(f"{'':24}→ {one.advice}")
    if any(one.level == "error" for one in found):
        sys.exit(1)
