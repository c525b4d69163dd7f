"""`watchdesk remote-write-token`: what a Prometheus may write with."""

from __future__ import annotations

import dataclasses
import time

import click

from collector.cli.context import Context, pass_context, show_json, show_table, when
from collector.register.writers import Writers


def register(group: click.Group) -> None:
    """Add the commands."""
    group.add_command(remote_write_token)


@click.group("remote-write-token")
def remote_write_token() -> None:
    """Make, list and revoke the tokens with which Prometheus servers write here."""


@remote_write_token.command()
@click.option("--customer", required=True, help="Whose devices it tells of.")
@click.option("--site", required=True, help="Where they stand.")
@click.option("--name", default="prometheus", show_default=True, help="What the sender is called in lists.")
@click.option(
    "--max-devices", type=click.IntRange(1, 100_000), default=500, show_default=True, help="How many it may make."
)
@pass_context
def create(context: Context, customer: str, site: str, name: str, max_devices: int) -> None:
    """Print a token: it goes into `authorization: credentials:` of Prometheus' remote_write. It is shown this once."""
    writers = Writers(context.database)
    click.echo(writers.create(customer, site, name=name, now=time.time(), max_devices=max_devices))


@remote_write_token.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@pass_context
def list_(context: Context, as_json: bool) -> None:
    """Show the tokens that were made, without their secrets."""
    found = Writers(context.database).all()
    if as_json:
        for one in found:
            show_json(dataclasses.asdict(one))
        return
    rows = (
        (w.id, f"{w.customer}/{w.site}", w.name, w.max_devices, when(w.created_at), when(w.revoked_at)) for w in found
    )
    show_table(("ID", "SITE", "NAME", "MAX DEVICES", "CREATED", "REVOKED"), rows)


@remote_write_token.command()
@click.argument("token", type=int)
@pass_context
def revoke(context: Context, token: int) -> None:
    """Refuse the token with this ID within seconds. The devices that it told of stay."""
    Writers(context.database).revoke(token, time.time())
