"""`watchdesk outbox`: what is to be told to others, what could not be, and what to do with it."""

from __future__ import annotations

import time

import click
import msgspec

from collector.cli.context import Context, pass_context, show_json, show_table, when
from ticketing.incident import rfc3339
from ticketing.outbox.box import Delivery
from ticketing.scope import EVERYTHING


def register(group: click.Group) -> None:
    """Add the commands."""
    group.add_command(outbox)


_ids = click.argument("ids", type=int, nargs=-1)


@click.group()
def outbox() -> None:
    """Show and handle the notifications: those that wait, and those that could not be delivered."""


@outbox.command("list")
@click.option("--state", type=click.Choice(["waiting", "sent", "dead", "dropped"]), help="Only of this state.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many, the newest.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@pass_context
def show(context: Context, state: str | None, limit: int, as_json: bool) -> None:
    """Show deliveries, the newest first."""
    found = context.store.outbox.deliveries(EVERYTHING, state or "", limit)
    if as_json:
        for delivery in found:
            show_json(_record(delivery))
        return
    head = ("ID", "RECIPIENT", "INCIDENT", "STATE", "TRIES", "CREATED", "DUE", "MAYBE ARRIVED", "ERROR")
    show_table(head, (_row(delivery) for delivery in found))


@outbox.command()
@_ids
@click.option("--all", "everything", is_flag=True, help="All that are dead or have failed so far.")
@pass_context
def retry(context: Context, ids: tuple[int, ...], everything: bool) -> None:
    """Try deliveries at once: the running collector sends them within seconds."""
    done = context.store.outbox.retry(_chosen(ids, everything), time.time())
    click.echo(f"{done} will be tried again.")


@outbox.command()
@_ids
@click.option("--all", "everything", is_flag=True, help="All that are dead.")
@pass_context
def drop(context: Context, ids: tuple[int, ...], everything: bool) -> None:
    """Give deliveries up: they are never sent."""
    done = context.store.outbox.drop(_chosen(ids, everything), time.time())
    click.echo(f"{done} will not be sent.")


def _chosen(ids: tuple[int, ...], everything: bool) -> list[int] | None:
    if bool(ids) == everything:
        raise click.UsageError("Give the numbers that `watchdesk outbox list` shows, or --all.")
    return None if everything else list(ids)


def _row(one: Delivery) -> tuple[object, ...]:
    due = when(one.due_at) if one.state == "waiting" else when(one.done_at)
    doubt = "yes" if one.uncertain and one.attempts else ""
    return (
        *(one.id, one.recipient, f"INC-{one.incident}", one.state, one.attempts, when(one.created_at), due),
        *(doubt, one.error),
    )


def _record(one: Delivery) -> dict[str, object]:
    record: dict[str, object] = {**msgspec.to_builtins(one), "key": one.key}
    return record | {name: rfc3339(getattr(one, name)) for name in ("created_at", "due_at", "done_at")}
