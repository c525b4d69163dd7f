"""`watchdesk enrol-token`: what lets a machine into the register."""

from __future__ import annotations

import time

import click

from collector import installer
from collector.cli.context import Context, pass_context, show_json, show_table, when
from collector.enrolment import agents_url, new_token
from collector.register.book import CLASSES


def register(group: click.Group) -> None:
    """Add the commands."""
    group.add_command(enrol_token)


@click.group("enrol-token")
def enrol_token() -> None:
    """Make, list and revoke the short-lived tokens with which agents enrol."""


@enrol_token.command()
@click.option("--customer", required=True, help="Whose machine it is.")
@click.option("--site", required=True, help="Where it stands.")
@click.option("--class", "kind", type=click.Choice(CLASSES), help="What it is; by default the agent says.")
@click.option("--role", default="", help="What it is for, as a label on its series.")
@click.option("--uses", type=click.IntRange(1, 10_000), default=1, show_default=True, help="How many may enrol.")
@click.option("--hours", type=click.FloatRange(0.01, 720), default=1.0, show_default=True, help="How long it lasts.")
@click.option("--url", help="Where agents reach the collector, if not where it listens.")
@click.option("--command", is_flag=True, help="Print the line that installs and enrols an agent (Linux, macOS).")
@click.option("--windows", is_flag=True, help="Print the line for Windows (PowerShell, as administrator).")
@pass_context
def create(
    context: Context,
    customer: str,
    site: str,
    kind: str | None,
    role: str,
    uses: int,
    hours: float,
    url: str | None,
    command: bool,
    windows: bool,
) -> None:
    """Print a token for `watchdesk-agent enrol TOKEN`. It carries the fingerprint of the provider's CA."""
    url = url or agents_url(context.data, context.config)
    token = new_token(
        context.data,
        context.register,
        url,
        (customer, site),
        now=time.time(),
        kind=kind or "",
        role=role,
        uses=uses,
        life=hours * 3600,
    )
    if windows:
        click.echo(installer.one_line_for_windows(url, token, context.data))
    else:
        click.echo(installer.one_line(url, token, context.data) if command else token)


@enrol_token.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@pass_context
def list_(context: Context, as_json: bool) -> None:
    """Show the tokens that were made, without their secrets."""
    tokens = context.register.enrol_tokens()
    now = time.time()
    if as_json:
        for token in tokens:
            show_json(
                {
                    "id": token.id,
                    "customer": token.customer,
                    "site": token.site,
                    "class": token.kind,
                    "expires_at": token.expires_at,
                    "uses_left": token.uses_left,
                    "state": token.state(now),
                }
            )
        return
    rows = ((t.id, f"{t.customer}/{t.site}", t.kind, t.state(now), t.uses_left, when(t.expires_at)) for t in tokens)
    show_table(("ID", "SITE", "CLASS", "STATE", "USES LEFT", "EXPIRES"), rows)


@enrol_token.command()
@click.argument("token", type=int)
@pass_context
def revoke(context: Context, token: int) -> None:
    """Make the token with this ID useless. Devices that enrolled with it stay."""
    context.register.revoke_enrol_token(token, time.time())
