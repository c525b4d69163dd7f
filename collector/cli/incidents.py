"""`watchdesk incidents`: the queue, for scripts and for people without a browser."""

from __future__ import annotations

import click

from collector.cli.context import Context, pass_context, show_json, show_table, when
from ticketing.incident import UNRESOLVED, Incident, State, to_json
from ticketing.scope import Scope
from ticketing.store import Filter, Order


def register(group: click.Group) -> None:
    """Add the commands."""
    group.add_command(incidents)


@click.command()
@click.option("--open", "only_open", is_flag=True, help="Only those that are not resolved.")
@click.option("--customer", help="Only this customer's.")
@click.option("--device", help="Only this device's (its host name).")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="At most so many, the newest.")
@click.option("--children", is_flag=True, help="Those under a parent, too; with --json they always are.")
@click.option("--hidden", is_flag=True, help="What was held back and never became a ticket, too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@pass_context
def incidents(
    context: Context,
    only_open: bool,
    customer: str | None,
    device: str | None,
    limit: int,
    children: bool,
    hidden: bool,
    as_json: bool,
) -> None:
    """Show the incidents, the newest first. One that has a parent is a part of that one's fault, and no ticket."""
    states = UNRESOLVED if only_open else frozenset(State)
    wanted = Filter(states=states, device=device, children=as_json or children, hidden=hidden)
    found = _newest(context, Scope(customer), wanted, limit)
    if as_json:
        for incident in found:
            show_json(to_json(incident))
        return
    rows = (
        (
            i.number,
            f"P{i.priority}",
            i.severity,
            i.state,
            f"{i.device}.{i.site}.{i.customer}",
            i.summary() + (f" (+{len(i.members)})" if i.members else ""),
            when(i.opened_at),
            when(i.resolved_at),
        )
        for i in found
    )
    show_table(("NUMBER", "PRIO", "SEVERITY", "STATE", "DEVICE", "SUMMARY", "OPENED", "RESOLVED"), rows)


def _newest(context: Context, scope: Scope, wanted: Filter, limit: int) -> list[Incident]:
    found: list[Incident] = []
    after: str | None = None
    while len(found) < limit:
        page = context.store.incidents(scope, wanted, order=Order.NEWEST, after=after, limit=min(200, limit))
        found += page.incidents
        after = page.after
        if after is None:
            break
    return found[:limit]
