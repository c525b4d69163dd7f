"""`watchdesk audit`: what was asked of devices, by whom, whether the record of it is whole; what customers allow."""

from __future__ import annotations

import getpass
import sys
import time

import click

from collector.cli.context import Context, pass_context, show_json, show_table, when
from collector.diagnosis.keys import signing_key
from collector.register.sites import slug
from ticketing.diagnosis.catalogue import PRIVACY
from ticketing.diagnosis.consent import Consent
from ticketing.incident import rfc3339
from ticketing.scope import EVERYTHING, Scope


def register(group: click.Group) -> None:
    """Add the commands."""
    group.add_command(audit)


@click.group()
def audit() -> None:
    """Read and verify the audit of remote diagnosis; set what a customer never lets be asked."""


def _scope(customer: str) -> Scope:
    return Scope(slug(customer)) if customer else EVERYTHING


@audit.command("list")
@click.option("--customer", default="", help="Of this customer alone.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, with everything that was written.")
@pass_context
def list_entries(context: Context, customer: str, limit: int, as_json: bool) -> None:
    """Show the newest entries, the newest last."""
    found = context.store.diagnoses.audit(_scope(customer), limit=limit)[::-1]
    if as_json:
        for one in found:
            show_json({**one.facts, "at": rfc3339(one.at), "hash": one.hash})
        return
    rows = [
        (
            when(one.at),
            one.customer,
            one.number,
            one.facts.get("by", ""),
            one.facts.get("action", ""),
            one.facts.get("name", ""),
            one.facts.get("device", ""),
            one.facts.get("ticket", ""),
            one.hash[:12],
        )
        for one in found
    ]
    show_table(("TIME", "CUSTOMER", "#", "WHO", "ACTION", "DIAGNOSIS", "DEVICE", "TICKET", "HASH"), rows)


@audit.command()
@click.option("--customer", default="", help="Of this customer alone.")
@pass_context
def verify(context: Context, customer: str) -> None:
    """Say whether an entry is missing, was changed or moved; ends with 1 if so."""
    faults = context.store.diagnoses.verify(_scope(customer), signing_key(context.data).signed)
    for fault in faults:
        click.echo(f"{fault.customer}: {fault.message}")
    if faults:
        sys.exit(1)
    click.echo("The audit is whole.")


@audit.command()
@click.argument("customer")
@click.option("--never", multiple=True, type=click.Choice(PRIVACY), help="Never ask for this class; may be repeated.")
@click.option("--all", "everything", is_flag=True, help="Ask for whatever the policies on the machines allow.")
@click.option("--shown/--hidden", default=None, help="Whether the customer's own people see what was found.")
@pass_context
def consent(context: Context, customer: str, never: tuple[str, ...], everything: bool, shown: bool | None) -> None:
    """Show or set what CUSTOMER lets be asked. It can only take away from the policies on its machines."""
    book, name = context.store.diagnoses, slug(customer)
    before = book.consent(name)
    if never or everything or shown is not None:
        wanted = frozenset() if everything else frozenset(never) or before.never
        after = Consent(wanted, before.shown if shown is None else shown)
        book.set_consent(name, after, by=f"person:{getpass.getuser()}", now=time.time())
        before = after
    never_asked = ", ".join(sorted(before.never)) or "nothing"
    click.echo(
        f"{name}: never asked for: {never_asked}; findings are {'shown to' if before.shown else 'hidden from'} it"
    )
