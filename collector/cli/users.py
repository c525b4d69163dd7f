"""`watchdesk users`: who may log in."""

from __future__ import annotations

import secrets

import click

from collector.cli.context import Context, pass_context, show_json, show_table


def register(group: click.Group) -> None:
    """Add the commands."""
    group.add_command(users)


@click.group()
def users() -> None:
    """Add and list the people who may log in, and set their passwords."""


@users.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@pass_context
def list_(context: Context, as_json: bool) -> None:
    """Show who may log in."""
    found = context.accounts.users()
    if as_json:
        for user in found:
            show_json({"name": user.name, "role": user.role, "customer": user.customer})
        return
    show_table(("NAME", "ROLE", "CUSTOMER"), ((user.name, user.role, user.customer) for user in found))


@users.command()
@click.argument("name")
@click.option("--role", type=click.Choice(["admin", "staff", "customer"]), default="staff", show_default=True)
@click.option("--customer", help="Whose incidents a person of the role `customer` sees.")
@pass_context
def add(context: Context, name: str, role: str, customer: str | None) -> None:
    """Let a person log in; the password is printed once."""
    password = secrets.token_urlsafe(12)
    context.accounts.create(name, password, role=role, customer=customer)
    click.echo(password)


@users.command()
@click.argument("name")
@pass_context
def password(context: Context, name: str) -> None:
    """Give a person a new password, which is printed once; their sessions end."""
    fresh = secrets.token_urlsafe(12)
    context.accounts.set_password(name, fresh)
    click.echo(fresh)
